"""The lines of a log → their counts, as a question asks.

A request that NGINX passed on to several servers is a request of each of them: a failure of the one that failed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import zip_longest
from math import isfinite

from healthd_gates.domain.strata import cleaned
from healthd_gates.sources.access_log.format import Fields, Format
from healthd_gates.sources.access_log.routes import PATH, path_of, route_of
from healthd_gates.sources.access_log.selection import Selecting
from healthd_gates.sources.access_log.tally import CLIENT_CLOSED, HEARTBEAT, Question, Tally

_CLOSED = {"499": 499, "460": 499, "-1": 499, "0": 499}  # 460 of an ALB; -1 of HAProxy, and 0 of Caddy, is none
_NOBODY = {"", "-", "-/-", "<NOSRV>"}
_SEPARATOR = re.compile(r", | : ")
_BAD_GATEWAY = 502


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
        self._selecting = Selecting(question.selections, form) if question.selections else None

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
        request = self._request(fields) if self._request is not None else ""
        path = path_of(request) if request else ""
        if self._is_left_out(fields, request, path, into):
            return True
        for field_of, values in self._only:
            if field_of(fields) not in values:
                return True
        stratum, selected = self._stratum(fields, path), None
        if self._selecting is not None:
            selected = self._selecting.of(fields, path)
            if selected is None:
                return False
        upstream = get(fields) if (get := self._lists[0]) is not None else ""
        if upstream and (", " in upstream or " : " in upstream):
            return self._count_attempts(fields, upstream, status, into, stratum, selected)
        key = self._key(fields) if self._key is not None else ""
        if self._key is not None and key in _NOBODY:
            into.nobody += 1
            return True
        into.add(
            key, status, self._seconds(fields, upstream not in _NOBODY, status), stratum, self._taken(selected, status)
        )
        return True

    def _stratum(self, fields: Fields, path: str) -> str | None:
        """Return the stratum of a line, None if nothing is split."""
        if self._split is not None:
            return cleaned(self._split(fields))
        if self._by_path and self._request is not None:
            return route_of(path)
        return None

    def _taken(self, selected: int | None, status: int) -> int:
        """Return which selections take a request of this status."""
        return selected & self._selecting.of_status(status) if selected and self._selecting is not None else 0

    def _count_attempts(
        self, fields: Fields, upstream: str, status: int, into: Tally, stratum: str | None, selected: int | None
    ) -> bool:
        servers, statuses, times = (_SEPARATOR.split(get(fields)) if get is not None else [] for get in self._lists)
        seconds = _seconds(self._duration(fields), self._per_second) if self._duration is not None else None
        if not self._by_attempt:
            key = self._key(fields) if self._key is not None else ""
            took = None if _is_untimed(status) else seconds
            into.add(key, status, took, stratum, self._taken(selected, status))
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
            took = None if _is_untimed(answered) else took
            into.add(server, answered, took, stratum, self._taken(selected, answered))
        return True

    def _seconds(self, fields: Fields, passed_on: bool, status: int) -> float | None:
        if _is_untimed(status):
            return None
        if passed_on and self._question.upstream_times and (get := self._lists[2]) is not None:
            found = _seconds(get(fields), 1.0)
            if found is not None:
                return found
        return _seconds(self._duration(fields), self._per_second) if self._duration is not None else None

    def _is_left_out(self, fields: Fields, request: str, path: str, into: Tally) -> bool:
        if HEARTBEAT in request:
            into.heard += 1
            into.left_out += 1
            return True
        if path and (path in self._exact or path.startswith(self._prefixes)):
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
