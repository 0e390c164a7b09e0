"""A site of NGINX: the servers that it passes requests on to, its log, and where this host reaches it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_LISTEN = re.compile(r"(?:(?P<host>\[[0-9a-fA-F:.]+\]|\*|[A-Za-z0-9.-]*[A-Za-z.][A-Za-z0-9.-]*)(?::|$))?(?P<port>\d+)?")
_OWN = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}
_HOST = re.compile(r"(?=.*[a-z])[a-z0-9-]+(?:\.[a-z0-9-]+)*", re.IGNORECASE)
_NOT_HTTP = frozenset({"proxy_protocol", "quic"})


@dataclass(frozen=True, slots=True)
class Front:
    """The address at which this host reaches a site.

    Requests to `path` and below are passed on, but for those of the locations `apart`, such as `/static/` or
    `= /health`; the service sees them below `uri`, or as they are where that is empty.
    """

    addresses: tuple[str, ...]
    """URLs without a path, those without TLS first."""
    host: str | None
    """The name to ask for; None if any will do."""
    path: str
    uri: str
    apart: tuple[str, ...] = ()

    def outside(self, inside: str) -> str | None:
        """Return the path at which NGINX passes on what the service has at `inside`; None if it does not."""
        if self.uri and not inside.startswith(self.uri):
            return None
        outside = self.path + inside.removeprefix(self.uri) if self.uri else inside
        taken = any(outside.startswith(each) and len(each) >= len(self.path) for each in self.apart)
        taken = taken or f"= {outside}" in self.apart
        return outside if outside.startswith(self.path) and not taken else None


@dataclass(frozen=True, slots=True)
class Site:
    """A server block that passes requests on. `log_format` is None if nobody defines the format that it names; `log`
    if it has none in a file; `front` if only a pattern says what is passed on."""

    name: str
    servers: tuple[str, ...]
    log: Path | None
    log_format: str | None
    shares_log: bool = False
    front: Front | None = None


def is_host(name: str) -> bool:
    """Return True for a `server_name` that a request can ask for: no pattern, and not the one that stands for none."""
    return _HOST.fullmatch(name) is not None


def addresses(listen: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the URLs of a server block by the words of each `listen`, those without TLS first; none for what does not
    speak HTTP over TCP to this host."""
    plain, secure = list[str](), list[str]()
    for address, *words in listen or [("80",)]:
        match = _LISTEN.fullmatch(address)
        if match is None or _NOT_HTTP & set(words):
            continue
        host = _OWN.get(match["host"] or "*", match["host"])
        scheme, found = ("https", secure) if "ssl" in words else ("http", plain)
        found.append(f"{scheme}://{host}:{match['port'] or '80'}")
    return tuple(dict.fromkeys((*plain, *secure)))
