"""Ticks at equal intervals on the monotonic clock. They do not drift, and missed ones are skipped."""

from __future__ import annotations

import asyncio
from math import floor

from healthd.runtime.clock import Clock


class Ticker:
    """The first tick comes `delay` seconds from now, the others `every` seconds after one another."""

    def __init__(self, clock: Clock, every: float, delay: float = 0.0) -> None:
        self._clock, self._every = clock, every
        self._next = clock.steady() + delay

    @property
    def left(self) -> float:
        """Seconds until the next tick."""
        return max(0.0, self._next - self._clock.steady())

    async def wait(self) -> float:
        """Sleep until the next tick; return by how many seconds it came late."""
        left = self._next - self._clock.steady()
        if left > 0:
            await asyncio.sleep(left)
        late = max(0.0, self._clock.steady() - self._next)
        self._next += self._every * (floor(late / self._every) + 1)
        return late
