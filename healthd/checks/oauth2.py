"""Access tokens by OAuth 2.0 client credentials (RFC 6749, 4.4): asked for, kept until shortly before their end, and
asked for once more when one that was kept is refused."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import quote_plus, urlencode

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from yarl import URL

from healthd.checks.http_client import Answer, HttpClient
from healthd.checks.http_request import Request
from healthd.checks.proxy_option import ProxyOption, own_proxy
from healthd.checks.retry_after import asked_pause
from healthd.model import FailureKind
from healthd.runtime.credential import Password
from healthd.units import HttpAddress
from healthd.wording import shape

T = TypeVar("T")
_LARGEST_ANSWER = 65_536
_BUSY = (429, 503)  # answers whose Retry-After is heeded
_SPARE = 60.0  # seconds before its end from which a token is not used any more; of a short one the last tenth
_ERRORS = (  # RFC 6749, 5.2; nothing else of a refusal is shown
    *("invalid_request", "invalid_client", "invalid_grant"),
    *("unauthorized_client", "unsupported_grant_type", "invalid_scope"),
)


def _without_login(address: str) -> str:
    url = URL(address)
    if url.raw_user is not None or url.raw_password is not None:
        raise ValueError("holds a user or a password: write them as client_id and client_secret")
    if url.raw_fragment:
        raise ValueError("has a #, and the address of a token server has none")
    return address


Scope = Annotated[
    str,
    StringConstraints(
        pattern=shape(r"^[\x21\x23-\x5b\x5d-\x7e]+$", "a scope without space, quotation mark or backslash")
    ),
]


class OAuth2(BaseModel):
    """Client credentials, and where they are worth a token."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    token_url: Annotated[HttpAddress, AfterValidator(_without_login)]
    """Address of the token server, such as `https://auth.example.com/oauth2/token`."""
    client_id: str = Field(min_length=1)
    """Identifier of the client."""
    client_secret: Password
    """Secret of the client."""
    scopes: tuple[Scope, ...] = ()
    """Scopes to ask for."""
    audience: str | None = Field(None, min_length=1)
    """Audience to ask for, where the token server wants one."""
    authentication: Literal["basic", "post"] = "basic"
    """Place of the client's secret: `basic` authentication, or the body of a `post`."""
    ca_file: Path | None = None
    """CA file to trust for the token server instead of the system's authorities."""
    proxy: ProxyOption | None = None
    """Proxy to the token server instead of that of `outgoing`, such as `http://proxy.internal:3128`, or `none`."""


