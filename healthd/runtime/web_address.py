"""An address on the web that people need to read, and in which a secret may stand: a password, a key, a hook's path."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from healthd.runtime.secret_forms import is_key, is_secret_name, looks_secret, parts_of_address

_MASK = "***"


class WebAddress(str):
    """A text that is asked as it is, and shown as `masked`; its secret parts are known to the redactor."""

    __slots__ = ()

    @property
    def secrets(self) -> Iterable[str]:
        """Its parts that are secret, in the pieces in which a server repeats them."""
        yield from parts_of_address(str(self))

    @property
    def masked(self) -> str:
        """The address without its user, its keys and the values of its query that are secret."""
        address = urlsplit(self)
        _, at, host = address.netloc.rpartition("@")
        path = "/".join(_MASK if is_key(segment) else segment for segment in address.path.split("/"))
        query = "&".join(map(_masked_pair, address.query.split("&")))
        return urlunsplit((address.scheme, f"{_MASK}@{host}" if at else host, path, query, address.fragment))


class ShownMasked:
    """Makes a WebAddress of a text that a configuration gives, and has it shown as `masked`."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        shown = core_schema.plain_serializer_function_ser_schema(lambda url: WebAddress(url).masked, when_used="json")
        return core_schema.no_info_after_validator_function(WebAddress, handler(source), serialization=shown)


def _masked_pair(pair: str) -> str:
    name, equals, value = pair.partition("=")
    return f"{name}={_MASK}" if value and (is_secret_name(name) or looks_secret(value)) else name + equals + value
