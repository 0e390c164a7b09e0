"""Contents of an export, in values of ours. `decode.py` makes them, `subscription.py` counts by them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

_FINEST = 2  # the scale of the grid that exponential histograms are counted on: edges 19 % apart
_LOWEST, _HIGHEST = -13, 7  # powers of two, in seconds: 0.12 ms and 128 s
_PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


@dataclass(frozen=True, slots=True)
class Buckets:
    """Counts in buckets: `counts[n]` lie at or below `edges[n]` and above the edge before, the last above all edges.
    Edges are in the unit of the metric."""

    edges: tuple[float, ...]
    counts: tuple[float, ...]

    @property
    def total(self) -> float:
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class Exponential:
    """Buckets of an exponential histogram: `counts[n]` lie above base^(offset + n) and at or below the next power, with
    base = 2^(2^-scale); `zeros` are all that are too small to tell."""

    scale: int
    offset: int
    counts: Sequence[int]
    zeros: float

    def on_grid(self, per_second: float) -> Buckets:
        """Return the counts between edges that are the same for every histogram of this scale, and, of a finer one, for
        all: powers of 2^(1/4). Each edge is one of the histogram's own, so that nothing is interpolated."""
        scale = min(self.scale, _FINEST)
        unit = _power_of(per_second)
        low, high = (_LOWEST + unit) << max(scale, 0), (_HIGHEST + unit) << max(scale, 0)
        if scale < 0:
            low, high = low >> -scale, high >> -scale
        counts = [0.0] * (high - low + 2)
        counts[0] += self.zeros
        for place, count in enumerate(self.counts):
            upper = ((self.offset + place) >> (self.scale - scale)) + 1  # its upper edge is 2^(upper / 2^scale)
            counts[min(max(upper - low, 0), len(counts) - 1)] += count
        edges = tuple(2.0 ** (power * 2.0**-scale) for power in range(low, high + 1))
        return Buckets(edges, tuple(counts))


def _power_of(per_second: float) -> int:
    """Return the power of two next to the units in a second."""
    power = 0
    while 2**power < per_second:
        power += 1
    return power


def units_in_a_second(unit: str) -> float | None:
    """Return how many of a metric's units are a second; None if it does not say."""
    return _PER_SECOND.get(unit)


@dataclass(frozen=True, slots=True)
class Point:
    """One data point of a metric. Times are nanoseconds since 1970; a `counter` only grows; `delta` says that `value`
    is what was counted since `start` and not since the stream began. Of a histogram `value` is its count, `seconds` its
    sum in its unit."""

    metric: str
    unit: str
    stream: str
    labels: Mapping[str, str]
    start: int
    at: int
    value: float
    counter: bool = True
    delta: bool = False
    sum: float = 0.0
    buckets: Buckets | Exponential | None = None

    @property
    def per_second(self) -> float | None:
        """Units in a second, None if the metric does not say."""
        return units_in_a_second(self.unit)


@dataclass(frozen=True, slots=True)
class Span:
    """One span of a server. `sampled` is the probability with which it was kept, None if it does not say."""

    key: int
    labels: Mapping[str, str]
    start: int
    end: int
    failed: bool
    sampled: float | None = None


@dataclass(frozen=True, slots=True)
class Resource:
    """Data of one process in one export. `process` is a digest of all its attributes."""

    process: str
    labels: Mapping[str, str]
    points: Sequence[Point] = ()
    spans: Sequence[Span] = ()


@dataclass(frozen=True, slots=True)
class Export:
    """The content of one export. `rejected` counts the points that no metric can have, for the reasons in
    `problems`."""

    resources: Sequence[Resource]
    rejected: int = 0
    problems: Sequence[str] = field(default_factory=tuple)


class NotDecodable(ValueError):  # noqa: N818 - what came
    """The body is no message of OpenTelemetry."""


def is_ascending(edges: Sequence[float]) -> bool:
    return all(-inf < low < high < inf for low, high in itertools.pairwise(edges))
