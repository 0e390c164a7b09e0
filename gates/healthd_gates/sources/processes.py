"""Samples of many series → snapshots of the processes that they came from, each cut at one time.

Requests, errors and buckets are queried one after the other, and a scrape may be stored in between. Only samples as old
as those of the requests are used, so that no error is seen before its request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from healthd_gates.sources.counters import Counter, Family, Snapshot, valid
from healthd_gates.sources.native_histograms import as_classic
from healthd_gates.sources.prometheus_api import Series


class Sign(StrEnum):
    """Uses of a selector that selects no counter."""

    UP = "up"
    STARTED = "started"


Use = Family | Sign


@dataclass(frozen=True, slots=True)
class Reading:
    """The samples of one arm: snapshots by process, oldest first. `matched` are the uses that have at least one series.

    `dropped` counts samples that are no numbers that a counter can have. A scrape with such a sample is ignored as a
    whole, except for a sum, which a single odd latency spoils for good. `down` are the processes that are down by their
    latest `up`.
    """

    snapshots: Mapping[str, Sequence[Snapshot]]
    matched: frozenset[Use]
    dropped: int
    down: frozenset[str] = frozenset()

    @property
    def newest(self) -> float:
        """Time of the newest sample in seconds since 1970, -inf if there is none."""
        return max((snapshots[-1].at for snapshots in self.snapshots.values()), default=-inf)


def process_of(labels: Mapping[str, str], told_apart_by: Sequence[str]) -> str:
    """Return the name of the process that a series belongs to; a series without any of these labels is one by
    itself."""
    values = [labels.get(label, "") for label in told_apart_by]
    return " ".join(values) if any(values) else f"={Counter.of(Family.REQUESTS, labels).series}"


def is_series(process: str) -> bool:
    """True if the name is that of a series that is followed by itself."""
    return process.startswith("=")


def read(
    found: Mapping[Use, Sequence[Series]],
    told_apart_by: Sequence[str],
    news_after: float,
    by: str | None = None,
    latency_by: str | None = None,
) -> Reading:
    """Sort samples by process and time. Nonsense is counted if it is later than `news_after`; `by` is the label that
    requests are split by, `latency_by` the one that latencies are."""
    horizon = _horizon(found, told_apart_by)
    latest = max(horizon.values(), default=-inf)
    at: dict[str, dict[float, dict[Counter, float]]] = {}
    starts: dict[str, dict[float, float]] = {}
    nonsense: set[tuple[str, float]] = set()
    dropped = 0
    for use, all_series in found.items():
        for series in all_series:
            process = process_of(series.labels, told_apart_by)
            counter = Counter.of(use, series.labels, by, latency_by) if isinstance(use, Family) else None
            cut = horizon.get(process, latest)
            for time, value in series.samples:
                if not valid(value):
                    dropped += time > news_after
                    if use is not Family.SUM:
                        nonsense.add((process, time))
                elif time > cut:
                    continue
                elif use is Sign.STARTED:
                    starts.setdefault(process, {})[time] = value
                elif use is Sign.UP:
                    if value > 0:
                        at.setdefault(process, {}).setdefault(time, {})
                elif counter is not None:
                    at.setdefault(process, {}).setdefault(time, {})[counter] = value
    for process, time in nonsense:
        at.get(process, {}).pop(time, None)
    snapshots = {process: _in_order(times, starts.get(process, {})) for process, times in at.items() if times}
    matched = frozenset(use for use, all_series in found.items() if all_series)
    return Reading(snapshots, matched, dropped, _down(found, told_apart_by))


def with_classic(found: Mapping[Use, Sequence[Series]], per_second: float) -> Mapping[Use, Sequence[Series]]:
    """Return what was found with native histograms of latency as classic ones: buckets, and their sum. Raises
    CustomBucketsError."""
    buckets, sums = list[Series](), list(found.get(Family.SUM, ()))
    for series in found.get(Family.BUCKET, ()):
        if not series.natives:
            buckets.append(series)
            continue
        classic = as_classic(series.natives, per_second)
        buckets += [Series({**series.labels, "le": edge}, samples) for edge, samples in classic.buckets.items()]
        sums.append(Series(series.labels, classic.sum))
    return {**found, Family.BUCKET: buckets, Family.SUM: sums} if sums else found


def _down(found: Mapping[Use, Sequence[Series]], told_apart_by: Sequence[str]) -> frozenset[str]:
    """Return the processes that are down by their newest sample of presence."""
    last: dict[str, tuple[float, float]] = {}
    for series in found.get(Sign.UP, ()):
        process = process_of(series.labels, told_apart_by)
        last[process] = max(last.get(process, (-inf, 0.0)), max(series.samples, default=(-inf, 0.0)))
    return frozenset(process for process, (at, value) in last.items() if at > -inf and value <= 0)


def _horizon(found: Mapping[Use, Sequence[Series]], told_apart_by: Sequence[str]) -> dict[str, float]:
    """Return the time of each process's newest sample that shows its requests."""
    horizon: dict[str, float] = {}
    for use in (Family.REQUESTS, Sign.UP):
        for series in found.get(use, ()):
            process = process_of(series.labels, told_apart_by)
            newest = max((time for time, _ in series.samples), default=-inf)
            horizon[process] = max(newest, horizon.get(process, -inf))
    return horizon


def _in_order(times: Mapping[float, Mapping[Counter, float]], starts: Mapping[float, float]) -> list[Snapshot]:
    started: float | None = None
    snapshots = []
    for time in sorted({*times, *starts}):
        started = starts.get(time, started)
        if time in times:
            snapshots.append(Snapshot(time, times[time], started))
    return snapshots


def tells_of_requests(snapshots: Iterable[Snapshot]) -> bool:
    """True if they show how many requests there were: also if a process is there and has counted none."""
    return any(not s.values or any(counter.family is Family.REQUESTS for counter in s.values) for s in snapshots)
