"""Name lookups that a piece of work waits for, and the proxy that it goes through.

A timeout during a lookup is no silence of the peer, which nobody has called: the resolver of the C library asks a lost
question again after five seconds (resolv.conf(5)), and most timeouts are shorter.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass
from typing import Any

from healthd.runtime.hosts import ascii_name

_SLOW = 1.0  # seconds; an answer that is not lost comes within milliseconds
_PART = 0.25  # of the time of the work, that a lookup must have taken for the work to be late because of it


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Name that was still being looked up when the time of the work ended, and the seconds that it was waited for."""

    host: str
    seconds: float

    def __str__(self) -> str:
        return f"the name {self.host} was not resolved within {round(self.seconds, 2):g} s"


class Lookups:
    """Lookups of one piece of work that begins now, with those of every task that it starts."""

    def __init__(self) -> None:
        self._now = asyncio.get_running_loop().time
        self._began = self._now()
        self._in_flight: dict[object, tuple[str, float]] = {}
        self._given_up: tuple[Unresolved, float] | None = None
        self._slowest = "", _SLOW
        self.proxy = ""
        """Proxy that the latest request goes through, as host and port."""

    @contextmanager
    def waiting_for(self, host: str) -> Iterator[None]:
        """Note that the work waits for a name."""
        lookup, began = object(), self._now()
        self._in_flight[lookup] = host, began
        try:
            yield
        except asyncio.CancelledError:
            self._given_up = Unresolved(host, self._now() - began), self._now()
            raise
        else:
            self._slowest = max(self._slowest, (host, self._now() - began), key=lambda lookup: lookup[1])
        finally:
            del self._in_flight[lookup]

    @property
    def unresolved(self) -> Unresolved | None:
        """Name that the work waits for, or waited for until it gave up: for a good part of its time, and without
        anything that has taken longer since."""
        now, found = self._now(), None
        if self._in_flight:
            host, began = min(self._in_flight.values(), key=lambda lookup: lookup[1])
            found = Unresolved(host, now - began)
        elif self._given_up is not None and now - self._given_up[1] <= self._given_up[0].seconds:
            found = self._given_up[0]
        return found if found is not None and found.seconds >= _PART * (now - self._began) else None

    @property
    def remark(self) -> str:
        """A remark on a lookup that took long, to be put after what came of the work; empty if none did."""
        host, seconds = self._slowest
        return f"; the name {host} was only resolved after {round(seconds, 2):g} s" if host else ""

    @property
    def way(self) -> str:
        """The proxy between, to be put after what was waited for; empty if there is none."""
        return f" through the proxy {self.proxy}" if self.proxy else ""


_current: ContextVar[Lookups | None] = ContextVar("lookups", default=None)


def noted() -> tuple[Lookups, Context]:
    """Return an empty book of lookups, and the context in which work must run for its lookups to be noted there."""
    lookups, context = Lookups(), copy_context()
    context.run(_current.set, lookups)
    return lookups, context


@contextmanager
def noting() -> Iterator[None]:
    """Note the lookups of what runs here, which has a timeout of its own, for `unresolved`."""
    before = _current.set(Lookups())
    try:
        yield
    finally:
        _current.reset(before)


def unresolved() -> Unresolved | None:
    """Return the name for which this piece of work waits, or waited until its time ended; None if there is none."""
    lookups = _current.get()
    return None if lookups is None else lookups.unresolved


def remark() -> str:
    """Return what is to be said of the lookups of this piece of work, as Lookups has it."""
    lookups = _current.get()
    return "" if lookups is None else lookups.remark


def going_through(proxy: str) -> None:
    """Note for the piece of work that runs here, if there is one, which proxy its request goes through, if any."""
    if (lookups := _current.get()) is not None:
        lookups.proxy = proxy


def way() -> str:
    """Return the proxy that this piece of work waits for, as Lookups has it."""
    lookups = _current.get()
    return "" if lookups is None else lookups.way


@contextmanager
def waiting_for(host: bytes | str | None) -> Iterator[None]:
    """Note for the piece of work that runs here, if there is one, that it waits for a name."""
    lookups = _current.get()
    if lookups is None or host is None:
        yield
        return
    with lookups.waiting_for(host if isinstance(host, str) else host.decode(errors="replace")):
        yield


async def look_up(host: str, port: int, *, flags: int = 0) -> list[tuple[Any, ...]]:
    """Return the addresses of a name for TCP, as socket.getaddrinfo does. Raises socket.gaierror. It is noted also on
    an event loop that is not the daemon's."""
    loop = asyncio.get_running_loop()
    with waiting_for(host):
        return [*await loop.getaddrinfo(ascii_name(host), port, type=socket.SOCK_STREAM, flags=flags)]
