"""When synthetic requests are sent: at a steady rate, whatever becomes of those before. What is sent, and what counts,
is in `probe.py`.

A client that waits for one answer before it asks again asks less often just when the target is slow, and so misses what
it is there to see (coordinated omission).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from math import floor
from typing import Any

_NAP = 0.1  # seconds between two looks at how late the event loop is
_STALL = 0.05  # seconds by which the loop may be late before what it measured meanwhile is in doubt


class OpenLoop:
    """Starts `fire` at every tick of a schedule, and knows when the daemon itself was too busy to be believed."""

    def __init__(self, rate: float, fire: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._period, self._fire = 1 / rate, fire
        self._stalled_at = self._wakes_at = 0.0
        self.missed = 0
        """Ticks that passed while the daemon stood still. They are not made up for: a burst is no steady rate."""

    async def run(self) -> None:
        """Until cancelled; ends what it started."""
        loop = asyncio.get_running_loop()
        start, tick = loop.time(), 0
        async with asyncio.TaskGroup() as fired:
            while True:
                await self._sleep_until(start + tick * self._period)
                passed = floor((loop.time() - start) / self._period + 1e-9)
                self.missed += max(0, passed - tick)
                tick = max(tick, passed)
                fired.create_task(self._fire(), name="synthetic-request")
                tick += 1

    def stood_still_since(self, moment: float) -> bool:
        """Whether the event loop was late at any time since `moment` (in its own time): what took so long may have been
        the daemon."""
        now = asyncio.get_running_loop().time()
        return self._stalled_at >= moment or now > self._wakes_at + _STALL

    async def _sleep_until(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        while (left := due - loop.time()) > 0:
            self._wakes_at = loop.time() + min(left, _NAP)
            await asyncio.sleep(min(left, _NAP))
            if loop.time() > self._wakes_at + _STALL:
                self._stalled_at = loop.time()
        self._wakes_at = loop.time()
