"""Web address that people need to read, and that may contain a secret: a password, a key, a hook's path."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import AfterValidator, GetCoreSchemaHandler, SecretStr
from pydantic_core import CoreSchema, core_schema

from healthd.runtime.authority import authority_of, problem_of_authority, refuse_ends
from healthd.runtime.secret_forms import is_key, is_secret_name, looks_secret

_MASK = "***"


def require_http(url: str) -> str:
    """Return a valid http address. Raises ValueError, without the address, which may be a secret."""
    refuse_ends(url)
    if (problem := problem_of_authority(authority_of(url))) is not None:
        raise ValueError(f"is not a URL: write http://host/path or https://host/path; it {problem}")
    try:
        address = urlsplit(url)
        valid = address.scheme in ("http", "https") and bool(address.hostname) and (address.port or 1) > 0
    except ValueError:  # a port, or brackets
        valid = False
    if not valid or any(character.isspace() for character in url):
        raise ValueError("is not a URL: write http://host/path or https://host/path")
    return url


def _require_http_secret(url: SecretStr) -> SecretStr:
    require_http(url.get_secret_value())
    return url


SecretHttpUrl = Annotated[SecretStr, AfterValidator(_require_http_secret)]


class WebAddress(str):
    """Text that is used unchanged for requests, and shown as `masked`; its secret parts are known to the redactor."""

    __slots__ = ()

    @property
    def masked(self) -> str:
        """Address without its user, its keys and the secret values of its query."""
        address = urlsplit(self)
        _, at, host = address.netloc.rpartition("@")
        path = "/".join(_MASK if is_key(segment) else segment for segment in address.path.split("/"))
        query = "&".join(map(_masked_pair, address.query.split("&")))
        return urlunsplit((address.scheme, f"{_MASK}@{host}" if at else host, path, query, address.fragment))


class ShownMasked:
    """Turns a text of a configuration into a WebAddress, which is shown as `masked`."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        shown = core_schema.plain_serializer_function_ser_schema(lambda url: WebAddress(url).masked, when_used="json")
        return core_schema.no_info_after_validator_function(WebAddress, handler(source), serialization=shown)


def _masked_pair(pair: str) -> str:
    name, equals, value = pair.partition("=")
    return f"{name}={_MASK}" if value and (is_secret_name(name) or looks_secret(value)) else name + equals + value
