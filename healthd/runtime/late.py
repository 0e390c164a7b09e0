"""Word to whoever waits for what takes longer than it mostly does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def told_if_late(seconds: float, tell: Callable[[], None]) -> Iterator[None]:
    """Call `tell` once if the block takes longer than so many seconds. Needs a running event loop."""
    timer = asyncio.get_running_loop().call_later(seconds, tell)
    try:
        yield
    finally:
        timer.cancel()
