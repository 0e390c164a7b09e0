"""Restarts of processes within a window of time, by counters of a supervisor that only grow. No I/O here."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping


class Restarts:
    """Restarts by process, from what the looks before have seen of their counters."""

    def __init__(self, window: float) -> None:
        self._window = window
        self._counts: Mapping[str, int] = {}
        self._seen: dict[str, deque[tuple[float, int]]] = {}

    def count(self, counters: Mapping[str, int], now: float, at_first: Mapping[str, int] = {}) -> dict[str, int]:
        """Return the restarts of each process within the window that ends `now`, in Unix seconds. Of a process that is
        seen for the first time count those that are known `at_first`. A counter that began again counts from zero."""
        self._seen = {name: self._seen.get(name) or deque() for name in counters}
        for name, count in counters.items():
            before = self._counts.get(name)
            new = at_first.get(name, 0) if before is None else count - before if count >= before else count
            seen = self._seen[name]
            if new:
                seen.append((now, new))
            while seen and not 0 <= now - seen[0][0] < self._window:
                seen.popleft()
        self._counts = dict(counters)
        return {name: sum(new for _, new in seen) for name, seen in self._seen.items()}
