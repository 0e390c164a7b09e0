"""Totals of streams → exact increases. A stream is told by its attributes and by when it began, so that nothing has to
be guessed: what began anew is another one, and two processes that send as one are kept apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from healthd_gates.domain.evidence import Histogram
from healthd_gates.domain.strata import OTHER

Key = tuple[str, int]
"""A stream's digest, and when it began, in nanoseconds since 1970."""
NANO = 1_000_000_000
SUMMED = ":"
"""In the digest of a stream that healthd adds up itself: it begins anew with the daemon, and not with the process."""
_SPLIT = ("requests", "errors")
_KEPT = 900 * NANO  # after which a stream that the others of its process have outlived is over


@dataclass(frozen=True, slots=True)
class Total:
    """Counts of a stream since it began, up to `at`. `edges` are in seconds, `counts` those of each bucket."""

    at: int
    value: float
    sum: float = 0.0
    edges: tuple[float, ...] = ()
    counts: tuple[float, ...] = ()

    def plus(self, more: Total) -> Total:
        """Return the total with what was counted since."""
        if self.edges != more.edges:
            return Total(more.at, self.value + more.value, self.sum + more.sum)
        counts = tuple(a + b for a, b in zip(self.counts, more.counts, strict=True))
        return Total(more.at, self.value + more.value, self.sum + more.sum, self.edges, counts)


@dataclass(slots=True)
class Process:
    """One process: the totals of its streams, and when it was last heard of, in seconds since 1970. `uses` says what
    each stream counts for, and `strata` in which stratum, where requests are split by a label."""

    heard: float
    totals: dict[Key, Total] = field(default_factory=dict)
    uses: dict[str, frozenset[str]] = field(default_factory=dict)
    strata: dict[str, str] = field(default_factory=dict)

    def forget(self) -> int:
        """Forget streams that ended long before the newest export; return how many."""
        newest = max((total.at for total in self.totals.values()), default=0)
        over = [key for key, total in self.totals.items() if total.at < newest - _KEPT]
        for key in over:
            del self.totals[key]
        return len(over)

    def over(self, earlier: Process | None) -> Process:
        """Return what is known of the process with an earlier reading, of which some may not be sent yet."""
        if earlier is None:
            return self
        both = Process(max(self.heard, earlier.heard), {**earlier.totals, **self.totals}, self.uses, self.strata)
        both.forget()
        return both


@dataclass(slots=True)
class Increase:
    """Counts of streams between two readings, by what they count for. `gaps` are streams that count from what they
    said first, since a part of it is of the time before; `restarts` are processes that began anew; `odd` are streams
    that fell."""

    amounts: dict[str, list[Total]] = field(default_factory=dict)
    strata: dict[str, list[float]] = field(default_factory=dict)
    """Requests and errors by stratum; empty where nothing is split."""
    latencies: dict[str, list[Total]] = field(default_factory=dict)
    """Latencies by stratum."""
    gaps: int = 0
    restarts: int = 0
    odd: int = 0

    def add(self, before: Process | None, now: Process, began: int) -> None:
        """Add the increase of one process; `began` is when counting began, in nanoseconds since 1970."""
        known = before.totals if before is not None else {}
        starts = {start for _, start in known}
        ends: dict[str, int] = {}
        for (stream, _), total in known.items():
            ends[stream] = max(ends.get(stream, 0), total.at)
        restarted = False
        for (stream, start), total in now.totals.items():
            past = known.get((stream, start))
            if past is not None and total.value < past.value:
                # Without a start a stream that fell began anew; with one it breaks what it promises.
                restarted, self.odd = restarted or not start, self.odd + bool(start)
                self._count(now, stream, total if not start else _difference(total, total))
            elif past is not None:
                self._count(now, stream, _difference(past, total))
            elif start >= began or start in starts:
                self._count(now, stream, total)
                restarted = restarted or (SUMMED not in stream and start >= ends.get(stream, start + 1))
            else:
                self.gaps += 1
        self.restarts += restarted

    def _count(self, process: Process, stream: str, amount: Total) -> None:
        for use in process.uses.get(stream, ()):
            self.amounts.setdefault(use, []).append(amount)
            if not process.strata or amount.value <= 0:
                continue
            name = process.strata.get(stream) or OTHER
            if use in _SPLIT:
                self.strata.setdefault(name, [0.0, 0.0])[_SPLIT.index(use)] += amount.value
            elif use == "latency":
                self.latencies.setdefault(name, []).append(amount)

    def total(self, use: str) -> float:
        return sum(amount.value for amount in self.amounts.get(use, ()))


