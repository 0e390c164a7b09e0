"""The anytime-valid confidence interval of a rate: it contains the true value at all evaluations at once, with or
without bursts."""

from collections.abc import Sequence
from math import exp, log, log1p

from healthd_gates.judge.mixtures import log_mean

_ABOVE = (1.05, 1.1, 1.2, 1.4, 1.7, 2.2, 3.0, 5.0, 10.0)
_BELOW = (0.95, 0.9, 0.8, 0.65, 0.5, 0.3, 0.1)
_STEPS = 60  # at most: usually fewer than ten
_PRECISION = 1e-9  # of the bound


class RateInterval:
    """The set of all rates p that no e-value refutes: for the tilt `times`, ln E(p) = X·ln k − S − p·T is linear
    in p.
    """

    def __init__(self) -> None:
        self.requests = 0.0
        self.bad = 0.0
        self._sums = {times: [0.0, 0.0] for times in _ABOVE + _BELOW}

    def step(self, bad: float, requests: float, odds: float) -> None:
        """Take one interval."""
        if requests <= 0:
            return
        self.bad += bad
        self.requests += requests
        spread = max(requests / odds, 1e-9)
        for times, sums in self._sums.items():
            bend = log1p(spread * (times - 1) / (1 + spread))
            sums[0] += bad * bend
            sums[1] += requests / spread * bend

    def bounds(self, risk: float) -> tuple[float, float]:
        """Return (low, high), wrong at any evaluation ever with probability at most `risk`."""
        if self.requests <= 0:
            return 0.0, 1.0
        needed = log(2 / risk)
        seen = min(1.0, self.bad / self.requests)
        return self._edge(0.0, seen, needed, _ABOVE), self._edge(1.0, seen, needed, _BELOW)

    def side(self, rate: float, risk: float) -> int:
        """Return the side on which the true rate is proven to be: above `rate` (1), below it (−1), or neither (0)."""
        if self.requests <= 0:
            return 0
        needed = log(2 / risk)
        if self._log_e(rate, _ABOVE) >= needed:
            return 1
        return -1 if self._log_e(rate, _BELOW) >= needed else 0

    def _edge(self, refuted: float, kept: float, needed: float, times: Sequence[float]) -> float:
        """Return the last refuted rate on the way to `kept`, by Newton's method: ln E is convex in the rate, so that a
        step from a refuted rate ends at one that is refuted too, or just is not.
        """
        lines = self._lines(times)
        for _ in range(_STEPS):  # pragma: no branch - a bound on what converges before
            values = [start - refuted * slope for start, slope in lines]
            high = max(values)
            weights = [exp(value - high) for value in values]
            total = sum(weights)
            excess = high + log(total / len(weights)) - needed
            if excess < 0:
                break
            slope = sum(weight * slope for weight, (_, slope) in zip(weights, lines, strict=True)) / total
            before, refuted = refuted, refuted + excess / slope
            if (refuted - kept) * (before - kept) <= 0:
                return kept
            if abs(refuted - before) <= _PRECISION * refuted:
                break
        return refuted

    def _log_e(self, rate: float, alternatives: Sequence[float]) -> float:
        return log_mean([start - rate * slope for start, slope in self._lines(alternatives)])

    def _lines(self, alternatives: Sequence[float]) -> list[tuple[float, float]]:
        """Return ln E of each alternative as (at a rate of 0, what it loses per rate)."""
        return [(self.bad * log(times) - self._sums[times][0], self._sums[times][1]) for times in alternatives]
