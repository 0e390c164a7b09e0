"""Runs what blocks in a daemon thread, one call at a time: a dead network file system takes no other thread with it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from healthd.model import FailureKind
from healthd_gates.sources.contract import SourceUnavailable

T = TypeVar("T")


class Worker:
    """The thread of one log."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._turn = asyncio.Lock()
        self._hung: asyncio.Future[Any] | None = None

    async def call(self, function: Callable[[], T], seconds: float) -> T:
        """Return what the function returns. Raises SourceUnavailable if it, or one before it, takes too long."""
        try:
            async with asyncio.timeout(seconds):
                async with self._turn:
                    if self._hung is not None and not self._hung.done():
                        await asyncio.wait({self._hung})
                    self._hung = answer = self._begin(function)
                    return await asyncio.shield(answer)
        except TimeoutError:
            message = f"{self._name} was not read within {seconds:g} s: a dead network file system?"
            raise SourceUnavailable(FailureKind.TIMEOUT, message) from None

    def _begin(self, function: Callable[[], T]) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())  # its caller may be gone

        def settle(result: T | None, error: BaseException | None) -> None:
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)  # type: ignore[arg-type]

        def run() -> None:
            result, failure = None, None
            try:
                result = function()
            except BaseException as error:
                failure = error
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, result, failure)

        threading.Thread(target=run, name=f"log:{self._name}", daemon=True).start()
        return answer
