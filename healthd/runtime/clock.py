"""Time as the daemon sees it. Everything that needs the time is handed a Clock; nothing else reads one."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """A wall clock for people and a steady one for durations."""

    def now(self) -> datetime:
        """The wall time, aware, in UTC."""

    def steady(self) -> float:
        """Seconds that never run backwards, from an arbitrary start."""


class SystemClock:
    """The machine's clocks. The steady one counts the time a suspended machine slept: what was fresh before the
    sleep is stale after it."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def steady(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)
