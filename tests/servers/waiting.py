"""Waiting for something to become true, in a test that runs an event loop and in one that does not.

The timeout is a guard against waiting for ever: it is no claim that something is fast, and so leaves room for a machine
on which everything takes many times as long.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

HANGS = 60.0  # seconds


class NeverHappenedError(AssertionError):
    """What was waited for did not come about in time."""


async def until(
    happened: Callable[[], bool | Awaitable[bool]], what: str | Callable[[], str], timeout: float = HANGS
) -> None:
    """Let the event loop run until `happened()`; raises NeverHappenedError after `timeout` seconds. A `what` that is
    called tells what was seen last."""
    began = time.monotonic()
    while True:
        answer = happened()
        if answer if isinstance(answer, bool) else await answer:
            return
        await asyncio.sleep(_pause(began, timeout, what))


def until_now(happened: Callable[[], bool], what: str | Callable[[], str], timeout: float = HANGS) -> None:
    """As `until`, blocking."""
    began = time.monotonic()
    while not happened():
        time.sleep(_pause(began, timeout, what))


def _pause(began: float, timeout: float, what: str | Callable[[], str]) -> float:
    """Seconds until the next look: a tenth of what was waited so far, so that a long wait asks ten times a second and
    stays below what a caller of the API may ask."""
    waited = time.monotonic() - began
    if waited > timeout:
        raise NeverHappenedError(f"not within {timeout} s: {what if isinstance(what, str) else what()}")
    return min(max(waited / 10, 0.01), 0.1)
