"""A deadline that holds whatever the awaited code does. For probes, sources and everything else that may hang."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
GRACE = 0.1  # seconds that a cancelled coroutine gets to clean up before it is left behind


class DeadlineExceededError(TimeoutError):
    """It took longer than it may."""

    def __init__(self, seconds: float, abandoned: asyncio.Task[Any] | None) -> None:
        super().__init__(f"no answer within {seconds:g} s")
        self.abandoned = abandoned  # still running: it ignored its cancellation


class SelfCancelledError(Exception):
    """It was cancelled from within, not by whoever awaited it."""

    def __init__(self) -> None:
        super().__init__("it was cancelled from within")


async def with_deadline(seconds: float, work: Coroutine[Any, Any, T], *, name: str) -> T:
    """The result of `work`, or DeadlineExceededError at most `seconds` + `GRACE` later.

    Unlike asyncio.timeout it does not wait for code that swallows its cancellation, and a cancellation that `work`
    brings upon itself arrives as SelfCancelledError: a CancelledError always means that the caller is to stop.
    """
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_retrieve)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if done:
        if task.cancelled():
            raise SelfCancelledError
        return task.result()
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=GRACE)
    raise DeadlineExceededError(seconds, None if done else task)


async def shielded(work: Coroutine[Any, Any, T], *, name: str) -> T:
    """The result of `work`, which goes on to its end also where whoever waits for it is cancelled.

    For what writes: a transaction that is cancelled amid a statement may keep SQLite locked until its cursor is
    collected, and nobody would tell of what it has committed.
    """
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_retrieve)
    return await asyncio.shield(task)


def _retrieve(task: asyncio.Task[Any]) -> None:
    """What a probe says after its time is up is not asked for; without this asyncio would complain about it."""
    if not task.cancelled():
        task.exception()
