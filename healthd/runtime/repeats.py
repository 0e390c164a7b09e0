"""Log a repeated event once, and then with its count: no fault, and no caller, may fill the log."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

_PAUSE = 60.0  # seconds in which one kind is logged once
_MOST_KINDS = 256


class Repeats:
    """Counts events of each kind."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._kinds: dict[Hashable, tuple[float, int]] = {}

    def count(self, kind: Hashable) -> int:
        """Count one event. Return the number since this kind was last logged; 0 while it is too early to log it
        again."""
        told, times = self._kinds.pop(kind, (float("-inf"), 0))
        is_due = self._now() - told >= _PAUSE
        self._kinds[kind] = (self._now(), 0) if is_due else (told, times + 1)
        if len(self._kinds) > _MOST_KINDS:
            del self._kinds[next(iter(self._kinds))]
        return times + 1 if is_due else 0
