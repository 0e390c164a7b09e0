"""Increase of counters between two evaluations, and the counts of an arm that it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from healthd_gates.domain.evidence import Counts, Histogram
from healthd_gates.domain.strata import OTHER
from healthd_gates.sources.counters import SPLIT, Counter, Family


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
        if not any(counter.stratum for counter in self.amounts if counter.family in SPLIT):
            return {}
        found: dict[str, list[float]] = {}
        for counter, amount in self.amounts.items():
            if amount > 0 and counter.family in SPLIT:
                found.setdefault(counter.stratum or OTHER, [0.0, 0.0])[SPLIT.index(counter.family)] += amount
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
