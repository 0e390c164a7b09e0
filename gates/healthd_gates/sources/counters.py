"""Raw counters → exact increases: what a process counted between two looks, through restarts and late samples.

Where the counters come from is each source's own business. Nothing is extrapolated here: an increase is the difference
of two values that were read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from math import inf, isfinite
from typing import Any, NamedTuple, Self

from healthd_gates.domain.evidence import Counts, Histogram

_SAME_START = 1.0  # seconds by which one process may state its start differently from scrape to scrape


class Family(StrEnum):
    """What a counter counts."""

    REQUESTS = "requests"
    ERRORS = "errors"
    BUCKET = "bucket"
    SUM = "sum"


class Counter(NamedTuple):
    """Which counter: its family, a digest of its labels, and for a bucket its upper edge as the label says it."""

    family: Family
    series: str
    edge: str = ""

    @classmethod
    def of(cls, family: Family, labels: Mapping[str, str]) -> Self:
        """`labels` may hold `le` and `__name__`. Buckets of one histogram differ in `edge` alone."""
        rest = sorted((name, value) for name, value in labels.items() if name not in ("le", "__name__"))
        digest = blake2b(repr(rest).encode(), digest_size=8).hexdigest()
        return cls(family, digest, labels.get("le", "") if family is Family.BUCKET else "")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The counters of one process at one time.

    `at` and `started` (when the process began, None if it does not say) are seconds since 1970.
    """

    at: float
    values: Mapping[Counter, float]
    started: float | None = None

    @classmethod
    def zero(cls, at: float) -> Self:
        """A process that has counted nothing yet."""
        return cls(at, {})

    def to_json(self) -> list[Any]:
        return [self.at, self.started, {" ".join(counter).rstrip(): value for counter, value in self.values.items()}]

    @classmethod
    def from_json(cls, raw: Sequence[Any]) -> Self:
        at, started, values = raw
        return cls(at, {_counter(text): value for text, value in values.items()}, started)


def _counter(text: str) -> Counter:
    family, series, *edge = text.split(" ")
    return Counter(Family(family), series, *edge)


@dataclass(slots=True)
class Increase:
    """What was counted, and how often a counter began anew meanwhile. Holds every counter seen, also unmoved ones."""

    amounts: dict[Counter, float] = field(default_factory=dict)
    resets: int = 0

    def add(self, amounts: Mapping[Counter, float], resets: int) -> None:
        for counter, amount in amounts.items():
            self.amounts[counter] = self.amounts.get(counter, 0.0) + amount
        self.resets += resets

    def counts(self) -> Counts:
        """All series together."""
        return Counts(self._total(Family.REQUESTS), self._total(Family.ERRORS), self._histogram())

    def _total(self, family: Family) -> float:
        return sum(amount for counter, amount in self.amounts.items() if counter.family is family)

    def _histogram(self) -> Histogram | None:
        """In the buckets that all series share: only there are the counts of the sum exact."""
        histograms: dict[str, dict[float, float]] = {}
        for counter, amount in self.amounts.items():
            if counter.family is Family.BUCKET:
                histograms.setdefault(counter.series, {})[float(counter.edge)] = amount
        whole = [histogram for histogram in histograms.values() if inf in histogram]
        if not whole:
            return None
        edges = sorted(set.intersection(*(set(histogram) for histogram in whole)))
        below = [sum(histogram[edge] for histogram in whole) for edge in edges]
        counts = tuple(max(0.0, high - low) for low, high in zip([0.0, *below], below, strict=False))
        return Histogram(tuple(edges), counts, self._total(Family.SUM))


def follow(before: Snapshot | None, seen: Iterable[Snapshot], into: Increase) -> Snapshot | None:
    """Adds what one process counted since `before` to `into`; gives its last snapshot, to go on from.

    `seen` is in order of time; what is not later than `before` is left out. With no `before` the first snapshot is
    where counting starts. A counter that is new in a process that was known began at 0.
    """
    for snapshot in seen:
        if before is None:
            before = snapshot
        elif snapshot.at > before.at:
            amounts, resets, before = _step(before, snapshot)
            into.add(amounts, resets)
    return before


def _step(before: Snapshot, now: Snapshot) -> tuple[dict[Counter, float], int, Snapshot]:
    fallen = {counter for counter, value in now.values.items() if value < before.values.get(counter, 0.0)}
    restarted = _restarted(before, now, fallen)
    # The buckets of a histogram begin anew together, also those that have already climbed past where they were.
    anew = {counter.series for counter in fallen if counter.family in (Family.BUCKET, Family.SUM)}
    amounts = {}
    for counter, value in now.values.items():
        from_zero = (
            restarted or counter in fallen or (counter.series in anew and counter.family in (Family.BUCKET, Family.SUM))
        )
        amounts[counter] = value if from_zero else value - before.values.get(counter, 0.0)
    kept = {} if restarted else before.values
    after = Snapshot(now.at, {**kept, **now.values}, before.started if now.started is None else now.started)
    resets = 1 if restarted else len({(counter.family, counter.series) for counter in fallen})
    return amounts, resets, after


def _restarted(before: Snapshot, now: Snapshot, fallen: set[Counter]) -> bool:
    """Whether all counters began anew, also those that have already climbed past where they were.

    The process says so itself, or counters fell that held more than half of all that it had counted. A single small
    one may have been dropped and created again while the process went on.
    """
    if now.started is not None and before.started is not None and now.started > before.started + _SAME_START:
        return True
    known = sum(before.values.get(counter, 0.0) for counter in now.values)
    return sum(before.values[counter] for counter in fallen) > known / 2


def valid(value: float) -> bool:
    """Whether a counter may have this value; NaN and negative ones are nonsense of the exporter."""
    return isfinite(value) and value >= 0
