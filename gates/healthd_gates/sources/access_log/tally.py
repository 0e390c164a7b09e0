"""Counts of a log's lines by what tells the versions apart, and by status: small, however many lines there are.

A request that NGINX passed on to several servers is a request of each of them: a failure of the one that failed.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from math import isfinite
from typing import NamedTuple

from healthd_gates.domain.strata import cleaned
from healthd_gates.sources.access_log.formats import Fields, Format
from healthd_gates.sources.access_log.routes import PATH, route_of

CLIENT_CLOSED = 499
"""The status of a request whose client went away: NGINX's own, and what those of others are turned into."""
_CLOSED = {"499": 499, "460": 499, "-1": 499, "0": 499}  # 460 of an ALB; -1 of HAProxy, and 0 of Caddy, is none
_NOBODY = {"", "-", "-/-", "<NOSRV>"}
_SEPARATOR = re.compile(r", | : ")
_BAD_GATEWAY = 502
_MOST_KEYS, _MOST_STRATA = 500, 250
HEARTBEAT = "healthd-heartbeat"
"""In the query of healthd's own requests that show whether a log is written to."""
OTHER = "\0other"
"""Stands for all that come after so many different ones, as when a client chooses the value."""


class Question(NamedTuple):
    """Which lines are counted, and by which field; equal questions of several gates are answered once.

    `key` is empty if all lines are of one version. `only` are fields and the values that one of them must have. `split`
    is the field, or `path`, by which requests are also counted apart; empty for none.
    """

    key: str
    only: tuple[tuple[str, frozenset[str]], ...] = ()
    agents: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    upstream_times: bool = True
    split: str = ""


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
    checks, `misfits` do not fit the format, and `heard` are the heartbeats among all of them."""

    edges: Sequence[float]
    cells: dict[tuple[str, int], Cell] = field(default_factory=dict)
    strata: dict[tuple[str, str], dict[int, int]] = field(default_factory=dict)
    lines: int = 0
    misfits: int = 0
    left_out: int = 0
    nobody: int = 0
    heard: int = 0

    @property
    def size(self) -> int:
        """Number of the counts that it keeps."""
        return len(self.cells) + len(self.strata)

    def add(self, key: str, status: int, seconds: float | None, stratum: str | None = None) -> None:
        cell = self.cells.get((key, status))
        if cell is None:
            if len(self.cells) >= _MOST_KEYS:
                key = OTHER
            cell = self.cells.setdefault((key, status), Cell([0] * (len(self.edges) + 1)))
        cell.requests += 1
        if stratum is not None:
            self._split(key, stratum, status, 1)
        if seconds is not None:
            cell.timed += 1
            cell.seconds += seconds
            cell.buckets[bisect_left(self.edges, seconds)] += 1

    def _split(self, key: str, stratum: str, status: int, requests: int) -> None:
        """Count by stratum: whole strata alone are beyond the most, so that none lacks a part of its statuses."""
        found = self.strata.get((key, stratum))
        if found is None:
            if len(self.strata) >= _MOST_STRATA:
                stratum = ""
            found = self.strata.setdefault((key, stratum), {})
        found[status] = found.get(status, 0) + requests

    def merge(self, other: Tally) -> None:
        """Add another one of the same edges."""
        for (name, stratum), statuses in other.strata.items():
            for status, requests in statuses.items():
                self._split(name, stratum, status, requests)
        for key, cell in other.cells.items():
            mine = self.cells.setdefault(key, Cell([0] * (len(self.edges) + 1)))
            mine.requests += cell.requests
            mine.timed += cell.timed
            mine.seconds += cell.seconds
            mine.buckets = [one + more for one, more in zip(mine.buckets, cell.buckets, strict=True)]
        self.lines += other.lines
        self.misfits += other.misfits
        self.left_out += other.left_out
        self.nobody += other.nobody
        self.heard += other.heard

    def with_edges(self, edges: Sequence[float]) -> Tally:
        """Return the same counts with only these edges, which must be among its own."""
        if tuple(edges) == tuple(self.edges):
            return self
        fewer = replace(self, edges=edges, cells={})
        places = [bisect_left(edges, edge) for edge in self.edges] + [len(edges)]
        for key, cell in self.cells.items():
            buckets = [0] * (len(edges) + 1)
            for place, count in zip(places, cell.buckets, strict=True):
                buckets[place] += count
            fewer.cells[key] = Cell(buckets, cell.requests, cell.timed, cell.seconds)
        return fewer

    @property
    def keys(self) -> set[str]:
        return {key for key, _ in self.cells}


class Counting:
    """Adds lines to a tally, as a question asks."""

    def __init__(self, question: Question, form: Format) -> None:
        self._question, self._parse, roles = question, form.parse, form.roles
        self._per_second = roles.per_second
        self._status = form.get(roles.status)
        self._duration = form.get(roles.duration) if roles.duration else None
        self._key = form.get(question.key) if question.key else None
        self._lists = [
            form.get(name) if name else None
            for name in (roles.upstream, roles.upstream_status, roles.upstream_duration)
        ]
        self._by_attempt = bool(question.key) and question.key == roles.upstream
        self._only = [(form.get(name), values) for name, values in question.only]
        self._agent = form.get(roles.agent) if roles.agent and question.agents else None
        self._request = form.get(roles.request) if roles.request else None
        self._exact = frozenset(path for path in question.paths if not path.endswith("*"))
        self._prefixes = tuple(path[:-1] for path in question.paths if path.endswith("*"))
        self._split = form.get(question.split) if question.split and question.split != PATH else None
        self._by_path = question.split == PATH

    def add(self, lines: Iterable[str], into: Tally) -> None:
        """Add lines."""
        parse = self._parse
        for line in lines:
            line = line.rstrip("\r")
            if not line:
                continue
            into.lines += 1
            fields = parse(line)
            if fields is None or not self.count(fields, into):
                into.misfits += 1

    def count(self, fields: Fields, into: Tally) -> bool:
        """Count the fields of a line; False if they do not fit."""
        written = self._status(fields)
        status = _CLOSED.get(written) or _number(written)
        if status is None:
            return False
        if self._is_left_out(fields, into):
            return True
        for field_of, values in self._only:
            if field_of(fields) not in values:
                return True
        stratum = self._stratum(fields)
        upstream = get(fields) if (get := self._lists[0]) is not None else ""
        if upstream and (", " in upstream or " : " in upstream):
            return self._count_attempts(fields, upstream, status, into, stratum)
        key = self._key(fields) if self._key is not None else ""
        if self._key is not None and key in _NOBODY:
            into.nobody += 1
            return True
        into.add(key, status, self._seconds(fields, upstream not in _NOBODY, status), stratum)
        return True

    def _stratum(self, fields: Fields) -> str | None:
        """Return the stratum of a line, None if nothing is split."""
        if self._split is not None:
            return cleaned(self._split(fields))
        if self._by_path and self._request is not None:
            return route_of(_path(self._request(fields)))
        return None

    def _count_attempts(self, fields: Fields, upstream: str, status: int, into: Tally, stratum: str | None) -> bool:
        servers, statuses, times = (_SEPARATOR.split(get(fields)) if get is not None else [] for get in self._lists)
        seconds = _seconds(self._duration(fields), self._per_second) if self._duration is not None else None
        if not self._by_attempt:
            key = self._key(fields) if self._key is not None else ""
            into.add(key, status, None if _is_untimed(status) else seconds, stratum)
            return True
        last = len(servers) - 1
        for place, (server, written, time) in enumerate(zip_longest(servers, statuses, times, fillvalue="-")):
            if place > last:
                break
            answered = _number(written)
            if place == last and (answered is None or status == CLIENT_CLOSED):
                answered = status
            answered = _BAD_GATEWAY if answered is None else answered
            took = _seconds(time, 1.0)
            if took is None and place == last and not any(_seconds(each, 1.0) for each in times[:-1]):
                took = seconds
            into.add(server, answered, None if _is_untimed(answered) else took, stratum)
        return True

    def _seconds(self, fields: Fields, passed_on: bool, status: int) -> float | None:
        if _is_untimed(status):
            return None
        if passed_on and self._question.upstream_times and (get := self._lists[2]) is not None:
            found = _seconds(get(fields), 1.0)
            if found is not None:
                return found
        return _seconds(self._duration(fields), self._per_second) if self._duration is not None else None

    def _is_left_out(self, fields: Fields, into: Tally) -> bool:
        if self._request is not None:
            request = self._request(fields)
            if HEARTBEAT in request:
                into.heard += 1
                into.left_out += 1
                return True
            if self._question.paths:
                path = _path(request)
                if path in self._exact or path.startswith(self._prefixes):
                    into.left_out += 1
                    return True
        if self._agent is not None and self._agent(fields).startswith(self._question.agents):
            into.left_out += 1
            return True
        return False


def _is_untimed(status: int) -> bool:
    """True of connections that were upgraded, which last for as long as they are wanted."""
    return status < 200


def _number(text: str) -> int | None:
    return int(text) if len(text) == 3 and text.isdecimal() and "100" <= text <= "599" else None


def _seconds(text: str, per_second: float) -> float | None:
    try:
        seconds = float(text) / per_second
    except ValueError:
        return None
    return seconds if isfinite(seconds) and seconds >= 0 else None


def _path(request: str) -> str:
    """Return the path of a request line, of an address, or of a path with a query."""
    if not request.startswith("/"):
        parts = request.split(" ", 2)
        request = parts[1] if len(parts) > 1 else parts[0]
        if "://" in request[:10]:
            request = "/" + request.partition("://")[2].partition("/")[2]
    return request.partition("?")[0]


def cumulative(cells: Iterable[Cell], edges: Sequence[float]) -> tuple[list[int], float]:
    """Return the requests in each bucket and the seconds of several cells."""
    buckets, seconds = [0] * (len(edges) + 1), 0.0
    for cell in cells:
        seconds += cell.seconds
        for place, count in enumerate(cell.buckets):
            buckets[place] += count
    return buckets, seconds
