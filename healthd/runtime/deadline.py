"""Deadline that holds whatever the awaited code does: for probes, sources and everything else that may hang."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from healthd.runtime.lookups import Unresolved, noted

T = TypeVar("T")
GRACE = 0.1  # seconds that a cancelled coroutine gets to clean up before it is abandoned


class DeadlineExceededError(TimeoutError):
    """The work took longer than its deadline, perhaps because a name is `unresolved`."""

    def __init__(
        self,
        seconds: float,
        abandoned: asyncio.Task[Any] | None,
        unresolved: Unresolved | None = None,
        remark: str = "",
        way: str = "",
    ) -> None:
        said = f"no answer within {seconds:g} s{way}{remark}"
        super().__init__(str(unresolved) if unresolved is not None else said)
        self.abandoned = abandoned  # still running: it ignored its cancellation
        self.unresolved = unresolved

    def told_of(self, who: str) -> str:
        """Return the error as a sentence about who was asked."""
        return str(self) if self.unresolved is not None else f"{who} gave {self}"


class SelfCancelledError(Exception):
    """The work was cancelled from within, not by its caller."""

    def __init__(self) -> None:
        super().__init__("it was cancelled from within")


async def with_deadline(seconds: float, work: Coroutine[Any, Any, T], *, name: str) -> T:
    """Return the result of `work`, or raise DeadlineExceededError at most `seconds` + `GRACE` later.

    Unlike asyncio.timeout it does not wait for code that swallows its cancellation. If `work` cancels itself,
    SelfCancelledError is raised: a CancelledError always means that the caller must stop. The name lookups of `work`
    are noted, so that the error can tell of one that took all the time.
    """
    lookups, context = noted()
    task = asyncio.create_task(work, name=name, context=context)
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
    unresolved, way = lookups.unresolved, lookups.way
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=GRACE)
    raise DeadlineExceededError(seconds, None if done else task, unresolved, lookups.remark, way)


async def shielded(work: Coroutine[Any, Any, T], *, name: str) -> T:
    """Return the result of `work`, which runs to its end even if its caller is cancelled.

    For writes: a transaction that is cancelled during a statement may keep SQLite locked until its cursor is collected,
    and its commit would be unknown to everyone.
    """
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_retrieve)
    return await asyncio.shield(task)


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Retrieve the exception of a probe that ended after its deadline; otherwise asyncio would log a warning."""
    if not task.cancelled():
        task.exception()
