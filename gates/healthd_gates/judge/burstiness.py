"""Estimates how strongly requests of one interval fail together: the intra-class correlation ρ, from the past only.

Underestimating ρ makes false alarms, overestimating it makes the judge slower; so three estimates compete and the
largest wins. All are moment estimates of ρ in Var(Y) = M·p(1−p)·(1 + (M−1)ρ), shrunk towards a prior.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt
from typing import Self

from healthd_gates.judge.past import Past, Reading, Span, without_incident

_HIGHEST = 0.3
_TINY = 1e-9
_BLOCKS = (30.0, 60.0, 180.0)  # seconds, beside the evaluation's own interval
_FEWEST_BLOCKS = 8
_SHORT, _JOINED = 5.0, 10.0  # seconds: an evaluation's interval below that is also looked at joined to blocks
_JUMP, _JUMP_ERRORS = 3.0, 4.0  # times the mean, and errors beyond it, from which an interval is out of the ordinary


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
        """Return Σ[(y−mp)² − mp(1−p)] / Σ[m(m−1)p(1−p)], less one standard deviation of what chance alone adds."""
        variance = rate * (1 - rate)
        excess = self.yy - 2 * rate * self.my + rate * rate * self.mm - variance * self.m
        chance = sqrt(2 * variance * variance * self.mm + variance * self.m)
        return max(0.0, excess - chance) / max(variance * (self.mm - self.m), _TINY)


class HistoryBurstiness:
    """ρ of the baseline over its history and the bake, over several lengths of time: slow drifts count as bursts too.

    A block of ℓ intervals counts as ℓ·ρ_ℓ, since a correlation across intervals does ℓ times the harm; therefore an
    interval of the past may be longer than one of an evaluation. The estimate is raised while few intervals have
    errors.
    """

    def __init__(self, look: float = 10.0, prior: float = 0.02, weight: float = 5.0) -> None:
        self._look, self._prior, self._weight = look, prior, weight
        lengths = [look, *(length for length in _BLOCKS if length > 1.4 * look)]
        self._blocks = [_Blocks(length) for length in lengths]
        self._m = self._y = self._seconds = 0.0
        self.count = 0
        self._with_errors = 0

    def add(self, m: float, y: float, seconds: float | None = None) -> None:
        """Take the baseline's counts of so many seconds, one evaluation's interval unless given."""
        seconds = self._look if seconds is None else seconds
        self.count += 1
        self._with_errors += y > 0
        self._m, self._y, self._seconds = self._m + m, self._y + y, self._seconds + seconds
        for blocks in self._blocks:
            blocks.add(m, y, seconds)

    @property
    def rate(self) -> float:
        """The mean error rate."""
        return _rate(self._y, self._m)

    @property
    def correlation(self) -> float:
        """The present estimate of ρ."""
        known = [blocks for blocks in self._blocks if blocks.sums.count >= _FEWEST_BLOCKS]
        seen = max((blocks.looks(self._look) * blocks.sums.correlation(self.rate) for blocks in known), default=0.0)
        raised = seen * (1 + 2 / sqrt(1 + self._with_errors))
        looks = max(1, round(self._seconds / self._look))
        return _shrunk(raised, self._prior, self._weight, self.rate, self._m, looks if self.count else 0)


class _Blocks:
    """Intervals joined until they are `length` seconds long; longer ones have no place here."""

    def __init__(self, length: float) -> None:
        self._length = length
        self.sums = _Sums()
        self._seconds = 0.0
        self._open = (0.0, 0.0, 0.0)

    def add(self, m: float, y: float, seconds: float) -> None:
        if seconds > 1.4 * self._length:
            return
        self._open = (self._open[0] + m, self._open[1] + y, self._open[2] + seconds)
        if self._open[2] >= 0.95 * self._length:
            self.sums.add(self._open[0], self._open[1])
            self._seconds += self._open[2]
            self._open = (0.0, 0.0, 0.0)

    def looks(self, look: float) -> float:
        """Return the mean number of evaluations in a block."""
        return max(1.0, self._seconds / max(1, self.sums.count) / look)


class BakeBurstiness:
    """ρ of the baseline during the bake, around its own mean. The estimate is raised while the bake is young, so that
    bursts after a quiet past are accepted at once.
    """

    def __init__(self, prior: float = 0.001, weight: float = 1.0) -> None:
        self._prior, self._weight = prior, weight
        self._sums = _Sums()

    def add(self, m: float, y: float) -> None:
        """Take one interval of the baseline."""
        self._sums.add(m, y)

    @property
    def correlation(self) -> float:
        """The present estimate of ρ."""
        sums = self._sums
        raised = sums.correlation(sums.rate) * _raise(sums.count)
        return _shrunk(raised, self._prior, self._weight, sums.rate, sums.m, sums.count)


class StepProofBurstiness:
    """ρ of the candidate during the bake, from successive differences with the largest one left out: a step up, which
    is the very harm to detect, is not taken for a burst.

    Weighted by h = 1/(1/m + 1/m'), a squared difference of rates expects p(1−p)·(1 + (2h−1)ρ).
    """

    def __init__(self, prior: float = 0.0003, weight: float = 1.0) -> None:
        self._prior, self._weight = prior, weight
        self._m = self._y = 0.0
        self._count = 0
        self._totals = self._largest = (0.0, 0.0, 0.0, 0.0)
        self._previous: tuple[float, float] | None = None

    def add(self, m: float, y: float) -> None:
        """Take one interval of the candidate."""
        self._m += m
        self._y += y
        self._count += 1
        if m <= 0:
            return
        if self._previous is not None:
            before, rate = self._previous
            inverse = 1 / m + 1 / before
            square, pairs = (y / m - rate) ** 2 / inverse, 2 / inverse - 1
            totals = self._totals
            self._totals = (totals[0] + square, totals[1] + pairs, totals[2] + inverse, totals[3] + 1)
            self._largest = max(self._largest, (square, pairs, inverse, 1.0))
        self._previous = (m, y / m)

    def jumps(self, m: float, y: float) -> bool:
        """True if so many errors are far above the mean so far."""
        return y > _JUMP * _rate(self._y, self._m) * m + _JUMP_ERRORS

    @property
    def correlation(self) -> float:
        """The present estimate of ρ."""
        rate = _rate(self._y, self._m)
        variance = rate * (1 - rate)
        squares, pairs, inverses, count = (a - b for a, b in zip(self._totals, self._largest, strict=True))
        chance = sqrt(3 * variance * variance * count + variance * max(0.0, inverses) / 2)
        seen = max(0.0, squares - variance * count - chance) / max(variance * pairs, _TINY)
        return _shrunk(seen * _raise(self._count), self._prior, self._weight, rate, self._m, self._count)


class _JoinedBurstiness:
    """ρ during the bake over blocks of ten seconds, as it counts for an evaluation of fewer: bursts last for several of
    those, which one by one look independent.
    """

    def __init__(self, look: float, estimate: BakeBurstiness | StepProofBurstiness) -> None:
        self._look, self._estimate = look, estimate
        self._open = (0.0, 0.0, 0.0)
        self.correlation = 0.0

    def add(self, m: float, y: float, seconds: float) -> None:
        self._open = (self._open[0] + m, self._open[1] + y, self._open[2] + seconds)
        if self._open[2] >= 0.95 * _JOINED:
            self._estimate.add(self._open[0], self._open[1])
            self.correlation = min(_HIGHEST, self._estimate.correlation * self._open[2] / self._look)
            self._open = (0.0, 0.0, 0.0)


class Burstiness:
    """The largest of the estimates, for one stream of counts. With no baseline at all the candidate's own estimate
    takes the place of the history's, from the same prior.

    `history` has requests, bad ones and seconds of each interval of the past; an evaluation's interval is `look`
    seconds long. `own` are intervals of the candidate in the gate that a watch follows: harm that began in it must be
    no burst that the watch forgives.
    """

    def __init__(self, history: Iterable[Span] = (), look: float = 10.0, own: Iterable[Span] = ()) -> None:
        self._history = HistoryBurstiness(look)
        self._baseline = BakeBurstiness()
        self._candidate = StepProofBurstiness()
        self._alone = StepProofBurstiness(prior=0.02, weight=5.0)
        self._joined: tuple[_JoinedBurstiness, ...] = ()
        if look < _SHORT:
            self._joined = tuple(_JoinedBurstiness(look, each) for each in (BakeBurstiness(), StepProofBurstiness()))
        for m, y, seconds in without_incident(list(history)):
            self._history.add(m, y, seconds)
        for m, y, _ in own:
            self._candidate.add(m, y)
            self._alone.add(m, y)

    @classmethod
    def of(cls, past: Past, reading: Reading, look: float) -> Self:
        """Return the estimates by what was counted before."""
        return cls(past.spans(reading), look, past.own_spans(reading))

    def learn(
        self,
        candidate: tuple[float, float] | None,
        baseline: tuple[float, float] | None,
        seconds: float,
        *,
        settling: bool,
    ) -> None:
        """Take an interval, after it was judged. Trouble that both arms share is ignored: it is no burst of one arm,
        and does not affect a test that compares the two.
        """
        if candidate and baseline and self._candidate.jumps(*candidate) and self._baseline_jumps(*baseline):
            return
        if baseline is not None:
            self._history.add(*baseline, seconds)
            self._baseline.add(*baseline)
        if candidate is not None and not settling:
            self._candidate.add(*candidate)
            self._alone.add(*candidate)
        for joined, counts in zip(self._joined, (baseline, None if settling else candidate), strict=False):
            if counts is not None:
                joined.add(*counts, seconds)

    def _baseline_jumps(self, m: float, y: float) -> bool:
        return y > _JUMP * self._history.rate * m + _JUMP_ERRORS

    @property
    def correlation(self) -> float:
        """ρ for judging the next interval."""
        long = self._history if self._history.count else self._alone
        joined = (each.correlation for each in self._joined)
        return max(long.correlation, self._baseline.correlation, self._candidate.correlation, *joined)

    @property
    def odds(self) -> float:
        """(1 − ρ)/ρ, the form in which the e-values use it."""
        correlation = self.correlation
        return (1 - correlation) / correlation


def _rate(y: float, m: float) -> float:
    """Return the mean rate, away from 0 and 1 while there are few counts."""
    return min(0.999, max(1e-6, (y + 0.5) / (m + 100)))


def _raise(count: int) -> float:
    """Return the factor by which a young estimate is raised."""
    return 1 + 5 / sqrt(1 + count)


def _shrunk(seen: float, prior: float, weight: float, rate: float, m: float, count: int) -> float:
    """Return a weighted mean of estimate and prior; an interval has weight according to the errors that it expects.

    Rare errors leave the prior little room: it is limited to 9 times their rate.
    """
    expected = m * rate / max(1, count)
    informed = count * expected / (1 + expected)
    held = min(prior, max(5e-4, 9 * rate))
    return (informed * min(seen, _HIGHEST) + weight * held) / (informed + weight)
