"""Waiting for something to become true, in a test that runs an event loop and in one that does not."""

import asyncio
import time
from collections.abc import Awaitable, Callable

_POLL = 0.01


class NeverHappenedError(AssertionError):
    """What was waited for did not come about in time."""


async def until(happened: Callable[[], bool | Awaitable[bool]], what: str, timeout: float = 10.0) -> None:
    """Let the event loop run until `happened()`; raises NeverHappenedError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        answer = happened()
        if answer if isinstance(answer, bool) else await answer:
            return
        if time.monotonic() > deadline:
            raise NeverHappenedError(f"not within {timeout} s: {what}")
        await asyncio.sleep(_POLL)


def until_now(happened: Callable[[], bool], what: str, timeout: float = 10.0) -> None:
    """As `until`, blocking."""
    deadline = time.monotonic() + timeout
    while not happened():
        if time.monotonic() > deadline:
            raise NeverHappenedError(f"not within {timeout} s: {what}")
        time.sleep(_POLL)
