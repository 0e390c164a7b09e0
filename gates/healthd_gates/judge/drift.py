"""Drift of a value by itself, from the baseline's past.

A healthy version's value may stay away from another's for minutes: two machines, two caches. A test of signs cannot
tell that from harm, whatever its distance between samples; so the candidate has to be worse by more than the past
differs from itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from healthd_gates.domain.evidence import Values
from healthd_gates.judge.past import Stretch

_MEAN = 300.0  # seconds: longer than a verdict takes where harm is plain
_FEWEST = 3600.0  # seconds of the past that show a drift


@dataclass(frozen=True, slots=True)
class Drift:
    """Distance of two healthy versions: by so much, and by so many times."""

    difference: float
    ratio: float = 1.0

    def above(self, value: float) -> float:
        """Return the highest that another version's value may be beside this one."""
        return max(value + self.difference, value * self.ratio)

    def below(self, value: float) -> float:
        """Return the lowest that another version's value may be beside this one."""
        return min(value - self.difference, value / self.ratio)


def drift_of(past: Iterable[Stretch]) -> Drift | None:
    """Return how far the highest and the lowest five-minute mean lie apart, None if the past is too short."""
    window, length, total, seen = deque[tuple[float, float]](), 0.0, 0.0, 0.0
    lowest: float | None = None
    highest = 0.0
    for numbers, seconds in past:
        if not isinstance(numbers, Values):
            continue
        window.append((median(numbers.values), seconds))
        length, total, seen = length + seconds, total + window[-1][0], seen + seconds
        while length - window[0][1] >= _MEAN - 1e-6:
            value, gone = window.popleft()
            length, total = length - gone, total - value
        if length >= _MEAN - 1e-6:
            mean = total / len(window)
            lowest, highest = (mean, mean) if lowest is None else (min(lowest, mean), max(highest, mean))
    if lowest is None or seen < _FEWEST:
        return None
    return Drift(highest - lowest, highest / lowest if lowest > 0 else 1.0)
