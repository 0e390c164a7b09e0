"""Places in a pool of connections, given in the order in which callers came.

The pool's own queue keeps neither order nor pace: who asks in the moment in which a connection is free is served before
those who wait, and each waits so many seconds however fast the queue moves, so that of many deploys that start at once
the last ones would be refused.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from healthd.journal.errors import JournalError


class NoPlaceError(JournalError):
    """No place became free in time. It says with what the latest of those who had one failed, if any did."""


class Places:
    """A number of places. Whoever waits does so for as long as the queue moves: it fails once nobody got anything done
    for `seconds`. A place that is given back after a JournalError goes to the next, who may find the journal back, and
    does not count: else each would wait for as long as all before it take to fail."""

    def __init__(self, count: int, seconds: float) -> None:
        self._free, self._seconds = count, seconds
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._moved_at = 0.0
        self._problem: str | None = None

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Have a place during the block. Raises NoPlaceError."""
        if self._free:
            self._free -= 1
        else:
            await self._wait()
        try:
            yield
        except JournalError as error:
            self._problem = str(error)
            raise
        except Exception:  # the block's own
            self._moved()
            raise
        else:
            self._moved()
        finally:
            self._give_back()

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        given: asyncio.Future[None] = loop.create_future()
        self._waiting.append(given)
        since = loop.time()
        try:
            while not given.done():
                left = max(since, self._moved_at) + self._seconds - loop.time()
                if left <= 0:
                    busy = f"busy: none of its connections became free for {self._seconds:g} s"
                    raise NoPlaceError(self._problem or busy)
                await asyncio.wait({given}, timeout=left)
        except BaseException:
            if given.done():
                self._give_back()
            else:
                self._waiting.remove(given)
            raise

    def _moved(self) -> None:
        self._moved_at, self._problem = asyncio.get_running_loop().time(), None

    def _give_back(self) -> None:
        """Give the place to whoever has waited longest: nobody can take it in between."""
        if self._waiting:
            self._waiting.popleft().set_result(None)
        else:
            self._free += 1
