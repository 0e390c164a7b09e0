"""Clock of the daemon. All code that needs the time is passed a Clock; nothing else reads one."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall clock for people, and a steady one for durations."""

    def now(self) -> datetime:
        """Return the wall time, aware, in UTC."""

    def steady(self) -> float:
        """Return seconds that never run backwards, from an arbitrary start."""


class SystemClock:
    """Clocks of the machine. The steady one counts the time that a suspended machine slept: a result that was fresh
    before is stale after it."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def steady(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)
