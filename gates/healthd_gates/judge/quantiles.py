"""The latencies of one arm so far: its quantile and an anytime-valid confidence interval for it."""

from math import isinf

from healthd_gates.domain.evidence import Counts, Histogram
from healthd_gates.domain.standing import Bound
from healthd_gates.judge.arms import bucket, count_above, quantile
from healthd_gates.judge.interval import RateInterval

_WIDE = 10.0  # times its lower end, beyond which an upper end says too little to estimate in between


def known_quantile(histogram: Histogram, level: float) -> tuple[float, Bound | None] | None:
    """Return a quantile in seconds, interpolated inside its bucket; or, where that is the first, the last or a very
    wide one, the end of it that bounds the quantile, and that it is one. None without requests."""
    value = quantile(histogram, level)
    if value is None:
        return None
    low, high = bucket(histogram, level)
    if isinf(high):
        return low, Bound.ABOVE
    return (high, Bound.AT_MOST) if high > _WIDE * low else (value, None)


class SeenLatency:
    """The latencies of one arm since settling. An interval with different buckets starts the collection again."""

    def __init__(self, level: float) -> None:
        self._level = level
        self._histogram: Histogram | None = None
        self._tails: list[RateInterval] = []
        self.looks = 0

    def step(self, counts: Counts | None, odds: float) -> None:
        """Take one interval."""
        latency = counts.latency if counts else None
        if latency is None:
            return
        seen = self._histogram
        if seen is None or seen.edges != latency.edges:
            self._histogram = latency
            self._tails = [RateInterval() for _ in latency.edges[:-1]]
            self.looks = 0
        else:
            together = tuple(a + b for a, b in zip(seen.counts, latency.counts, strict=True))
            self._histogram = Histogram(seen.edges, together, seen.sum_seconds + latency.sum_seconds)
        self.looks += 1
        above = total = latency.total
        for tail, count in zip(self._tails, latency.counts, strict=False):
            above = max(0.0, above - count)
            tail.step(above, total, odds)

    @property
    def requests(self) -> float:
        """Number of requests with a latency."""
        return self._histogram.total if self._histogram else 0.0

    @property
    def quantile(self) -> float | None:
        """The quantile in seconds, interpolated inside its bucket; what bounds it, where `bound` says so."""
        return self._known[0] if self._known else None

    @property
    def bound(self) -> Bound | None:
        """Bound that the quantile's number is, where its bucket tells no more."""
        return self._known[1] if self._known else None

    @property
    def _known(self) -> tuple[float, Bound | None] | None:
        return known_quantile(self._histogram, self._level) if self._histogram else None

    def slower_than(self, threshold: float) -> float:
        """Return the requests slower than `threshold` seconds."""
        return count_above(self._histogram, threshold) if self._histogram else 0.0

    def bounds(self, risk: float) -> tuple[float, float] | None:
        """Return the bucket edges between which the quantile lies; None while one end is still open.

        An edge is proven to be below the quantile when more than the tail lies beyond it, above it when less does.
        """
        if self._histogram is None or self.requests <= 0:
            return None
        low = 0.0
        for edge, beyond in zip(self._histogram.edges, self._tails, strict=False):
            side = beyond.side(1 - self._level, risk)
            if side > 0:
                low = edge
            elif side < 0:
                return low, edge
        return None
