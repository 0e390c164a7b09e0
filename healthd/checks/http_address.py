"""Address and headers of a request as options: what they may be, and what is sent of them."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, SecretStr, StringConstraints
from yarl import URL

from healthd.runtime.authority import authority_of, problem_of_authority, refuse_ends
from healthd.wording import shape

_NOTHING_TO_ESCAPE = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*")  # RFC 3986


def _checked(secret: SecretStr, plain: str, secure: str) -> SecretStr:
    refuse_ends(secret.get_secret_value())
    forms = f"write {plain}://host/path or {secure}://host/path"
    if (problem := problem_of_authority(authority_of(secret.get_secret_value()))) is not None:
        raise ValueError(f"is not a URL: {forms}; it {problem}")
    try:
        url = URL(secret.get_secret_value())
    except ValueError:
        raise ValueError("is not a URL") from None
    if url.scheme not in (plain, secure) or not url.host:
        raise ValueError(f"is not a URL: {forms}")
    return secret


def http_url(secret: SecretStr) -> SecretStr:
    """Return an address of HTTP. Raises ValueError."""
    return _checked(secret, "http", "https")


def _websocket_url(secret: SecretStr) -> SecretStr:
    if "#" in secret.get_secret_value():
        raise ValueError("has a # in it, and an address of WebSocket has no fragment: write %23")  # RFC 6455, 3
    return _checked(secret, "ws", "wss")


def _one_line(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value().isprintable():
        raise ValueError("a header value cannot hold line breaks or other control characters")
    return secret


HttpURL = Annotated[SecretStr, AfterValidator(http_url)]
WebSocketURL = Annotated[SecretStr, AfterValidator(_websocket_url)]
HeaderName = Annotated[
    str,
    StringConstraints(pattern=shape(r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", "the name of a header, such as X-Request-Id")),
]
HeaderValue = Annotated[SecretStr, AfterValidator(_one_line)]


def require_one_authorization(address: SecretStr, names: Iterable[str], *, has_token: bool = False) -> None:
    """Raise ValueError for two of an address with a user, headers with Authorization, and a token of oauth2."""
    url = URL(address.get_secret_value())
    has_header = any(name.lower() == "authorization" for name in names)
    if has_token and (url.user or url.password or has_header):
        raise ValueError("oauth2 sends Authorization: leave the user of the url, and that header, out")
    if (url.user or url.password) and has_header:
        raise ValueError("the url has a user and headers have Authorization: leave one of them out")


def split_login(address: SecretStr) -> tuple[URL, dict[str, str]]:
    """Return the URL without a user, with its escapes unchanged (a signature over it would not match another spelling),
    and the header that logs that user in, if there is one."""
    text = address.get_secret_value()
    url = URL(text, encoded=bool(_NOTHING_TO_ESCAPE.fullmatch(text)))
    if url.user is None and url.password is None:
        return url, {}
    credentials = f"{url.user or ''}:{url.password or ''}".encode()  # in UTF-8 (RFC 7617, 2.1)
    return url.with_user(None), {"Authorization": f"Basic {base64.b64encode(credentials).decode()}"}
