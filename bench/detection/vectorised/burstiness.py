"""The estimates of burstiness, a row a run."""

from dataclasses import dataclass

import numpy as np

from bench.detection.streams import Array
from bench.detection.vectorised.mixtures import Mask
from healthd_gates.judge import burstiness as product
from healthd_gates.judge import past as product_past

_TINY = 1e-9


@dataclass(frozen=True)
class Counts:
    """Requests and bad ones of one arm in one interval, and the runs in which it reported."""

    m: Array
    y: Array
    here: Mask

    @classmethod
    def of(cls, requests: Array, bad: Array) -> "Counts":
        """Read a column of a stream, in which a missing report is NaN."""
        return cls(np.nan_to_num(requests), np.nan_to_num(bad), ~np.isnan(requests))


def without_incident(m: Array, y: Array, seconds: float) -> tuple[Array, Array]:
    """Return the past without its one incident: what is left comes first, and NaN is at the end."""
    length = m.shape[1]
    if not length or length * seconds < product_past._PARTS * product_past._INCIDENT:
        return m, y
    window = int(product_past._INCIDENT // seconds)
    rate = _mean_rate(m, y)
    sums = np.pad(np.cumsum(_excess(m, y, rate), axis=1), ((0, 0), (1, 0)))
    last = np.arange(1, length + 1)
    first = np.maximum(0, last - window)
    gains = sums[:, last] - sums[:, first]
    place = gains.argmax(axis=1)
    found = gains.max(axis=1) > 0
    begin, end = np.where(found, first[place], 0), np.where(found, last[place], 0)
    columns = np.arange(length)
    inside = (columns >= begin[:, None]) & (columns < end[:, None])
    left = _mean_rate(np.where(inside, 0.0, m), np.where(inside, 0.0, y))
    excess = _excess(m, y, left)
    within, outside = (excess * inside).sum(axis=1), (excess * ~inside).sum(axis=1)
    chance = np.sqrt((2 * (m * left[:, None]) ** 2 + m * left[:, None]).sum(axis=1))
    dominates = (within > product_past._SHARE * (within + np.maximum(0.0, outside))) & (within > 3 * chance)
    cut = inside & dominates[:, None]
    order = np.argsort(cut, axis=1, kind="stable")
    kept = [np.take_along_axis(np.where(cut, np.nan, part), order, axis=1) for part in (m, y)]
    return kept[0], kept[1]


def _mean_rate(m: Array, y: Array) -> Array:
    return np.asarray((np.nansum(y, axis=1) + 0.5) / (np.nansum(m, axis=1) + 100))


def _excess(m: Array, y: Array, rate: Array) -> Array:
    r = rate[:, None]
    return np.asarray((y - m * r) ** 2 - m * r * (1 - r))


class _Sums:
    def __init__(self, runs: int) -> None:
        self.yy, self.my, self.mm, self.m, self.y, self.count = np.zeros((6, runs))

    def add(self, m: Array, y: Array, mask: Mask) -> None:
        m, y = np.where(mask, m, 0.0), np.where(mask, y, 0.0)
        self.yy += y * y
        self.my += m * y
        self.mm += m * m
        self.m += m
        self.y += y
        self.count += mask

    @property
    def rate(self) -> Array:
        return _rate(self.y, self.m)

    def correlation(self, rate: Array) -> Array:
        variance = rate * (1 - rate)
        excess = self.yy - 2 * rate * self.my + rate * rate * self.mm - variance * self.m
        chance = np.sqrt(2 * variance * variance * self.mm + variance * self.m)
        return np.asarray(np.maximum(0.0, excess - chance) / np.maximum(variance * (self.mm - self.m), _TINY))


class _Blocks:
    def __init__(self, runs: int, length: float) -> None:
        self._length, self._seconds = length, np.zeros(runs)
        self.sums = _Sums(runs)
        self._open = np.zeros((3, runs))

    def add(self, m: Array, y: Array, seconds: float, mask: Mask) -> None:
        if seconds > 1.4 * self._length:
            return
        self._open += np.where(mask, np.array((m, y, np.full(m.shape, seconds))), 0.0)
        full = mask & (self._open[2] >= 0.95 * self._length)
        if full.any():
            self.sums.add(self._open[0], self._open[1], full)
            self._seconds += np.where(full, self._open[2], 0.0)
            self._open = np.where(full, 0.0, self._open)

    def looks(self, look: float) -> Array:
        return np.maximum(1.0, self._seconds / np.maximum(1, self.sums.count) / look)


class _History:
    def __init__(self, runs: int, look: float) -> None:
        self._look = look
        lengths = [look, *(length for length in product._BLOCKS if length > 1.4 * look)]
        self._blocks = [_Blocks(runs, length) for length in lengths]
        self._m, self._y, self._seconds, self.count, self._with_errors = np.zeros((5, runs))

    def add(self, counts: Counts, seconds: float, mask: Mask) -> None:
        self.count += mask
        self._with_errors += mask & (counts.y > 0)
        self._m += np.where(mask, counts.m, 0.0)
        self._y += np.where(mask, counts.y, 0.0)
        self._seconds += np.where(mask, seconds, 0.0)
        for blocks in self._blocks:
            blocks.add(counts.m, counts.y, seconds, mask)

    @property
    def rate(self) -> Array:
        return _rate(self._y, self._m)

    @property
    def correlation(self) -> Array:
        rate, seen = self.rate, np.zeros(self._m.shape)
        for blocks in self._blocks:
            known = blocks.sums.count >= product._FEWEST_BLOCKS
            seen = np.where(known, np.maximum(seen, blocks.looks(self._look) * blocks.sums.correlation(rate)), seen)
        raised = seen * (1 + 2 / np.sqrt(1 + self._with_errors))
        looks = np.where(self.count, np.maximum(1, np.rint(self._seconds / self._look)), 0)
        return _shrunk(raised, 0.02, 5.0, rate, self._m, looks)


class _Bake:
    def __init__(self, runs: int) -> None:
        self._sums = _Sums(runs)

    def add(self, counts: Counts, mask: Mask) -> None:
        self._sums.add(counts.m, counts.y, mask)

    @property
    def correlation(self) -> Array:
        sums = self._sums
        return _shrunk(sums.correlation(sums.rate) * _raise(sums.count), 0.001, 1.0, sums.rate, sums.m, sums.count)


class _StepProof:
    def __init__(self, runs: int, prior: float = 0.0003, weight: float = 1.0) -> None:
        self._prior, self._weight = prior, weight
        self._m, self._y, self._count = np.zeros((3, runs))
        self._totals, self._largest = np.zeros((4, runs)), np.zeros((4, runs))
        self._before = np.full((2, runs), np.nan)

    def add(self, counts: Counts, mask: Mask) -> None:
        m, y = counts.m, counts.y
        self._m += np.where(mask, m, 0.0)
        self._y += np.where(mask, y, 0.0)
        self._count += mask
        some = mask & (m > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = y / m
            inverse = 1 / m + 1 / self._before[0]
            found = np.array(((rate - self._before[1]) ** 2 / inverse, 2 / inverse - 1, inverse, np.ones(m.shape)))
        pair = some & ~np.isnan(self._before[0])
        found = np.where(pair, found, 0.0)
        self._totals += found
        # Tuples are compared in order: by the square, then by the others.
        larger = pair & _greater(found, self._largest)
        self._largest = np.where(larger, found, self._largest)
        self._before = np.where(some, np.array((m, rate)), self._before)

    def jumps(self, counts: Counts) -> Mask:
        return np.asarray(counts.y > product._JUMP * _rate(self._y, self._m) * counts.m + product._JUMP_ERRORS)

    @property
    def correlation(self) -> Array:
        rate = _rate(self._y, self._m)
        variance = rate * (1 - rate)
        squares, pairs, inverses, count = self._totals - self._largest
        chance = np.sqrt(3 * variance * variance * count + variance * np.maximum(0.0, inverses) / 2)
        seen = np.maximum(0.0, squares - variance * count - chance) / np.maximum(variance * pairs, _TINY)
        return _shrunk(seen * _raise(self._count), self._prior, self._weight, rate, self._m, self._count)


class _Joined:
    def __init__(self, runs: int, look: float, estimate: _Bake | _StepProof) -> None:
        self._look, self._estimate = look, estimate
        self._open, self.correlation = np.zeros((3, runs)), np.zeros(runs)

    def add(self, counts: Counts, seconds: float, mask: Mask) -> None:
        self._open += np.where(mask, np.array((counts.m, counts.y, np.full(counts.m.shape, seconds))), 0.0)
        full = mask & (self._open[2] >= 0.95 * product._JOINED)
        if full.any():
            self._estimate.add(Counts(self._open[0], self._open[1], full), full)
            raised = np.minimum(product._HIGHEST, self._estimate.correlation * self._open[2] / self._look)
            self.correlation = np.where(full, raised, self.correlation)
            self._open = np.where(full, 0.0, self._open)


class Burstiness:
    """The largest of the estimates; `past` has requests and bad ones of the intervals before, `past_seconds` long."""

    def __init__(self, runs: int, past: tuple[Array, Array], past_seconds: float, look: float) -> None:
        self._look = look
        self._history, self._baseline = _History(runs, look), _Bake(runs)
        self._candidate, self._alone = _StepProof(runs), _StepProof(runs, 0.02, 5.0)
        kinds: tuple[_Bake | _StepProof, ...] = (_Bake(runs), _StepProof(runs)) if look < product._SHORT else ()
        self._joined = [_Joined(runs, look, each) for each in kinds]
        for m, y in zip(past[0].T, past[1].T, strict=True):
            counts = Counts.of(m, y)
            self._history.add(counts, past_seconds, counts.here)

    def learn(self, candidate: Counts, baseline: Counts | None, *, settling: bool) -> None:
        """Take an interval, after it was judged."""
        learns = np.ones(candidate.m.shape, dtype=bool)
        if baseline is not None:
            high = baseline.y > product._JUMP * self._history.rate * baseline.m + product._JUMP_ERRORS
            learns = ~(candidate.here & baseline.here & self._candidate.jumps(candidate) & high)
            self._history.add(baseline, self._look, learns & baseline.here)
            self._baseline.add(baseline, learns & baseline.here)
            for joined in self._joined[:1]:
                joined.add(baseline, self._look, learns & baseline.here)
        if not settling:
            self._candidate.add(candidate, learns & candidate.here)
            self._alone.add(candidate, learns & candidate.here)
            for joined in self._joined[1:]:
                joined.add(candidate, self._look, learns & candidate.here)

    @property
    def odds(self) -> Array:
        """(1 − ρ)/ρ for judging the next interval."""
        long = np.where(self._history.count > 0, self._history.correlation, self._alone.correlation)
        rho = np.maximum(np.maximum(long, self._baseline.correlation), self._candidate.correlation)
        for joined in self._joined:
            rho = np.maximum(rho, joined.correlation)
        return np.asarray((1 - rho) / rho)


def _greater(one: Array, other: Array) -> Mask:
    result = np.zeros(one.shape[1], dtype=bool)
    same = np.ones(one.shape[1], dtype=bool)
    for a, b in zip(one, other, strict=True):
        result |= same & (a > b)
        same &= a == b
    return result


def _rate(y: Array, m: Array) -> Array:
    return np.minimum(0.999, np.maximum(1e-6, (y + 0.5) / (m + 100)))


def _raise(count: Array) -> Array:
    return np.asarray(1 + 5 / np.sqrt(1 + count))


def _shrunk(seen: Array, prior: float, weight: float, rate: Array, m: Array, count: Array) -> Array:
    expected = m * rate / np.maximum(1, count)
    informed = count * expected / (1 + expected)
    held = np.minimum(prior, np.maximum(5e-4, 9 * rate))
    return np.asarray((informed * np.minimum(seen, product._HIGHEST) + weight * held) / (informed + weight))
