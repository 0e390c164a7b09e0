"""Tests of harm and safety against a baseline of the past, which is known as a confidence interval that does not
improve with time."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, log
from statistics import median

from healthd_gates.judge.burstiness import HistoryBurstiness
from healthd_gates.judge.criterion import Frame
from healthd_gates.judge.interval import RateInterval
from healthd_gates.judge.past import Span
from healthd_gates.judge.processes import LimitHarm, LimitSafety

_SHARE = 0.1
"""The share of the risk that the interval gets; the tests have the rest."""
_HIGHEST, _LOWEST = 0.999, 1e-6


class AgainstPast:
    """Compares with a limit that is the rate of the past times a ratio: the interval's upper end for harm, its lower
    end for safety.

    So the comparison is as good in the last hour of a watch as in its first minute. `tolerated` and `harmful` are the
    past as the two tests read it, each with its ratio.
    """

    def __init__(self, tolerated: tuple[Sequence[Span], float], harmful: tuple[Sequence[Span], float], frame: Frame):
        self._target = frame.safety_needed
        _, high = rate_interval(tolerated[0], _SHARE * frame.risk.false_rollback / frame.parts)
        low, _ = rate_interval(harmful[0], _SHARE * frame.risk.false_pass / frame.parts)
        above, below = tolerated[1] * high, min(harmful[1] * low, _HIGHEST)
        self._harm = LimitHarm(above, frame.horizon) if above < _HIGHEST else None
        self._safety = LimitSafety(below) if below > _LOWEST else None

    def step(
        self, candidate: tuple[float, float], odds: float, cap: float, keeping: tuple[float, float] | None = None
    ) -> None:
        """Take the candidate's requests and bad ones of one interval; `keeping` are those that the test of safety
        reads, if they differ.
        """
        requests, bad = candidate
        if self._harm:
            self._harm.step(bad, requests, odds, cap)
        requests, bad = keeping or candidate
        if self._safety:
            self._safety.step(bad, requests, odds)

    def looks_needed(self, target: float, mean: tuple[float, float], odds: float) -> float:
        """Return the number of intervals like the mean one until safety is proven."""
        if self._safety is None:
            return inf
        return self._safety.looks_needed(target - log(1 - _SHARE), mean[1], mean[0], odds)

    @property
    def log_e_harm(self) -> float:
        """ln E of harm."""
        return self._harm.log_e + log(1 - _SHARE) if self._harm else 0.0

    @property
    def log_e_safe(self) -> float:
        """ln E of safety."""
        return self._safety.log_e + log(1 - _SHARE) if self._safety else 0.0


def rate_interval(past: Sequence[Span], risk: float) -> tuple[float, float]:
    """Return the confidence interval of the rate of the past: each end misses it with probability at most `risk`."""
    if not past:
        return 0.0, 1.0
    burstiness, interval = HistoryBurstiness(median(seconds for _, _, seconds in past)), RateInterval()
    for requests, bad, seconds in past:
        burstiness.add(requests, bad, seconds)
    odds = 1 / burstiness.correlation - 1
    for requests, bad, _ in past:
        interval.step(bad, requests, odds)
    return interval.bounds(2 * risk)
