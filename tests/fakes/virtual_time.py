"""An event loop in virtual time for code that also talks to SQLite, whose driver works in threads of its own.

Time jumps to the next timer when nothing is left to do, and while a thread works for the loop it stands still.
"""

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

import aiosqlite

_STUCK_SECONDS = 20.0


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its `time` moves only by sleeping."""

    def __init__(self) -> None:
        _CallsOfThreads.pending = 0
        self._selector_in_time = _Selector()
        super().__init__(self._selector_in_time)

    def time(self) -> float:
        return self._selector_in_time.now

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Without the limit that Python 3.12 and newer set: time would jump over it while the threads end."""
        await super().shutdown_default_executor()

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        future = super().run_in_executor(executor, func, *args)
        _CallsOfThreads.add(future)
        return future


class _Selector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
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


def _count_calls_of_threads() -> None:
    """aiosqlite puts every call for its thread into a queue, with the future of the answer."""
    build = aiosqlite.Connection.__init__

    def counting(connection: aiosqlite.Connection, *args: Any, **kwargs: Any) -> None:
        build(connection, *args, **kwargs)
        put = connection._tx.put_nowait
        queue = connection._tx

        class Counting:
            def put_nowait(self, item: Any) -> None:
                if item[0] is not None:
                    _CallsOfThreads.add(item[0])
                put(item)

            def get(self) -> Any:
                return queue.get()

        connection._tx = Counting()  # type: ignore[assignment]

    setattr(aiosqlite.Connection, "__init__", counting)  # noqa: B010


_count_calls_of_threads()