class TokenError(Exception):
    """The token server gave no token; the message names it, in words that no redaction takes for a secret. `pause` is
    the time in seconds that it asked to be left alone for."""

    def __init__(self, kind: FailureKind, message: str, pause: float | None = None) -> None:
        super().__init__(message)
        self.kind, self.pause = kind, pause


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    until: float  # on the steady clock, as every time here


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Reason why there is no token: told at a time, also to all who waited for it, and to all who ask before its
    end."""

    kind: FailureKind
    message: str
    told: float
    until: float

    def error(self, now: float) -> TokenError:
        return TokenError(self.kind, self.message, self.until - now if self.until > now else None)


class Tokens:
    """Token of one client, for one caller or several at once, who ask for it once together."""

    def __init__(self, config: OAuth2, patience: float) -> None:
        """`patience` is in seconds, for one request."""
        self._config, self._request = config, _request(config)
        self._client = HttpClient(
            patience, ca_file=config.ca_file, body_limit=_LARGEST_ANSWER, proxy=own_proxy(config.proxy)
        )
        self._kept: _Token | None = None
        self._refusal: _Refusal | None = None
        self._sent: deque[str] = deque(maxlen=4)
        self._asking = asyncio.Lock()

    @classmethod
    def of(cls, config: OAuth2 | None, patience: float) -> Tokens | None:
        """Return the tokens of an option; None without one."""
        return cls(config, patience) if config is not None else None

    async def authorized(self, send: Callable[[str], Awaitable[T]], status_of: Callable[[T], int | None]) -> T:
        """Return what `send` gives for a value of the header Authorization: for a new one if one that was kept is
        answered 401. Raises TokenError."""
        token, is_kept = await self._token()
        answer = await send(f"Bearer {token.value}")
        if not is_kept or status_of(answer) != 401:
            return answer
        if self._kept is token:  # nor has another caller replaced it
            self._kept = None
        token, _ = await self._token()
        return await send(f"Bearer {token.value}")

    def mask(self, text: str) -> str:
        """Return a foreign text without the tokens that were sent, which it may quote."""
        for value in self._sent:
            text = text.replace(value, "***")
        return text

    async def close(self) -> None:
        await self._client.close()

    async def _token(self) -> tuple[_Token, bool]:
        """Return a token, and whether it was kept."""
        arrived = time.monotonic()
        async with self._asking:
            now = time.monotonic()
            if self._kept is not None and now < self._kept.until:
                return self._kept, True
            if self._refusal is not None and (arrived < self._refusal.told or now < self._refusal.until):
                raise self._refusal.error(now)
            self._kept = None
            try:
                self._kept = await self._ask()
            except TokenError as error:
                told = time.monotonic()
                self._refusal = _Refusal(error.kind, str(error), told, told + (error.pause or 0.0))
                raise
            self._sent.append(self._kept.value)
            return self._kept, False

    async def _ask(self) -> _Token:
        began = time.monotonic()
        answer = await self._client.ask(self._request)
        if not isinstance(answer, Answer):
            raise TokenError(
                answer.kind or FailureKind.UNEXPECTED_RESPONSE, f"the token server gives no answer: {answer.message}"
            )
        document = _object(answer)
        place = self._request.endpoint
        if answer.status != 200:
            said = document.get("error")
            reason = f": {said}" if said in _ERRORS else ""
            by = f", through the proxy {answer.relay}" if answer.relay is not None else ""
            text = f"the token server {place} answered {answer.status}{reason}{by}"
            pause = asked_pause(answer, datetime.now(UTC)) if answer.status in _BUSY else None
            is_proxys = answer.relay is not None and not reason  # perhaps: it tells no error of its own apart
            raise TokenError(FailureKind.UNEXPECTED_RESPONSE if is_proxys else _kind(answer.status), text, pause)
        value, lasts = document.get("access_token"), document.get("expires_in")
        is_bearer = str(document.get("token_type")).lower() == "bearer"  # RFC 6749, 7.1: no other may be used
        if not is_bearer or not isinstance(value, str) or not value.isascii() or not value.isprintable() or not value:
            lacks = "no token of type Bearer" if document else "something else than JSON: is token_url right?"
            text = f"the token server {place} answered with {lacks}"
            raise TokenError(FailureKind.UNEXPECTED_RESPONSE, text)
        seconds = _seconds(lasts)
        return _Token(value, began + max(seconds - _SPARE, seconds * 0.9))


def _request(config: OAuth2) -> Request:
    form = {"grant_type": "client_credentials"}
    headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
    secret = config.client_secret.get_secret_value()
    if config.scopes:
        form["scope"] = " ".join(config.scopes)
    if config.audience is not None:
        form["audience"] = config.audience
    if config.authentication == "post":
        form |= {"client_id": config.client_id, "client_secret": secret}
    else:  # RFC 6749, 2.3.1: both are encoded as in a form first
        pair = f"{quote_plus(config.client_id)}:{quote_plus(secret)}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return Request(URL(config.token_url), "POST", headers, urlencode(form).encode())


def _object(answer: Answer) -> dict[str, Any]:
    try:
        document = json.loads(answer.body) if answer.whole else None
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _seconds(lasts: object) -> float:
    """Return how long a token is used; one without an end until it is refused."""
    if isinstance(lasts, str) and lasts.isascii() and lasts.isdigit():  # some servers send a text
        lasts = int(lasts[:12])
    if isinstance(lasts, int | float) and not isinstance(lasts, bool) and lasts > 0:
        return float(lasts)
    return float("inf") if lasts is None else 0.0


def _kind(status: int) -> FailureKind:
    match status:
        case 400 | 401 | 403:
            return FailureKind.AUTH
        case 429:
            return FailureKind.RATE_LIMITED
    return FailureKind.UNEXPECTED_RESPONSE
