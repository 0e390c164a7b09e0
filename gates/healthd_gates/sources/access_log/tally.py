"""Counts of a log's lines by what tells the versions apart, and by status: small, however many lines there are.

`counting.py` adds the lines.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from healthd_gates.sources.access_log.selection import Selection

CLIENT_CLOSED = 499
"""The status of a request whose client went away: NGINX's own, and what those of others are turned into."""
_MOST_KEYS, _MOST_STRATA = 500, 250
HEARTBEAT = "healthd-heartbeat"
"""In the query of healthd's own requests that show whether a log is written to."""
OTHER = "\0other"
"""Stands for all that come after so many different ones, as when a client chooses the value."""


class Question(NamedTuple):
    """Question of which lines are counted, and by which field; equal questions of several gates are answered once.

    `key` is empty if all lines are of one version. `only` are fields and the values that one of them must have. `split`
    is the field, or `path`, by which requests are also counted apart; empty for none. `selections` are the lines that
    criteria count.
    """

    key: str
    only: tuple[tuple[str, frozenset[str]], ...] = ()
    agents: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    upstream_times: bool = True
    split: str = ""
    selections: tuple[Selection, ...] = ()


@dataclass(slots=True)
class Cell:
    """The requests of one status; `timed` of them have a duration, and are in `buckets`, one more than there are
    edges."""

    buckets: list[int]
    requests: int = 0
    timed: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Tally:
    """The counts of some lines. `nobody` were passed on to no server, `left_out` are healthd's own and those of health
    checks, `misfits` do not fit the format, and `heard` are the heartbeats among all of them. `selected` has, by key,
    the requests of each status that the same selections take, which are the bits of a number."""

    edges: Sequence[float]
    cells: dict[tuple[str, int], Cell] = field(default_factory=dict)
    strata: dict[tuple[str, str], dict[int, int]] = field(default_factory=dict)
    latencies: dict[tuple[str, str], dict[int, list[int]]] = field(default_factory=dict)
    selected: dict[str, dict[tuple[int, int], int]] = field(default_factory=dict)
    lines: int = 0
    misfits: int = 0
    left_out: int = 0
    nobody: int = 0
    heard: int = 0

    @property
    def size(self) -> int:
        """Number of the counts that it keeps."""
        return len(self.cells) + len(self.strata) + len(self.latencies) + sum(map(len, self.selected.values()))

    def add(self, key: str, status: int, seconds: float | None, stratum: str | None = None, taken_by: int = 0) -> None:
        cell = self.cells.get((key, status))
        if cell is None:
            if len(self.cells) >= _MOST_KEYS:
                key = OTHER
            cell = self.cells.setdefault((key, status), Cell([0] * (len(self.edges) + 1)))
        cell.requests += 1
        if stratum is not None:
            stratum = self._split(key, stratum, status, 1)
        if taken_by:
            self._select(key, taken_by, status, 1)
        if seconds is not None:
            cell.timed += 1
            cell.seconds += seconds
            place = bisect_left(self.edges, seconds)
            cell.buckets[place] += 1
            if stratum is not None:
                self._timed(key, stratum, status)[place] += 1

    def _timed(self, key: str, stratum: str, status: int) -> list[int]:
        """Return the buckets of one status in a stratum."""
        found = self.latencies.setdefault((key, stratum), {})
        return found.setdefault(status, [0] * (len(self.edges) + 1))

    def _split(self, key: str, stratum: str, status: int, requests: int) -> str:
        """Count by stratum; return which. Whole strata alone are beyond the most, so that none lacks a part of its
        statuses."""
        found = self.strata.get((key, stratum))
        if found is None:
            if len(self.strata) >= _MOST_STRATA:
                stratum = ""
            found = self.strata.setdefault((key, stratum), {})
        found[status] = found.get(status, 0) + requests
        return stratum

    def _select(self, key: str, taken_by: int, status: int, requests: int) -> None:
        """Count what selections take: whole keys alone are beyond the most, so that no part lacks some of its whole."""
        found = self.selected.get(key)
        if found is None:
            found = self.selected.setdefault(key if len(self.selected) < _MOST_KEYS else OTHER, {})
        found[taken_by, status] = found.get((taken_by, status), 0) + requests

    def merge(self, other: Tally) -> None:
        """Add another one of the same edges."""
        for (name, stratum), statuses in other.strata.items():
            kept = stratum
            for status, requests in statuses.items():
                kept = self._split(name, stratum, status, requests)
            for status, buckets in other.latencies.get((name, stratum), {}).items():
                mine = self._timed(name, kept, status)
                mine[:] = [one + more for one, more in zip(mine, buckets, strict=True)]
        for name, selected in other.selected.items():
            for (taken_by, status), requests in selected.items():
                self._select(name, taken_by, status, requests)
        for key, cell in other.cells.items():
            own = self.cells.setdefault(key, Cell([0] * (len(self.edges) + 1)))
            own.requests += cell.requests
            own.timed += cell.timed
            own.seconds += cell.seconds
            own.buckets = [one + more for one, more in zip(own.buckets, cell.buckets, strict=True)]
        self.lines += other.lines
        self.misfits += other.misfits
        self.left_out += other.left_out
        self.nobody += other.nobody
        self.heard += other.heard

    def with_edges(self, edges: Sequence[float]) -> Tally:
        """Return the same counts with only these edges, which must be among its own."""
        if tuple(edges) == tuple(self.edges):
            return self
        fewer = replace(self, edges=edges, cells={}, latencies={})
        places = [bisect_left(edges, edge) for edge in self.edges] + [len(edges)]

        def coarser(buckets: Sequence[int]) -> list[int]:
            found = [0] * (len(edges) + 1)
            for place, count in zip(places, buckets, strict=True):
                found[place] += count
            return found

        for key, cell in self.cells.items():
            fewer.cells[key] = Cell(coarser(cell.buckets), cell.requests, cell.timed, cell.seconds)
        for name, statuses in self.latencies.items():
            fewer.latencies[name] = {status: coarser(buckets) for status, buckets in statuses.items()}
        return fewer

    @property
    def keys(self) -> set[str]:
        return {key for key, _ in self.cells}
