"""Raw counters → exact increases: the counts of a process between two evaluations, through restarts and late samples.

The counters come from each source. Nothing is extrapolated here: an increase is the difference of two values that were
read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import blake2b
from math import inf, isfinite
from typing import Any, NamedTuple, Self
from urllib.parse import quote, unquote

from healthd_gates.domain.evidence import Counts, Histogram
from healthd_gates.domain.strata import OTHER, cleaned

_FASTER, _FEW = 5.0, 50.0  # times its fastest, and requests, beyond which a process cannot have counted so much
_LIFETIME = 1000.0  # the same, if the speed at which it counts is not known
_SAME_START = 1.0  # seconds by which the start time that one process states may differ from scrape to scrape
_HALF = 0.5  # share of its value below which a fallen counter surely restarted, and is not of another worker


class Family(StrEnum):
    """Kinds of counters."""

    REQUESTS = "requests"
    ERRORS = "errors"
    BUCKET = "bucket"
    SUM = "sum"


_TOGETHER = (Family.BUCKET, Family.SUM)
_SPLIT = (Family.REQUESTS, Family.ERRORS)


class Counter(NamedTuple):
    """Identifies a counter: its family, a digest of its labels, for a bucket its upper edge as the label says it, and
    the stratum that it counts, where requests are split by a label."""

    family: Family
    series: str
    edge: str = ""
    stratum: str = ""

    @classmethod
    def of(
        cls, family: Family, labels: Mapping[str, str], by: str | None = None, latency_by: str | None = None
    ) -> Self:
        """Build from labels; `labels` may hold `le` and `__name__`. Buckets of one histogram differ in `edge` alone.
        `by` is the label that requests are split by, `latency_by` the one that latencies are."""
        rest = sorted((name, value) for name, value in labels.items() if name not in ("le", "__name__"))
        digest = blake2b(repr(rest).encode(), digest_size=8).hexdigest()
        label = by if family in _SPLIT else latency_by if family is Family.BUCKET else None
        stratum = "" if label is None else cleaned(labels.get(label, ""))
        return cls(family, digest, _edge(labels.get("le", "")) if family is Family.BUCKET else "", stratum)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The counters of one process at one time.

    `at` and `started` (when the process began, None if it does not say) are seconds since 1970. `pace` is the fastest
    rate of requests that was seen, in requests a second. `restarts` is how often it surely restarted, and `born` when
    it was first seen, if it began after the gate.
    """

    at: float
    values: Mapping[Counter, float]
    started: float | None = None
    pace: float = 0.0
    restarts: int = 0
    born: float | None = None

    @classmethod
    def zero(cls, at: float) -> Self:
        """Return the snapshot of a process that has counted nothing yet."""
        return cls(at, {})

    def to_json(self) -> list[Any]:
        values = {_text(counter): value for counter, value in self.values.items()}
        return [self.at, self.started, values, self.pace, self.restarts, self.born]

    @classmethod
    def from_json(cls, raw: Sequence[Any]) -> Self:
        at, started, values, *rest = raw
        return cls(at, {_counter(text): value for text, value in values.items()}, started, *rest)


def _edge(label: str) -> str:
    """Return a bucket's edge, however it is spelled: client libraries do not agree on `1` and `1.0`."""
    try:
        return str(float(label))
    except ValueError:
        return label


def _text(counter: Counter) -> str:
    return " ".join((*counter[:3], quote(counter.stratum, safe="/:{}*"))).rstrip()


def _counter(text: str) -> Counter:
    family, series, *rest = text.split(" ")
    edge, stratum = (*rest, "", "")[:2]
    return Counter(Family(family), series, edge, unquote(stratum))


