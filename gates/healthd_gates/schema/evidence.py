"""The document of a gate's stored evidence: the numbers of its source at each look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Self

from healthd_gates.domain.evidence import Counts, Evidence, Histogram
from healthd_gates.schema.document import Moment, Shown


class LatencyDocument(Shown):
    """Latencies in buckets: `edges` are upper edges in seconds, ascending; `counts` has one more, for all beyond."""

    edges: tuple[float, ...]
    counts: tuple[float, ...]
    sum_seconds: float

    def histogram(self) -> Histogram:
        return Histogram((*self.edges, inf), self.counts, self.sum_seconds)


class CountsDocument(Shown):
    """Requests of one version in one interval; `strata` are the requests and errors by the value of a label."""

    requests: float
    errors: float
    latency: LatencyDocument | None
    strata: dict[str, tuple[float, float]]

    @classmethod
    def of(cls, counts: Counts | None) -> Self | None:
        if counts is None:
            return None
        found = counts.latency
        latency = found and LatencyDocument(edges=found.edges[:-1], counts=found.counts, sum_seconds=found.sum_seconds)
        return cls(requests=counts.requests, errors=counts.errors, latency=latency, strata=dict(counts.strata))

    def counts(self) -> Counts:
        return Counts(self.requests, self.errors, self.latency.histogram() if self.latency else None, self.strata)


class IntervalDocument(Shown):
    """The interval of `seconds` that ended `at`. An arm that is null sent nothing in it. `gaps` are series or scrapes
    that were missing, `resets` counters that went backwards, `span` the seconds that counts reach back."""

    at: Moment
    seconds: float
    candidate: CountsDocument | None
    baseline: CountsDocument | None
    gaps: int
    resets: int
    span: float | None

    @classmethod
    def of(cls, evidence: Evidence) -> Self:
        return cls(
            at=evidence.at,
            seconds=evidence.seconds,
            candidate=CountsDocument.of(evidence.candidate),
            baseline=CountsDocument.of(evidence.baseline),
            gaps=evidence.gaps,
            resets=evidence.resets,
            span=evidence.span,
        )

    def evidence(self) -> Evidence:
        candidate, baseline = (arm.counts() if arm is not None else None for arm in (self.candidate, self.baseline))
        return Evidence(self.at, self.seconds, candidate, baseline, (), self.gaps, self.resets, self.span)


class EvidenceDocument(Shown):
    """The evidence of a gate up to its verdict, oldest first: its `looks`, the baseline's `history` from before, and
    `earlier` gates' where the source keeps none. Empty once `gates.keep_evaluations` has passed."""

    looks: tuple[IntervalDocument, ...]
    history: tuple[IntervalDocument, ...]
    earlier: tuple[IntervalDocument, ...]

    @classmethod
    def of(cls, stages: Mapping[str, Sequence[Evidence]]) -> Self:
        looks, history, earlier = (
            tuple(map(IntervalDocument.of, stages[stage])) for stage in ("gate", "history", "earlier")
        )
        return cls(looks=looks, history=history, earlier=earlier)
