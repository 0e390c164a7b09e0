"""Host of a connection, as an option of its own beside `port`."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

_BRACKETS = re.compile(r"\[(?P<address>.*)\](?P<port>:\d*)?")


def _host_alone(host: str) -> str:
    """Return a name or an address. Raises ValueError for what is more than that."""
    if "://" in host or any(character in "/@" or character.isspace() for character in host):
        raise ValueError("write the host alone: a name or an address, without a scheme, a user or a path")
    in_brackets = _BRACKETS.fullmatch(host)
    if host.count(":") == 1 or (in_brackets and in_brackets["port"]):
        raise ValueError("write the host alone: the port goes into port")
    if in_brackets:
        raise ValueError(f"write the address without brackets: {in_brackets['address']}")
    return host


Host = Annotated[str, Field(min_length=1), AfterValidator(_host_alone)]
"""Name or address."""
