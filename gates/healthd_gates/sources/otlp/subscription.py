"""Telemetry that one gate keeps of what arrives: the newest totals of each process of its arms."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import isfinite

from healthd_gates.domain.strata import cleaned
from healthd_gates.sources.otlp.messages import Exponential, Point, Resource, Span
from healthd_gates.sources.otlp.totals import NANO, SUMMED, Key, Process, Total

_MOST_PROCESSES, _MOST_STREAMS, _MOST_SPANS = 1000, 5000, 100_000  # of an arm, of an arm, of a gate
_MOST_STRATA = 100  # of a gate, which counts fifty apart; of paths there may be any number
_MOST_LABELS, _MOST_OTHERS, _MOST_DELTAS = 200, 50, 64
_SHOWN = 64

Uses = Callable[[str, Mapping[str, str]], frozenset[str]]
"""Says what a stream counts for, by its metric and its labels: nothing, or `requests`, `errors`, `latency`."""


@dataclass(frozen=True, slots=True)
class ArmTerms:
    """Marks of an arm's telemetry: the resource attributes that it has, and what its streams count for."""

    resource: Mapping[str, str]
    uses: Uses


@dataclass(slots=True)
class ArmHeard:
    """Telemetry of an arm. `sampled` has the probabilities with which its spans were kept; `heard` is when it was last
    heard of, in seconds since 1970; `left_out` counts what was beyond the limits."""

    processes: dict[str, Process] = field(default_factory=dict)
    sampled: set[float | None] = field(default_factory=set)
    heard: float | None = None
    left_out: int = 0
    streams: int = 0

    def copied(self) -> dict[str, Process]:
        """Return the processes as they stand now, whatever arrives meanwhile."""
        return {
            name: Process(process.heard, dict(process.totals), dict(process.uses), dict(process.strata))
            for name, process in self.processes.items()
        }


@dataclass(slots=True)
class _Deltas:
    """The stream that increments are added up in, and the intervals of the newest ones."""

    key: Key
    seen: list[tuple[int, int]] = field(default_factory=list)


