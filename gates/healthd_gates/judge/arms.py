"""Combines the two arms: which requests count as bad, and gaps in either arm."""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable
from itertools import accumulate
from math import exp, isinf, log, sqrt

from healthd_gates.domain.evidence import Counts, Evidence, Histogram

Pair = tuple[float, float, float, float]
"""Candidate's requests and bad ones, baseline's requests and bad ones."""

Reading = Callable[[Counts], tuple[float, float] | None]
"""Returns the requests and bad ones of one arm, or None if the source does not measure that."""

FAST = 0.1
"""Seconds: a quantile below it is fast, whatever it was before."""
_INCIDENT_SECONDS = 60.0
_SURE = 3.0  # standard deviations
_LAPSED_LOOKS, _LAPSED_TIMES = 6, 3  # without a pair, and times the longest such wait before


def errors(counts: Counts) -> tuple[float, float]:
    """Return requests and failed ones."""
    return counts.requests, min(counts.errors, counts.requests)


def slower_than(threshold: float) -> Reading:
    """Return a reading of requests and those slower than `threshold` seconds."""

    def reading(counts: Counts) -> tuple[float, float] | None:
        if counts.latency is None:
            return None
        total = counts.latency.total
        return total, min(total, count_above(counts.latency, threshold))

    return reading


def surely_slower_than(threshold: float) -> Reading:
    """Return a reading of the least number that can be slower than `threshold`: those beyond the next bucket edge."""

    def reading(counts: Counts) -> tuple[float, float] | None:
        if counts.latency is None:
            return None
        edges = counts.latency.edges
        return counts.latency.total, sum(counts.latency.counts[bisect_left(edges, threshold) + 1 :])

    return reading


def perhaps_slower_than(threshold: float) -> Reading:
    """Return a reading of the largest number that can be slower than `threshold`: those beyond the bucket edge before
    it."""

    def reading(counts: Counts) -> tuple[float, float] | None:
        if counts.latency is None:
            return None
        edges = counts.latency.edges
        return counts.latency.total, sum(counts.latency.counts[bisect_right(edges, threshold) :])

    return reading


def count_above(histogram: Histogram, threshold: float) -> float:
    """Return the requests slower than `threshold` seconds: exact at an edge, log-linear inside a bucket (linear in the
    first).

    Inside the last bucket, which has no upper edge, all count as slower.
    """
    place = bisect_left(histogram.edges, threshold)
    above = sum(histogram.counts[place + 1 :])
    high = histogram.edges[place]
    if high == threshold:
        return above
    if isinf(high):
        return above + histogram.counts[place]
    low = histogram.edges[place - 1] if place else 0.0
    if threshold <= low:
        share = 1.0
    elif low > 0:
        share = log(high / threshold) / log(high / low)
    else:
        share = (high - threshold) / (high - low)
    return above + share * histogram.counts[place]


def quantile(histogram: Histogram, level: float) -> float | None:
    """Return the quantile in seconds, inverse to `count_above`; the last finite edge stands for all beyond it."""
    sums = list(accumulate(histogram.counts))
    if sums[-1] <= 0:
        return None
    rank, place = _place(histogram, sums, level)
    count = histogram.counts[place]
    low, edge = ends(histogram.edges, place)
    if isinf(edge):
        return low
    share = (rank - sums[place] + count) / count
    return low * exp(share * log(edge / low)) if low > 0 else edge * share


def bucket(histogram: Histogram, level: float) -> tuple[float, float]:
    """Return the ends, in seconds, of the bucket that a quantile is in, of at least one request."""
    return ends(histogram.edges, _place(histogram, list(accumulate(histogram.counts)), level)[1])


def _place(histogram: Histogram, sums: list[float], level: float) -> tuple[float, int]:
    """Return the rank of a quantile, and the place of its bucket."""
    rank = min(level * histogram.total, sums[-1])
    return rank, bisect_left(sums, rank) if rank > 0 else bisect_right(sums, 0.0)


def ends(edges: tuple[float, ...], place: int) -> tuple[float, float]:
    """Return the lower and the upper end of a bucket, in seconds."""
    return (edges[place - 1] if place else 0.0), edges[place]


