"""Mixtures of e-values, kept as logarithms: over alternatives, and over the time at which harm began."""

from collections.abc import Iterable, Sequence
from math import exp, inf, log, log1p


def log_add(first: float, second: float) -> float:
    """Return ln(eᵃ + eᵇ) without overflow."""
    high, low = (first, second) if first >= second else (second, first)
    return high if low == -inf else high + log1p(exp(low - high))


def log_mean(values: Sequence[float]) -> float:
    """Return ln of the mean of eᵛ."""
    high = max(values)
    if high == -inf:
        return high
    return high + log(sum(exp(value - high) for value in values) / len(values))


def log_weighted(parts: Iterable[tuple[float, float]]) -> float:
    """Return ln Σ w·eᵛ for pairs (w, v) with w ≥ 0."""
    known = [(weight, value) for weight, value in parts if weight > 0 and value > -inf]
    high = max((value for _, value in known), default=-inf)
    return high + log(sum(weight * exp(value - high) for weight, value in known)) if known else -inf


class Mixture:
    """A mixture over alternatives: as good as the best of them, less the logarithm of 1 / its weight. The weights are
    equal unless given. `log_e` is ln E so far; it is read several times a step.
    """

    def __init__(self, alternatives: int, weights: Sequence[float] | None = None) -> None:
        self._logs = [0.0] * alternatives
        self._weights = weights or [1 / alternatives] * alternatives
        self.log_e = 0.0

    def step(self, log_es: Sequence[float]) -> None:
        """Take one interval's log e-value for each alternative."""
        self._logs = [total + step for total, step in zip(self._logs, log_es, strict=True)]
        self.log_e = log_weighted(zip(self._weights, self._logs, strict=True))

    def looks_needed(self, target: float, log_es: Sequence[float]) -> float:
        """Return the number of steps like `log_es` until ln E reaches `target`: 0 if it has, inf if it never would."""
        if self.log_e >= target:
            return 0.0
        alternatives = zip(self._weights, self._logs, log_es, strict=True)
        return min((target - log(weight) - total) / step if step > 0 else inf for weight, total, step in alternatives)


class OnsetMixture:
    """A mixture over alternatives and over the interval in which the harm began, so that a late harm is detected as
    fast as an early one (in the spirit of e-detectors; Shin, Ramdas & Rinaldo 2023).

    The weight `first` lies on the first interval, the rest equally on the others up to `horizon` intervals; `weights`
    are those of the alternatives, equal unless given. `log_e` is ln E so far, in which the weight that has not started
    yet counts as 1.
    """

    def __init__(
        self, alternatives: int, horizon: int, first: float = 0.5, weights: Sequence[float] | None = None
    ) -> None:
        self._logs = [-inf] * alternatives
        self._weights = weights or [1 / alternatives] * alternatives
        self._first = first
        self._later = (1 - first) / max(1, horizon - 1)
        self._waiting = 1.0
        self.log_e = 0.0

    def step(self, log_es: Sequence[float]) -> None:
        """Take one interval's log e-value for each alternative."""
        weight = min(self._waiting, self._first)
        self._first = self._later
        self._waiting -= weight
        if weight > 0:
            entering = log(weight)
            self._logs = [log_add(total, entering) for total in self._logs]
        self._logs = [total + step for total, step in zip(self._logs, log_es, strict=True)]
        started = log_weighted(zip(self._weights, self._logs, strict=True))
        self.log_e = log_add(started, log(self._waiting)) if self._waiting > 1e-15 else started
