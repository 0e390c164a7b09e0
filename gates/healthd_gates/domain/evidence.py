"""The evidence of a gate: frozen values, no behaviour beyond small derived numbers.

Evidence is fetched in `sources` and judged in `judge`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import inf, isfinite

_MOST = 1e15  # requests of one interval; above it a float is not exact


@dataclass(frozen=True, slots=True)
class Histogram:
    """Latencies of one interval, in buckets.

    `edges` are upper bucket edges in seconds, ascending, the last one +inf; `counts` are the requests
    in each bucket (not cumulative; fractions are allowed); `sum_seconds` is the sum of all latencies.
    """

    edges: tuple[float, ...]
    counts: tuple[float, ...]
    sum_seconds: float = 0.0

    def __post_init__(self) -> None:
        if not self.edges or self.edges[-1] != inf:
            raise ValueError("the last bucket edge must be +inf")
        if any(not low < high for low, high in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError("bucket edges must ascend")
        if len(self.counts) != len(self.edges):
            raise ValueError(f"{len(self.edges)} bucket edges need as many counts, got {len(self.counts)}")
        if any(not (isfinite(count) and count >= 0) for count in self.counts):
            raise ValueError("bucket counts must be finite and not negative")

    @classmethod
    def together(cls, some: Sequence[Histogram]) -> Histogram:
        """Return the sum of at least one, in the buckets that all of them share: only there are its counts exact."""
        shared = set.intersection(*(set(each.edges) for each in some))
        edges = tuple(edge for edge in some[0].edges if edge in shared)
        counts = dict.fromkeys(edges, 0.0)
        for each in some:
            held = 0.0
            for edge, count in zip(each.edges, each.counts, strict=True):
                held += count
                if edge in counts:
                    counts[edge] += held
                    held = 0.0
        return cls(edges, tuple(counts.values()), sum(each.sum_seconds for each in some))

    @property
    def total(self) -> float:
        """Requests in all buckets together."""
        return sum(self.counts)

    @property
    def has_sum(self) -> bool:
        """True if the sum can be that of these requests: one of 0 was not counted, nor one below what the lower edges
        of the buckets come to."""
        least = sum(count * edge for count, edge in zip(self.counts[1:], self.edges, strict=False))
        return self.sum_seconds > 0 and least <= self.sum_seconds * (1 + 1e-9)


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of one version in one interval. No requests at all is "no traffic", which is not "no errors".

    `latency` is None when the source does not measure it. `strata` splits the requests and errors by the value of a
    label, such as the route, where a criterion asks for that, and `strata_latency` the latencies; they are empty if the
    source did not split them.
    """

    requests: float
    errors: float
    latency: Histogram | None = None
    strata: Mapping[str, tuple[float, float]] = field(default_factory=dict, hash=False)
    strata_latency: Mapping[str, Histogram] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name, value in (("requests", self.requests), ("errors", self.errors)):
            if not 0 <= value <= _MOST:
                raise ValueError(f"{name} must lie between 0 and {_MOST:g}, got {value}")
        if any(not 0 <= value <= _MOST for tally in self.strata.values() for value in tally):
            raise ValueError(f"requests and errors of a stratum must lie between 0 and {_MOST:g}")


@dataclass(frozen=True, slots=True)
class Events:
    """Events of one version in one interval, such as restarts or logged errors.

    `requests` are the requests in which they happened, None if they were not counted; `instances` is the number of
    processes that were seen to count, None if the source cannot tell. There may be more events than requests. `seconds`
    is the time in which they happened, where it is not that since the last report.
    """

    events: float
    requests: float | None = None
    instances: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("events", self.events), ("requests", self.requests or 0.0)):
            if not 0 <= value <= _MOST:
                raise ValueError(f"{name} must lie between 0 and {_MOST:g}, got {value}")


@dataclass(frozen=True, slots=True)
class Values:
    """A measured value of one version at the end of an interval, one for each instance, at least one."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values or not all(isfinite(value) for value in self.values):
            raise ValueError("at least one value is needed, and all of them must be finite")


Numbers = Counts | Events | Values
"""The numbers of one arm for one criterion."""


@dataclass(frozen=True, slots=True)
class Stream:
    """The numbers of a source or of series of its own that a criterion names, in one interval.

    An arm that is None sent none; its next counts then cover the gap as well. `gaps`, `resets` and `span` are as in
    `Evidence`.
    """

    candidate: Numbers | None = None
    baseline: Numbers | None = None
    gaps: int = 0
    resets: int = 0
    span: float | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """A yes or no about a criterion that needs no statistics: a group of checks, a smoke request.

    `ok` is None when there is no answer. `detail` is shown to people.
    """

    criterion: str
    ok: bool | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Lives:
    """Restarts of the processes of one version in one interval, as far as its source can tell.

    `restarts` counts the processes that restarted, or that were new since the gate began and are gone. `repeated` are
    those restarts that were not the first: of one process, or of processes that do not live long. `down` is the number
    of processes that cannot be reached now.
    """

    restarts: int = 0
    repeated: int = 0
    down: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """The numbers of a source for the interval of `seconds` that ended `at`.

    An arm that is None sent no telemetry in this interval; its next counts then cover the gap as well. `gaps` counts
    the series or scrapes that were missing, `resets` the counters that went backwards. `span` is how many seconds the
    counts of one of the candidate's processes reach back at most, if that is longer than the interval: processes are
    scraped at different times. `lives` are the candidate's. `streams` has the numbers of the criteria that name a
    source or series of their own, by the name of the stream.
    """

    at: datetime
    seconds: float
    candidate: Counts | None = None
    baseline: Counts | None = None
    observations: tuple[Observation, ...] = ()
    gaps: int = 0
    resets: int = 0
    span: float | None = None
    lives: Lives = Lives()
    baseline_lives: Lives = Lives()
    streams: Mapping[str, Stream] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise ValueError("evidence needs an aware time")
        if not (isfinite(self.seconds) and self.seconds > 0):
            raise ValueError(f"an interval has a positive length, got {self.seconds}")
