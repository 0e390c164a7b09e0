"""The ratio criterion: the tests of the error rate, for any part of any whole."""

from __future__ import annotations

from healthd_gates.domain.evidence import Counts
from healthd_gates.judge.criterion import Frame
from healthd_gates.judge.error_rate import ErrorRate
from healthd_gates.judge.past import Past, Reading
from healthd_gates.judge.processes import Catastrophe
from healthd_gates.judge.rules import ErrorRateRule


def bad_part(counts: Counts) -> tuple[float, float]:
    """Return the whole, and the part of it that is bad."""
    return counts.requests, min(counts.errors, counts.requests)


def all_but_good(counts: Counts) -> tuple[float, float]:
    """Return the whole, and all of it that is not the good part."""
    return counts.requests, max(0.0, counts.requests - counts.errors)


class Ratio(ErrorRate):
    """A ratio in use.

    More than half of a whole may well be normal, as with a cache's misses: so the share of a catastrophe is tested only
    where a limit says what is too much.
    """

    _noun = "event"

    def __init__(self, rule: ErrorRateRule, frame: Frame, past: Past, reading: Reading) -> None:
        super().__init__(rule, frame, past, reading)
        self._what = f"share of bad {rule.name}"

    def _catastrophe_of(self, limit: float | None) -> Catastrophe | None:
        return None if limit is None else super()._catastrophe_of(limit)
