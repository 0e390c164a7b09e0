"""The addresses under which a proxy logs a target: those that its name resolves to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from ipaddress import ip_address

_KEPT = 30.0  # seconds


class Addresses:
    """Resolves the names of targets, now and then."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, frozenset[str]]] = {}
        self.unknown: list[str] = []
        """Names that could not be resolved the last time."""

    async def of(self, places: Iterable[str]) -> frozenset[str]:
        """Return the addresses of some `host:port`. A name that cannot be resolved keeps its former ones."""
        self.unknown = []
        found: set[str] = set()
        for place in places:
            found |= await self._of_one(place)
        return frozenset(found)

    async def _of_one(self, place: str) -> frozenset[str]:
        host, _, port = place.rpartition(":")
        if _is_address(host.strip("[]")):
            return frozenset((place,))
        loop = asyncio.get_running_loop()
        at, known = self._known.get(place, (float("-inf"), frozenset[str]()))
        if loop.time() < at + _KEPT:
            return known
        try:
            answers = await loop.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
        except OSError:
            self.unknown.append(host)
            return known | {place}
        hosts = {str(answer[4][0]) for answer in answers}
        addresses = frozenset(f"[{each}]:{port}" if ":" in each else f"{each}:{port}" for each in hosts) | {place}
        self._known[place] = (loop.time(), addresses)
        return addresses


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