class Subscription:
    """The telemetry of one gate. `began` is when the gate began to count, and `opened` when this was built, in seconds
    since 1970; `metrics` are the names that it needs, `instead` those that are not counted where another one is. `by`
    is the label that requests are split by."""

    def __init__(
        self,
        arms: Mapping[str, ArmTerms],
        metrics: frozenset[str],
        began: float,
        opened: float,
        *,
        instead: Mapping[str, str] | None = None,
        edges: tuple[float, ...] = (),
        per_second: float | None = None,
        by: str | None = None,
    ) -> None:
        self.metrics, self.began = metrics, int(began * NANO)
        self.arms = {name: ArmHeard() for name in arms}
        self._others: dict[tuple[tuple[str, str], ...], float] = {}  # the newest last, with when it came
        self.labels: dict[str, set[str]] = {}
        """The names of the labels that each metric was seen with."""
        self._terms, self._opened, self._instead = arms, int(opened * NANO), instead or {}
        self._edges, self._per_second = edges, per_second
        self._by, self._strata = by, set[str]()
        self._deltas: dict[tuple[str, str, str], _Deltas] = {}
        self._spans: dict[int, None] = {}

    def take(self, resource: Resource, now: float) -> int:
        """Take what one process of the service sent. Return how much of it was beyond the limits."""
        before, known = self._left_out, False
        for name, terms in self._terms.items():
            if all(resource.labels.get(attribute) == text for attribute, text in terms.resource.items()):
                known = True
                self._take(name, resource, now)
        if not known:
            self._note_other(resource.labels, now)
        return self._left_out - before

    def others(self, since: float) -> list[tuple[tuple[str, str], ...]]:
        """Return resource attributes of the service's telemetry that is of no arm and came since, the newest first."""
        return [labels for labels, at in reversed(self._others.items()) if at >= since]

    @property
    def _left_out(self) -> int:
        return sum(arm.left_out for arm in self.arms.values())

    def drop_ended(self, before: float) -> None:
        """Forget the processes that were not heard of since."""
        for arm in self.arms.values():
            for name in [name for name, process in arm.processes.items() if process.heard < before]:
                arm.streams -= len(arm.processes.pop(name).totals)
        gone = {key for key in self._deltas if key[1] not in self.arms[key[0]].processes}
        for key in gone:
            del self._deltas[key]

    def _take(self, name: str, resource: Resource, now: float) -> None:
        arm = self.arms[name]
        process = arm.processes.get(resource.process)
        if process is None:
            if len(arm.processes) >= _MOST_PROCESSES:
                arm.left_out += len(resource.points) + len(resource.spans)
                return
            process = arm.processes[resource.process] = Process(now)
        process.heard = arm.heard = now
        points = [point for point in resource.points if point.metric in self.metrics]
        there = {point.metric for point in points}
        for point in points:
            if self._instead.get(point.metric) not in there:
                self._count_point(name, arm, process, resource.process, point)
        for span in resource.spans:
            self._count_span(name, arm, process, span)
        if points:
            arm.streams -= process.forget()

    def _count_point(self, name: str, arm: ArmHeard, process: Process, sender: str, point: Point) -> None:
        stream = f"{point.stream}{SUMMED}" if point.delta else point.stream
        if stream not in process.uses:
            if len(process.uses) >= _MOST_STREAMS:
                arm.left_out += 1
                return
            labels = self.labels.setdefault(point.metric, set())
            if len(labels) < _MOST_LABELS:
                labels.update(point.labels)
            process.uses[stream] = (
                self._terms[name].uses(point.metric, point.labels) if point.counter else frozenset[str]()
            )
            self._put(process, stream, point.labels)
        if not process.uses[stream]:
            return
        total = _total_of(point, self._per_second)
        if point.delta:
            self._add(arm, process, (name, sender, stream), point, total)
            return
        key = (stream, point.start)
        known = process.totals.get(key)
        if known is None or total.at > known.at:  # and not the same export again, or an older one
            self._keep(arm, process, key, total)

    def _add(self, arm: ArmHeard, process: Process, place: tuple[str, str, str], point: Point, total: Total) -> None:
        """Add an increment to the others of its stream, once."""
        stream = place[-1]
        deltas = self._deltas.setdefault(place, _Deltas((stream, point.start)))
        interval = (point.start, point.at)
        if interval in deltas.seen or (len(deltas.seen) == _MOST_DELTAS and interval < min(deltas.seen)):
            return
        deltas.seen = [*deltas.seen, interval][-_MOST_DELTAS:]
        if (known := process.totals.get(deltas.key)) is None:
            deltas.key = (stream, point.start)
        self._keep(arm, process, deltas.key, total if known is None else known.plus(total))

    def _count_span(self, name: str, arm: ArmHeard, process: Process, span: Span) -> None:
        if span.end < self.began or span.key in self._spans or not self._terms[name].uses("", span.labels):
            return
        self._spans[span.key] = None
        if len(self._spans) > _MOST_SPANS:
            del self._spans[next(iter(self._spans))]
        arm.sampled.add(span.sampled)
        stratum = self._stratum(span.labels)
        stream = f"span{SUMMED}{'failed' if span.failed else 'fine'}{SUMMED if stratum else ''}{stratum}"
        if stratum:
            process.strata[stream] = stratum
        process.uses[stream] = frozenset({"requests", "latency", *(["errors"] if span.failed else [])})
        seconds = max(0, span.end - span.start) / NANO
        counts = [0.0] * (len(self._edges) + 1)
        counts[bisect_left(self._edges, seconds)] = 1.0
        one = Total(span.end, 1.0, seconds, self._edges, tuple(counts))
        key = (stream, self._opened)
        known = process.totals.get(key)
        self._keep(arm, process, key, one if known is None else known.plus(one))

    def _put(self, process: Process, stream: str, labels: Mapping[str, str]) -> None:
        if process.uses[stream] and (stratum := self._stratum(labels)):
            process.strata[stream] = stratum

    def _stratum(self, labels: Mapping[str, str]) -> str:
        """Return the value that requests are split by; empty for none, and for those beyond what is kept apart."""
        name = cleaned(labels.get(self._by, "")) if self._by is not None else ""
        if name and name not in self._strata:
            if len(self._strata) >= _MOST_STRATA:
                return ""
            self._strata.add(name)
        return name

    def _keep(self, arm: ArmHeard, process: Process, key: Key, total: Total) -> None:
        if key not in process.totals:
            if arm.streams >= _MOST_STREAMS:
                arm.left_out += 1
                return
            arm.streams += 1
        process.totals[key] = total

    def _note_other(self, labels: Mapping[str, str], now: float) -> None:
        names = {attribute for terms in self._terms.values() for attribute in terms.resource}
        shown = tuple(sorted((name, labels.get(name, "")[:_SHOWN]) for name in names))
        self._others.pop(shown, None)
        self._others[shown] = now
        if len(self._others) > _MOST_OTHERS:
            del self._others[next(iter(self._others))]


def _total_of(point: Point, per_second: float | None) -> Total:
    """Return a point with its edges and sum in seconds."""
    scale = point.per_second or per_second or 1.0
    buckets = point.buckets
    if isinstance(buckets, Exponential):
        buckets = buckets.on_grid(scale)
    if buckets is None or not isfinite(point.sum):
        return Total(point.at, point.value)
    return Total(point.at, point.value, point.sum / scale, _in_seconds(buckets.edges, scale), buckets.counts)


@lru_cache(maxsize=256)
def _in_seconds(edges: tuple[float, ...], per_second: float) -> tuple[float, ...]:
    return tuple(edge / per_second for edge in edges)