class Pairing:
    """Keeps the counts of one arm until the other has reported, so that a missed scrape never compares different spans
    of time.
    """

    def __init__(self) -> None:
        self._pending = [0.0, 0.0, 0.0, 0.0]
        self._totals = [0.0, 0.0, 0.0, 0.0]
        self.count = 0
        self._waited = self._longest = 0

    def add(self, candidate: tuple[float, float] | None, baseline: tuple[float, float] | None) -> Pair | None:
        """Return the counts of both arms since they last reported together, or None while one of them has no requests
        to show.
        """
        pending = self._pending
        if candidate is not None:
            pending[0] += candidate[0]
            pending[1] += candidate[1]
        if baseline is not None:
            pending[2] += baseline[0]
            pending[3] += baseline[1]
        self._waited += 1
        if candidate is None or baseline is None or pending[0] <= 0 or pending[2] <= 0:
            return None
        self.count += 1
        self._longest, self._waited = max(self._longest, self._waited), 0
        self._totals = [total + part for total, part in zip(self._totals, pending, strict=True)]
        self._pending = [0.0, 0.0, 0.0, 0.0]
        return pending[0], pending[1], pending[2], pending[3]

    @property
    def has_lapsed(self) -> bool:
        """True if one arm shows nothing any more: no further pair is in sight."""
        return self._waited > max(_LAPSED_LOOKS, _LAPSED_TIMES * self._longest)

    @property
    def totals(self) -> Pair:
        """Sum of all pairs so far."""
        n, x, m, y = self._totals
        return n, x, m, y

    @property
    def mean(self) -> Pair:
        """The average pair."""
        n, x, m, y = (total / max(1, self.count) for total in self._totals)
        return n, x, m, y


def at_once(candidate: tuple[float, float] | None, baseline: tuple[float, float] | None) -> Pair | None:
    """Return the counts of both arms of one interval, None unless both have requests to show in it."""
    if candidate is None or baseline is None or candidate[0] <= 0 or baseline[0] <= 0:
        return None
    return (*candidate, *baseline)


class LastMinute:
    """Counts of one arm in the last minute."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, float, float]] = deque()

    def step(self, seconds: float, read: tuple[float, float] | None) -> None:
        """Take the requests and bad ones of one interval."""
        self._recent.append((seconds, *(read or (0.0, 0.0))))
        while sum(seconds for seconds, _, _ in self._recent) - self._recent[0][0] >= _INCIDENT_SECONDS - 1e-6:
            self._recent.popleft()

    @property
    def newest(self) -> tuple[float, float]:
        """Requests and bad ones of the last interval."""
        return self._recent[-1][1:] if self._recent else (0.0, 0.0)

    @property
    def requests(self) -> float:
        return sum(requests for _, requests, _ in self._recent)

    @property
    def bad(self) -> float:
        return sum(bad for _, _, bad in self._recent)

    @property
    def rate(self) -> float:
        """Share of bad requests, 0 without requests."""
        return self.bad / self.requests if self.requests else 0.0


class SharedIncident:
    """Detects that the live baseline itself is in trouble, in this interval or in the last minute."""

    def __init__(self) -> None:
        self._recent = LastMinute()

    def step(self, evidence: Evidence, baseline: tuple[float, float] | None) -> None:
        """Take the baseline's requests and bad ones of one interval."""
        self._recent.step(evidence.seconds, baseline)

    def above(self, rate: float) -> bool:
        """True if more than `rate` of its requests were bad."""
        return any(bad > rate * requests for requests, bad in self._spans)

    def surely_above(self, rate: float) -> bool:
        """True if more than `rate` of its requests were bad, by more than chance explains: enough to say so, where the
        mere possibility already excuses the candidate."""
        return any(bad > rate * requests + _SURE * sqrt(rate * requests) for requests, bad in self._spans)

    @property
    def _spans(self) -> tuple[tuple[float, float], tuple[float, float]]:
        return self._recent.newest, (self._recent.requests, self._recent.bad)
