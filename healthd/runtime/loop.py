"""Event loop of the daemon: asyncio's own, with name lookups in which a hung resolver cannot hang the daemon.

`getaddrinfo` cannot be cancelled. On the loop's default executor each probe that timed out would leave a thread behind
until none is left, and the interpreter would wait for all of them at exit. Every driver on this loop (asyncpg, redis,
aiohttp) looks names up through it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures.thread  # noqa: F401 - asyncio would import it in the loop, where that may block
import encodings.idna  # noqa: F401 - and socket this
import socket
import threading
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from healthd.runtime.hosts import ascii_name
from healthd.runtime.lookups import waiting_for

T = TypeVar("T")
AddressInfo = list[tuple[Any, ...]]

_ENDING = 1.0  # seconds for tasks to end with the loop
_HEAD_START = 0.25  # seconds before the next address is tried in parallel
_MOST_IN_FLIGHT, _MOST_THREADS = 64, 256
_LOOK_AGAIN = 0.5
_TRIED_ANEW_AFTER = 60.0  # seconds after which a resolver that hung is tried again
_HUNG_AFTER = 5.0  # seconds after which a lookup is abandoned and counts as hung


@dataclass(frozen=True, slots=True)
class _Lookup:
    began: float
    answer: asyncio.Future[AddressInfo]


class Loop(asyncio.SelectorEventLoop):
    """Event loop that looks each name up at most once at a time, in a daemon thread of its own; other callers share the
    result."""

    def __init__(self) -> None:
        super().__init__()
        self._lookups: dict[tuple[Any, ...], _Lookup] = {}
        self._in_flight = 0

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 - the name is asyncio's
        proto: int = 0,
        flags: int = 0,
    ) -> AddressInfo:
        """Look up a name as socket.getaddrinfo does. Raises socket.gaierror also when the resolver hangs."""
        with waiting_for(host):
            return await self._answer(host, port, family, type, proto, flags)

    async def _answer(self, host: bytes | str | None, *how: Any) -> AddressInfo:
        query = (ascii_name(host) if isinstance(host, str) else host, *how)
        while (lookup := self._lookups.get(query)) is None and self._is_busy():
            await self._one_less()
        if lookup is None or (
            self.time() - lookup.began > _TRIED_ANEW_AFTER and self._in_flight < _MOST_IN_FLIGHT // 2
        ):
            lookup = self._begin(query)
        if (age := self.time() - lookup.began) > _HUNG_AFTER:
            raise socket.gaierror(socket.EAI_AGAIN, f"the lookup begun {age:.0f} s ago has not returned")
        return await asyncio.shield(lookup.answer)

    async def create_connection(self, *args: Any, **options: Any) -> Any:
        """Connect as asyncio does; of several addresses, a silent one does not delay the others (RFC 8305). Database
        drivers do not ask for that themselves."""
        if options.get("sock") is None and (len(args) > 1 or options.get("host") is not None):
            options.setdefault("happy_eyeballs_delay", _HEAD_START)
        return await super().create_connection(*args, **options)

    async def create_server(
        self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any
    ) -> asyncio.Server:
        """Listen as asyncio does; but `::` is every address of both families, as elsewhere, and not only those of
        IPv6."""
        if host != "::" or options.get("sock") is not None:
            return await super().create_server(protocol_factory, host, port, **options)
        if not socket.has_dualstack_ipv6():  # a machine without IPv6
            return await super().create_server(protocol_factory, "0.0.0.0", port, **options)
        both = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        return await super().create_server(protocol_factory, sock=both, **options)

    def _is_busy(self) -> bool:
        """True if another lookup must wait for a free thread. A lookup that hangs blocks no other one, except by its
        thread."""
        if self._in_flight >= _MOST_THREADS:
            return False  # it is refused
        now = self.time()
        return sum(now - lookup.began <= _HUNG_AFTER for lookup in self._lookups.values()) >= _MOST_IN_FLIGHT

    async def _one_less(self) -> None:
        """Return when a lookup has ended, or may have started to hang."""
        answers = {lookup.answer for lookup in self._lookups.values()}
        await asyncio.wait(answers, timeout=_LOOK_AGAIN, return_when=asyncio.FIRST_COMPLETED)

    def _begin(self, query: tuple[Any, ...]) -> _Lookup:
        if self._in_flight >= _MOST_THREADS:
            raise socket.gaierror(socket.EAI_AGAIN, f"{self._in_flight} other name lookups have not returned")
        lookup = _Lookup(self.time(), self.create_future())
        lookup.answer.add_done_callback(lambda answer: answer.exception())  # the caller may have been cancelled
        try:
            threading.Thread(target=self._look_up, args=(query, lookup), name="lookup", daemon=True).start()
        except RuntimeError as error:  # no more threads: a lookup that did not start must not be waited for
            raise socket.gaierror(socket.EAI_AGAIN, f"the lookup cannot be begun: {error}") from error
        self._lookups[query] = lookup
        self._in_flight += 1
        return lookup

    def _look_up(self, query: tuple[Any, ...], lookup: _Lookup) -> None:
        found: AddressInfo | OSError
        try:
            found = socket.getaddrinfo(*query)
        except UnicodeError:  # an empty label, or one that is too long
            found = socket.gaierror(socket.EAI_NONAME, "this cannot be a host's name")
        except OSError as error:
            found = error
        except Exception as error:
            found = socket.gaierror(socket.EAI_FAIL, f"the lookup failed: {error!r}")
        with suppress(RuntimeError):  # the loop has closed meanwhile
            self.call_soon_threadsafe(self._end, query, lookup, found)

    def _end(self, query: tuple[Any, ...], lookup: _Lookup, found: AddressInfo | OSError) -> None:
        self._in_flight -= 1
        if self._lookups.get(query) is lookup:  # rather than one that started since
            del self._lookups[query]
        if isinstance(found, Exception):
            lookup.answer.set_exception(found)
        else:
            lookup.answer.set_result(found)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run as asyncio.run does, on this loop; but a task that ignores its cancellation or hangs in a thread does not
    delay the end."""
    loop = Loop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.run_until_complete(_end_tasks())
        loop.close()  # without waiting for the threads of the default executor


async def _end_tasks() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=_ENDING)
    async with asyncio.timeout(_ENDING):
        await asyncio.get_running_loop().shutdown_asyncgens()
