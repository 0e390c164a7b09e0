"""An event loop in virtual time for code that also talks to SQLite.

Time jumps to the next timer when nothing is left to do, and while a thread works for the loop it stands still. SQLite's
driver has a thread for each connection; here its calls run in the loop's own, since to hand them over costs several
times as much as what they do. Each is answered in the loop's next turn, as a thread would at the earliest, and waits
for a lock of another connection in virtual time, too.
"""

import asyncio
import selectors
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain, repeat
from threading import Thread
from types import SimpleNamespace
from typing import Any

import aiosqlite
from aiosqlite.core import set_exception, set_result
from looptime import LoopTimeEventLoop

from healthd.runtime import daemon_thread

_STUCK_SECONDS = 20.0
_LOOKS_EVERY = 16  # turns of a busy loop
_LOCKED = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.025, 0.025, 0.025, 0.05, 0.05)  # between tries, as SQLite has it
_LOCKED_FOR_LONG = 0.1


class VirtualLoop(LoopTimeEventLoop, asyncio.SelectorEventLoop):  # else looptime's plugin puts its own before it
    """Its `time` moves only by sleeping."""

    def __init__(self) -> None:
        _CallsOfThreads.pending = 0
        self._selector_in_time = _Selector()
        asyncio.SelectorEventLoop.__init__(self, self._selector_in_time)

    def setup_looptime(self, **_options: Any) -> None:
        """Leave time to this loop's own selector."""

    def time(self) -> float:
        return self._selector_in_time.now

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Without the limit that Python 3.12 and newer set: time would jump over it while the threads end."""
        await asyncio.SelectorEventLoop.shutdown_default_executor(self)

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        future = asyncio.SelectorEventLoop.run_in_executor(self, executor, func, *args)
        _CallsOfThreads.add(future)
        return future


class _Selector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self._busy_turns = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is not None and timeout <= 0:
            # The loop has something to do: to ask the kernel each time would cost more than most of what it does.
            self._busy_turns += 1
            return [] if self._busy_turns % _LOOKS_EVERY else super().select(0)
        if ready := super().select(0):
            return ready
        if _CallsOfThreads.pending or timeout is None:
            ready = super().select(_STUCK_SECONDS)
            if not ready:
                raise AssertionError("nothing will ever happen here: a thread is stuck, or nobody is waited for")
            return ready
        self.now += timeout
        return []


class _CallsOfThreads:
    """How many calls to threads, SQLite's among them, have no answer yet."""

    pending = 0

    @classmethod
    def add(cls, future: asyncio.Future[Any]) -> None:
        cls.pending += 1
        future.add_done_callback(cls._answered)

    @classmethod
    def _answered(cls, _future: object) -> None:
        cls.pending -= 1


class _Calls:
    """Takes the place of the queue of a connection's thread."""

    def __init__(self, loop: VirtualLoop, connector: Callable[[], sqlite3.Connection]) -> None:
        self._loop, self._connector = loop, connector
        self._patience = 0.0  # for locks of other connections, in seconds

    def put_nowait(self, item: tuple[asyncio.Future[Any] | None, Callable[[], Any]]) -> None:
        future, call = item
        tries = chain(_LOCKED, repeat(_LOCKED_FOR_LONG))
        deadline = self._loop.time() + self._patience
        self._carry_out(future, self._connect if call is self._connector else call, tries, deadline)

    def _connect(self) -> sqlite3.Connection:
        connection = self._connector()
        (milliseconds,) = connection.execute("PRAGMA busy_timeout").fetchone()
        connection.execute("PRAGMA busy_timeout = 0")  # to wait there would stop who holds the lock
        self._patience = milliseconds / 1000
        return connection

    def _carry_out(
        self, future: asyncio.Future[Any] | None, call: Callable[[], Any], tries: Iterator[float], deadline: float
    ) -> None:
        try:
            result = call()
        except sqlite3.OperationalError as error:
            again = self._loop.time() + next(tries)
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY and again <= deadline:
                self._loop.call_at(again, self._carry_out, future, call, tries, deadline)
            else:
                self._answer(set_exception, future, error)
        except BaseException as error:  # all of them are the caller's
            self._answer(set_exception, future, error)
        else:
            self._answer(set_result, future, result)

    def _answer(self, answer: Callable[..., None], future: asyncio.Future[Any] | None, said: Any) -> None:
        if future is not None and not self._loop.is_closed():  # a connection of a crashed replica is collected later
            self._loop.call_soon(answer, future, said)


def _run_in_the_loop() -> None:
    """aiosqlite puts every call for its thread into a queue, with the future of the answer."""
    build = aiosqlite.Connection.__init__

    def in_the_loop(connection: aiosqlite.Connection, connector: Callable[[], Any], *args: Any, **kwargs: Any) -> None:
        build(connection, connector, *args, **kwargs)
        loop = asyncio.get_running_loop()
        if isinstance(loop, VirtualLoop):
            connection._tx = _Calls(loop, connector)  # type: ignore[assignment]
            connection._thread = Thread(target=bool)  # without work

    setattr(aiosqlite.Connection, "__init__", in_the_loop)  # noqa: B010


class _DaemonThread(Thread):
    """A thread of `in_daemon_thread`, which says to the loop that it has ended once it has answered."""

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._counts = isinstance(self._loop, VirtualLoop)
        _CallsOfThreads.pending += self._counts
        super().start()

    def run(self) -> None:
        super().run()
        if self._counts:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(_CallsOfThreads._answered, None)


_run_in_the_loop()
setattr(daemon_thread, "threading", SimpleNamespace(Thread=_DaemonThread))  # noqa: B010
