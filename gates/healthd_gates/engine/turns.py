"""Turns for the work that keeps the event loop busy: to judge a look takes milliseconds, and a thousand gates may have
one due at the same moment. In between comes whatever else there is to do: answers to probes, and the journal's
transactions, each statement of which waits for a turn of the loop."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Turns:
    """One at a time has its turn, in the order of asking, and at most one in an iteration of the event loop."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> None:
        await self._lock.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await asyncio.sleep(0)
        finally:
            self._lock.release()
