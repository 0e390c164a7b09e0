"""Resolves names before a synthetic request, so that its latency does not include that: a slow resolver is no slow
candidate, and a name that cannot be resolved is no failed request.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

_KEPT = 30.0  # seconds


class Names(AbstractResolver):
    """A resolver that caches what was resolved through it, and makes no lookup during a request."""

    def __init__(self) -> None:
        # By the event loop's own lookups, which a hung resolver cannot exhaust.
        self._lookups = ThreadedResolver()
        self._known: dict[tuple[str, int], tuple[float, list[ResolveResult]]] = {}

    async def prepare(self, url: URL) -> None:
        """Resolve the host, unless that was done recently. Raises OSError, unless an older answer is cached."""
        host, port = url.raw_host or "", url.port or 0
        if _is_address(host):
            return
        now = asyncio.get_running_loop().time()
        found, _ = self._known.get((host, port), (-_KEPT, []))
        if now < found + _KEPT:
            return
        try:
            self._known[host, port] = (now, await self._lookups.resolve(host, port, socket.AF_UNSPEC))
        except OSError:
            if (host, port) not in self._known:
                raise

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return self._known[host, port][1]

    async def close(self) -> None:
        await self._lookups.close()


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
