"""How strongly requests of one interval fail together: the intra-class correlation ρ, estimated from
the past only.

Underestimating ρ makes false alarms, overestimating it makes the judge slower; so three estimates
compete and the largest wins. All are moment estimates of ρ in Var(Y) = M·p(1−p)·(1 + (M−1)ρ), shrunk
towards a prior.
"""

from dataclasses import dataclass
from math import inf, sqrt

_HIGHEST = 0.3
_BLOCKS = (1, 3, 6, 18)
_FEWEST_BLOCKS = 8


@dataclass(slots=True)
class _Sums:
    """Sums over intervals of m requests with y bad ones."""

    yy: float = 0.0
    my: float = 0.0
    mm: float = 0.0
    m: float = 0.0
    y: float = 0.0
    count: int = 0

    def add(self, m: float, y: float) -> None:
        self.yy += y * y
        self.my += m * y
        self.mm += m * m
        self.m += m
        self.y += y
        self.count += 1

    @property
    def rate(self) -> float:
        return _rate(self.y, self.m)

    def correlation(self, rate: float) -> float:
        """Σ[(y−mp)² − mp(1−p)] / Σ[m(m−1)p(1−p)]."""
        variance = rate * (1 - rate)
        excess = self.yy - 2 * rate * self.my + rate * rate * self.mm - variance * self.m
        return excess / max(variance * (self.mm - self.m), 1e-9)


class HistoryBurstiness:
    """ρ of the baseline over its history and the bake, at several block lengths: slow drifts count as
    bursts too.

    Each block length ℓ stands for ℓ·ρ_ℓ, for a correlation across intervals hurts ℓ times. The estimate
    is raised while few blocks hold errors, and shrunk towards `prior` (at most 9 times the rate) with
    `weight` intervals.
    """

    def __init__(self, prior: float, weight: float) -> None:
        self._prior, self._weight = prior, weight
        self._sums = {length: _Sums() for length in _BLOCKS}
        self._open = {length: [0.0, 0.0] for length in _BLOCKS}
        self._seen = 0
        self._with_errors = 0

    def add(self, m: float, y: float) -> None:
        """Take one interval of the baseline."""
        self._seen += 1
        self._with_errors += y > 0
        for length in _BLOCKS:
            block = self._open[length]
            block[0] += m
            block[1] += y
            if self._seen % length == 0:
                self._sums[length].add(block[0], block[1])
                self._open[length] = [0.0, 0.0]

    @property
    def correlation(self) -> float:
        """ρ as known now."""
        rate = self._sums[1].rate
        seen = max(
            (length * sums.correlation(rate) for length, sums in self._sums.items() if sums.count >= _FEWEST_BLOCKS),
            default=0.0,
        )
        seen = min(_HIGHEST, max(0.0, seen) * (1 + 2 / sqrt(1 + self._with_errors)))
        prior = min(self._prior, max(5e-4, 9 * rate))
        return _shrunk(seen, prior, self._weight, self._sums[1].m * rate, self._sums[1].count)


class BakeBurstiness:
    """ρ of the baseline during the bake, around its own mean."""

    def __init__(self, prior: float = 0.001, weight: float = 3.0) -> None:
        self._prior, self._weight = prior, weight
        self._sums = _Sums()

    def add(self, m: float, y: float) -> None:
        """Take one interval of the baseline."""
        self._sums.add(m, y)

    @property
    def correlation(self) -> float:
        """ρ as known now."""
        rate = self._sums.rate
        seen = min(_HIGHEST, max(0.0, self._sums.correlation(rate)))
        return _shrunk(seen, min(self._prior, 9 * rate), self._weight, self._sums.m * rate, self._sums.count)


class StepProofBurstiness:
    """ρ of the candidate during the bake, from successive differences with the largest one left out: a
    step up, which is the very thing to be found, is not taken for a burst.
    """

    def __init__(self, prior: float = 0.001, weight: float = 3.0) -> None:
        self._prior, self._weight = prior, weight
        self._m = self._y = 0.0
        self._count = 0
        self._squares = self._inverses = self._pairs = 0.0
        self._largest = (0.0, 0.0, 0.0)
        self._previous: tuple[float, float] | None = None

    def add(self, m: float, y: float) -> None:
        """Take one interval of the candidate."""
        self._m += m
        self._y += y
        self._count += 1
        if m <= 0:
            return
        rate = y / m
        if self._previous is not None:
            square = (rate - self._previous[0]) ** 2
            inverse = 1 / m + 1 / self._previous[1]
            self._squares += square
            self._inverses += inverse
            self._pairs += 2 - inverse
            self._largest = max(self._largest, (square, inverse, 2 - inverse))
        self._previous = (rate, m)

    @property
    def correlation(self) -> float:
        """ρ as known now."""
        rate = _rate(self._y, self._m)
        variance = rate * (1 - rate)
        squares, inverses, pairs = (
            total - dropped
            for total, dropped in zip((self._squares, self._inverses, self._pairs), self._largest, strict=True)
        )
        seen = min(_HIGHEST, max(0.0, (squares - variance * inverses) / max(variance * pairs, 1e-9)))
        return _shrunk(seen, min(self._prior, 9 * rate), self._weight, self._m * rate, self._count)


class Burstiness:
    """The largest of the estimates, for one stream of counts."""

    def __init__(self, history: list[tuple[float, float]]) -> None:
        known = bool(history)
        self._history = (
            HistoryBurstiness(prior=0.02, weight=5.0) if known else HistoryBurstiness(prior=0.05, weight=20.0)
        )
        self._baseline = BakeBurstiness()
        self._candidate = StepProofBurstiness()
        for m, y in history:
            self._history.add(m, y)

    def add_baseline(self, m: float, y: float) -> None:
        """Take an interval of the baseline, after it was judged."""
        self._history.add(m, y)
        self._baseline.add(m, y)

    def add_candidate(self, m: float, y: float) -> None:
        """Take an interval of the candidate after the warm-up, after it was judged."""
        self._candidate.add(m, y)

    @property
    def correlation(self) -> float:
        """ρ to judge the next interval with."""
        return max(self._history.correlation, self._baseline.correlation, self._candidate.correlation)

    @property
    def odds(self) -> float:
        """(1 − ρ)/ρ, the form in which the e-values take it."""
        correlation = self.correlation
        return (1 - correlation) / correlation if correlation > 0 else inf


def _rate(y: float, m: float) -> float:
    """The mean rate, away from 0 and 1 while little is known."""
    return min(0.999, max(1e-6, (y + 0.5) / (m + 100)))


def _shrunk(seen: float, prior: float, weight: float, errors: float, count: int) -> float:
    """A weighted mean of estimate and prior; an interval informs as far as it expects errors."""
    expected = errors / max(1, count)
    informed = count * expected / (1 + expected)
    return (informed * seen + weight * prior) / (informed + weight)
