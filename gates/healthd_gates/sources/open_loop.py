"""The schedule of synthetic requests: at a steady rate, whatever the state of earlier ones. `probe.py` decides what is
sent and counted.

A client that waits for one answer before its next request sends fewer just when the target is slow, and so misses what
it is meant to measure (coordinated omission).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from math import floor
from typing import Any

_NAP = 0.1  # seconds between two checks of how late the event loop is
_STALL = 0.05  # seconds by which the loop may be late before its measurements are in doubt


class OpenLoop:
    """Calls `fire` at every tick of a schedule, and detects that the daemon itself was too busy for valid
    measurements."""

    def __init__(self, rate: float, fire: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._period, self._fire = 1 / rate, fire
        self._stalled_at = self._wakes_at = 0.0
        self.missed = 0
        """Ticks that passed while the daemon was blocked. They are not made up for: a burst is no steady rate."""

    async def run(self) -> None:
        """Run until cancelled; then cancel the calls that it started."""
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
        """True if the event loop was late at any time since `moment` (in its own time): the daemon may be the cause of
        a long latency."""
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