def _difference(past: Total, now: Total) -> Total:
    counts = now.counts
    if past.edges == now.edges:
        counts = tuple(max(0.0, a - b) for a, b in zip(now.counts, past.counts, strict=True))
    elif past.edges:  # the edges that it has now are among those that it had: a histogram only gets coarser
        below = dict(zip((*past.edges, inf), _below(past.counts), strict=True))
        done = [below.get(edge, 0.0) for edge in (*now.edges, inf)]
        here = [a - b for a, b in zip(_below(now.counts), done, strict=True)]
        counts = tuple(max(0.0, high - low) for low, high in zip([0.0, *here], here, strict=False))
    return Total(now.at, max(0.0, now.value - past.value), max(0.0, now.sum - past.sum), now.edges, counts)


def _below(counts: Sequence[float]) -> list[float]:
    total, found = 0.0, list[float]()
    for count in counts:
        total += count
        found.append(total)
    return found


def histogram(totals: Iterable[Total]) -> Histogram | None:
    """Return the sum of histograms in the edges that all of them have: only there it is exact."""
    groups: dict[tuple[float, ...], list[float]] = {}
    seconds = 0.0
    for total in totals:
        if not total.counts:
            continue
        seconds += total.sum
        known = groups.get(total.edges)
        groups[total.edges] = (
            list(total.counts) if known is None else [a + b for a, b in zip(known, total.counts, strict=True)]
        )
    if not groups:
        return None
    edges = sorted(set.intersection(*(set(own) for own in groups)))
    below = [0.0] * (len(edges) + 1)
    for own, counts in groups.items():
        at = dict(zip((*own, inf), _below(counts), strict=True))
        below = [sum_ + at[edge] for sum_, edge in zip(below, (*edges, inf), strict=True)]
    counts_ = tuple(max(0.0, high - low) for low, high in zip([0.0, *below], below, strict=False))
    return Histogram((*edges, inf), counts_, seconds)


def to_json(processes: Mapping[str, Process]) -> dict[str, Any]:
    """Return the processes for a cursor. Edges, which many streams share, stand there once; buckets that are empty are
    left out."""
    grids: dict[tuple[float, ...], int] = {}

    def place_of(edges: tuple[float, ...]) -> int:
        return grids.setdefault(edges, len(grids))

    def written(key: Key, total: Total) -> list[Any]:
        filled = [pair for pair in enumerate(total.counts) if pair[1]]
        return [*key, total.at, total.value, total.sum, place_of(total.edges) if total.counts else None, filled]

    found = {
        name: [process.heard, [written(key, total) for key, total in process.totals.items()]]
        for name, process in processes.items()
    }
    return {"processes": found, "grids": [list(edges) for edges in grids]}


def from_json(raw: Mapping[str, Any]) -> dict[str, Process]:
    """Return the processes of a cursor."""
    found: dict[str, Process] = {}
    grids = [tuple(edges) for edges in raw.get("grids", ())]
    for name, (heard, written) in raw.get("processes", {}).items():
        process = found[name] = Process(heard)
        for stream, start, at, value, sum_, grid, filled in written:
            edges = grids[grid] if grid is not None else ()
            counts = [0.0] * (len(edges) + 1) if grid is not None else []
            for place, count in filled:
                counts[place] = count
            process.totals[stream, start] = Total(at, value, sum_, edges, tuple(counts))
    return found