@dataclass(slots=True)
class Increase:
    """The increase of counters, and how often a counter restarted meanwhile. Holds every counter seen, also unchanged
    ones.

    `doubtful` counts the series that were left out because their values cannot have been counted meanwhile. `restarts`
    counts whole processes that surely restarted, and `repeated` those of them that had done so before. `per_second` is
    how many units of the histogram are a second.
    """

    amounts: dict[Counter, float] = field(default_factory=dict)
    resets: int = 0
    doubtful: int = 0
    restarts: int = 0
    repeated: int = 0
    per_second: float = 1.0

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for people about the increase."""
        if not self.doubtful:
            return ()
        return (
            f"{self.doubtful} counters fell by little or changed their labels, and were left out: are there several "
            "workers behind one address, or other labels since a reload?",
        )

    def add(self, amounts: Mapping[Counter, float], resets: int) -> None:
        for counter, amount in amounts.items():
            self.amounts[counter] = self.amounts.get(counter, 0.0) + amount
        self.resets += resets

    def counts(self) -> Counts:
        """Return the sum of all series."""
        return Counts(
            self._total(Family.REQUESTS),
            self._total(Family.ERRORS),
            self._histogram(),
            self._strata(),
            self._strata_latency(),
        )

    def _strata(self) -> dict[str, tuple[float, float]]:
        """Return the requests and errors of each stratum that had any; empty if nothing is split."""
        if not any(counter.stratum for counter in self.amounts if counter.family in _SPLIT):
            return {}
        found: dict[str, list[float]] = {}
        for counter, amount in self.amounts.items():
            if amount > 0 and counter.family in _SPLIT:
                found.setdefault(counter.stratum or OTHER, [0.0, 0.0])[_SPLIT.index(counter.family)] += amount
        return {name: (requests, errors) for name, (requests, errors) in found.items()}

    def _strata_latency(self) -> dict[str, Histogram]:
        """Return the latencies of each stratum that had any; empty if they are not split."""
        apart: dict[str, dict[Counter, float]] = {}
        for counter, amount in self.amounts.items():
            if counter.family is Family.BUCKET:
                apart.setdefault(counter.stratum or OTHER, {})[counter] = amount
        if not apart.keys() - {OTHER}:
            return {}
        found = {name: self._histogram_of(buckets, 0.0) for name, buckets in apart.items()}
        return {name: latency for name, latency in found.items() if latency is not None and latency.total > 0}

    def _total(self, family: Family) -> float:
        return sum(amount for counter, amount in self.amounts.items() if counter.family is family)

    def _histogram(self) -> Histogram | None:
        buckets = {counter: amount for counter, amount in self.amounts.items() if counter.family is Family.BUCKET}
        return self._histogram_of(buckets, self._total(Family.SUM) / self.per_second)

    def _histogram_of(self, buckets: Mapping[Counter, float], seconds: float) -> Histogram | None:
        """Return the histogram in the buckets that all series share: only there are the counts of the sum exact."""
        histograms: dict[str, dict[float, float]] = {}
        for counter, amount in buckets.items():
            histograms.setdefault(counter.series, {})[float(counter.edge)] = amount
        whole = [histogram for histogram in histograms.values() if inf in histogram]
        if not whole:
            return None
        edges = sorted(set.intersection(*(set(histogram) for histogram in whole)))
        below = [sum(histogram[edge] for histogram in whole) for edge in edges]
        counts = tuple(max(0.0, high - low) for low, high in zip([0.0, *below], below, strict=False))
        return Histogram(tuple(edge / self.per_second for edge in edges), counts, seconds)


def follow(before: Snapshot | None, seen: Iterable[Snapshot], into: Increase) -> Snapshot | None:
    """Add the counts of one process since `before` to `into`; return its last snapshot, to go on from.

    `seen` is in order of time; snapshots not later than `before` are left out. With no `before` counting starts at the
    first snapshot. A counter that is new in a process that was known began at 0.
    """
    for snapshot in seen:
        if before is None:
            before = snapshot
        elif snapshot.at > before.at:
            before = _step(before, snapshot, into)
    return before


def _step(before: Snapshot, now: Snapshot, into: Increase) -> Snapshot:
    fallen = {counter for counter, value in now.values.items() if value < before.values.get(counter, 0.0)}
    stated = _is_stated_anew(before, now)
    views = set() if stated else {counter for counter in fallen if _is_another_view(counter, before, now)}
    if views and _holds_most(views, before, now):
        into.doubtful += 1
        return replace(before, at=now.at)
    fallen -= views
    restarted = stated or _restarted(before, now, fallen)
    renamed = set() if restarted else _renamed(before, now)
    # The buckets of a histogram restart together, also those that have already exceeded their former value.
    anew = {counter.series for counter in fallen if counter.family in _TOGETHER}
    amounts, kept = {}, {} if restarted else dict(before.values)
    for counter, value in now.values.items():
        if counter in renamed or counter in views:
            amounts[counter] = 0.0
        elif (
            restarted or counter in fallen or (counter.series in anew and counter.family in (Family.BUCKET, Family.SUM))
        ):
            amounts[counter] = value
        else:
            amounts[counter] = value - before.values.get(counter, 0.0)
        if counter not in views:
            kept[counter] = value
    into.add(amounts, 1 if restarted else len({(counter.family, counter.series) for counter in fallen}))
    into.doubtful += len({(counter.family, counter.series) for counter in views | renamed})
    counted = sum(amount for counter, amount in amounts.items() if counter.family is Family.REQUESTS)
    pace = before.pace if restarted else max(before.pace, counted / (now.at - before.at))
    died = restarted and _surely_began_anew(before, now, fallen)
    into.restarts += died
    into.repeated += died and before.restarts > 0
    started = before.started if now.started is None else now.started
    return Snapshot(now.at, kept, started, pace, before.restarts + died, before.born)


def _is_stated_anew(before: Snapshot, now: Snapshot) -> bool:
    """True if the process itself reports that it has restarted."""
    return now.started is not None and before.started is not None and now.started > before.started + _SAME_START


def _surely_began_anew(before: Snapshot, now: Snapshot, fallen: set[Counter]) -> bool:
    """True if a process restarted since the previous evaluation. Several workers behind one address look similar, yet
    each of them has been there for longer, and has counted about as much as the others.
    """
    if now.started is not None and now.started > before.at - _SAME_START:
        return True
    was = sum(before.values.get(counter, 0.0) for counter in fallen)
    return sum(now.values[counter] for counter in fallen) < _HALF * was


def _is_another_view(counter: Counter, before: Snapshot, now: Snapshot) -> bool:
    """True if a fall is no restart: the remaining value is more than a process can have counted since.

    Lagging replicas of a server, a reload of its configuration and several workers behind one address look so.
    """
    value = now.values[counter]
    return value >= before.values[counter] / 2 and _is_a_life(value, before, now)


def _is_a_life(value: float, before: Snapshot, now: Snapshot) -> bool:
    """True if so much is more than the process can have counted since, at the fastest rate ever seen."""
    if not before.pace:
        return value > _LIFETIME
    return value > _FASTER * before.pace * (now.at - before.at) + _FEW


def _renamed(before: Snapshot, now: Snapshot) -> set[Counter]:
    """Return the counters that are new while others of their family vanished that had about as much: the labels have
    changed, and their whole value is not what was counted since.
    """
    found: set[Counter] = set()
    for family in Family:
        new = {c: v for c, v in now.values.items() if c.family is family and c not in before.values}
        gone = sum(v for c, v in before.values.items() if c.family is family and c not in now.values)
        seen = sum(new.values())
        if gone > 0 and gone <= seen <= 2 * gone and _is_a_life(seen, before, now):
            found |= new.keys()
    return found


def _restarted(before: Snapshot, now: Snapshot, fallen: set[Counter]) -> bool:
    """True if all counters restarted, also those that have already exceeded their former value.

    Counters fell that held more than half of all that the process had counted. A single small one may have been dropped
    and created again while the process went on.
    """
    return _holds_most(fallen, before, now)


def _holds_most(some: set[Counter], before: Snapshot, now: Snapshot) -> bool:
    """True if these are more than half of all that the process had counted."""
    known = sum(before.values.get(counter, 0.0) for counter in now.values)
    return sum(before.values[counter] for counter in some) > known / 2


def valid(value: float) -> bool:
    """True if a counter may have this value; NaN and negative ones are nonsense of the exporter."""
    return isfinite(value) and value >= 0
