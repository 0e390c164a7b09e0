"""The document of a gate's stored evidence: the numbers of its sources at each look."""

from __future__ import annotations

from datetime import datetime
from math import inf
from typing import Self

from pydantic import Field

from healthd_gates.domain.evidence import (
    Counts,
    Events,
    Evidence,
    Histogram,
    Lives,
    Numbers,
    Observation,
    Stream,
    Values,
)
from healthd_gates.domain.ramp import Course
from healthd_gates.domain.recording import Recording
from healthd_gates.schema.document import Shown


class LatencyDocument(Shown):
    """Latencies in buckets: `edges` are upper edges in seconds, ascending; `counts` has one more, for all beyond."""

    edges: tuple[float, ...]
    counts: tuple[float, ...]
    sum_seconds: float

    @classmethod
    def of(cls, found: Histogram) -> Self:
        return cls(edges=found.edges[:-1], counts=found.counts, sum_seconds=found.sum_seconds)

    def histogram(self) -> Histogram:
        return Histogram((*self.edges, inf), self.counts, self.sum_seconds)


class CountsDocument(Shown):
    """Requests of one version in one interval; `strata` are the requests and errors by the value of a label,
    `strata_latency` the latencies."""

    requests: float
    errors: float
    latency: LatencyDocument | None
    strata: dict[str, tuple[float, float]]
    strata_latency: dict[str, LatencyDocument] = Field(default_factory=dict)

    @classmethod
    def of(cls, counts: Counts) -> Self:
        return cls(
            requests=counts.requests,
            errors=counts.errors,
            latency=LatencyDocument.of(counts.latency) if counts.latency else None,
            strata=dict(counts.strata),
            strata_latency={name: LatencyDocument.of(latency) for name, latency in counts.strata_latency.items()},
        )

    def counts(self) -> Counts:
        latency = self.latency.histogram() if self.latency else None
        apart = {name: latency.histogram() for name, latency in self.strata_latency.items()}
        return Counts(self.requests, self.errors, latency, self.strata, apart)


NumbersDocument = CountsDocument | Events | Values
"""The numbers of one version that a criterion of its own series has: events, measured values, or requests."""


class StreamDocument(Shown):
    """The numbers of a further source, or of series that a criterion names, in one interval."""

    candidate: NumbersDocument | None
    baseline: NumbersDocument | None
    gaps: int
    resets: int
    span: float | None

    @classmethod
    def of(cls, stream: Stream) -> Self:
        candidate, baseline = _document(stream.candidate), _document(stream.baseline)
        return cls(candidate=candidate, baseline=baseline, gaps=stream.gaps, resets=stream.resets, span=stream.span)

    def stream(self) -> Stream:
        return Stream(_numbers(self.candidate), _numbers(self.baseline), self.gaps, self.resets, self.span)


class IntervalDocument(Shown):
    """The interval of `seconds` that ended `at`, to the microsecond. An arm that is null sent nothing in it. `gaps` are
    series or scrapes that were missing, `resets` counters that went backwards, `span` the seconds that counts reach
    back. `lives` are restarts of processes, `observations` the answers of criteria without statistics, `streams` the
    numbers of criteria with a source or series of their own. `ramp` is where a ramp was after the look, null for a look
    that was not judged by itself."""

    at: datetime
    seconds: float
    candidate: CountsDocument | None
    baseline: CountsDocument | None
    gaps: int
    resets: int
    span: float | None
    lives: Lives
    baseline_lives: Lives
    observations: tuple[Observation, ...]
    streams: dict[str, StreamDocument]
    ramp: Course | None

    @classmethod
    def of(cls, evidence: Evidence, ramp: Course | None = None) -> Self:
        candidate, baseline = evidence.candidate, evidence.baseline
        return cls(
            at=evidence.at,
            seconds=evidence.seconds,
            candidate=CountsDocument.of(candidate) if candidate is not None else None,
            baseline=CountsDocument.of(baseline) if baseline is not None else None,
            gaps=evidence.gaps,
            resets=evidence.resets,
            span=evidence.span,
            lives=evidence.lives,
            baseline_lives=evidence.baseline_lives,
            observations=evidence.observations,
            streams={name: StreamDocument.of(stream) for name, stream in evidence.streams.items()},
            ramp=ramp,
        )

    def evidence(self) -> Evidence:
        return Evidence(
            at=self.at,
            seconds=self.seconds,
            candidate=self.candidate.counts() if self.candidate is not None else None,
            baseline=self.baseline.counts() if self.baseline is not None else None,
            observations=self.observations,
            gaps=self.gaps,
            resets=self.resets,
            span=self.span,
            lives=self.lives,
            baseline_lives=self.baseline_lives,
            streams={name: stream.stream() for name, stream in self.streams.items()},
        )


class EvidenceDocument(Shown):
    """The evidence of a gate up to its verdict, oldest first: its `looks`, the baseline's `history` from before, which
    the judge knew from `history_at` on (null: from the first look on), and `earlier` gates' where the source keeps
    none. Empty once `gates.keep_evaluations` has passed."""

    looks: tuple[IntervalDocument, ...]
    history: tuple[IntervalDocument, ...]
    earlier: tuple[IntervalDocument, ...]
    history_at: datetime | None

    @classmethod
    def of(cls, recording: Recording) -> Self:
        return cls(
            looks=tuple(IntervalDocument.of(each, recording.courses.get(each.at)) for each in recording.looks),
            history=tuple(map(IntervalDocument.of, recording.history)),
            earlier=tuple(map(IntervalDocument.of, recording.earlier)),
            history_at=recording.history_at,
        )

    def recording(self) -> Recording:
        looks, history, earlier = (
            [each.evidence() for each in stage] for stage in (self.looks, self.history, self.earlier)
        )
        courses = {each.at: each.ramp for each in self.looks if each.ramp is not None}
        return Recording(looks, history, earlier, self.history_at, courses)


def _document(numbers: Numbers | None) -> NumbersDocument | None:
    return CountsDocument.of(numbers) if isinstance(numbers, Counts) else numbers


def _numbers(document: NumbersDocument | None) -> Numbers | None:
    return document.counts() if isinstance(document, CountsDocument) else document
