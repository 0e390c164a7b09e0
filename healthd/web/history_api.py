"""`GET /history`, `GET /history/{check}` and `GET /audit`: what the journal knows, for callers with a token."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from aiohttp import web
from pydantic import ValidationError

from healthd.config.in_force import Current
from healthd.config.model import Model
from healthd.config.settings import Settings
from healthd.journal.errors import JournalError
from healthd.journal.past import AuditRow, Past, StoredTransition
from healthd.model import Status
from healthd.monitoring.board import Board
from healthd.monitoring.past_windows import left_out
from healthd.monitoring.state import CheckState, worst
from healthd.monitoring.uptime import Span, Stretch, stretches, uptime
from healthd.nearest import did_you_mean
from healthd.runtime.clock import Clock
from healthd.runtime.redaction import Redactor
from healthd.units import stamp
from healthd.validation_words import all_in_words
from healthd.web.auth import Guard
from healthd.web.history_schema import PERIODS, AuditQuery, HistoryQuery
from healthd.web.problems import Problem, answering_problems

ModelT = TypeVar("ModelT", bound=Model)
ResultT = TypeVar("ResultT")
_PATIENCE = 5.0  # seconds for the journal
_FRESH = 30.0  # seconds for which the uptime of all checks is not computed again
_MOST_FAILURES, _SHOWN = 100, 5
_NO_STORE = {"Cache-Control": "no-store"}


class HistoryApi:
    """API calls on the past."""

    def __init__(
        self,
        past: Past,
        board: Board,
        guard: Guard,
        settings: Current[Settings],
        clock: Clock,
        redact: Redactor,
    ) -> None:
        self._past, self._board, self._guard = past, board, guard
        self._settings, self._clock, self._redact = settings, clock, redact
        self._whole: dict[str, Any] = {}
        self._good_until, self._revision = 0.0, -1
        self._computing = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/history", answering_problems(self._all)),
            web.get("/history/{name}", answering_problems(self._one)),
            web.get("/audit", answering_problems(self._audit)),
        ]

    async def _all(self, request: web.Request) -> web.Response:
        """Answer with the uptime of all checks and groups; computed for whoever asks first, and kept for a while."""
        await self._guard.prepare(request)
        self._guard.require(request, "health:read")
        async with self._computing:
            if self._clock.steady() >= self._good_until or self._revision != self._settings.revision:
                self._whole = await self._compute()
                self._good_until, self._revision = self._clock.steady() + _FRESH, self._settings.revision
        return web.json_response(self._whole, headers=_NO_STORE)

    async def _compute(self) -> dict[str, Any]:
        now = self._clock.now()
        start = now - timedelta(days=max(PERIODS.values()))
        stored = await _within(self._past.transitions(start))
        audit = await _within(self._past.windows())
        states = self._board.checks()
        members = {name: [state.name for state in self._board.group(name).checks] for name in self._board.groups()}
        groups = {state.name: self._board.groups_of(state.name) for state in states}
        maintenance = self._settings.now.maintenance

        def compute() -> dict[str, Any]:
            changes: dict[str, list[StoredTransition]] = defaultdict(list)
            for each in stored:
                changes[each.check].append(each)
            known = {state.name: _known(state, changes[state.name], start, now) for state in states}
            holes = left_out(maintenance, audit, states, groups, start, now)
            checks = {name: _periods([known[name]], [holes[name]], now) for name in known}
            shared = {
                name: _periods([known[each] for each in inside], [holes[each] for each in inside], now)
                for name, inside in members.items()
                if inside and name != "startup"  # it asks whether each was probed, once: no failure ends that
            }
            return {"timestamp": stamp(now), "checks": checks, "groups": shared}

        return await asyncio.to_thread(compute)

    async def _one(self, request: web.Request) -> web.Response:
        """Answer with the uptime and the failures of one check."""
        await self._guard.prepare(request)
        self._guard.require(request, "health:read")
        name, query = request.match_info["name"], _read(request, HistoryQuery)
        if name not in self._board:
            raise no_such_check(self._board, name)
        return web.json_response(await self.of_check(name, query.days), headers=_NO_STORE)

    async def of_check(self, name: str, days: int) -> dict[str, Any]:
        """Return the uptime of a check, and its failures in so many days. Raises Problem 503."""
        now, state = self._clock.now(), self._board.check(name)
        since = now - timedelta(days=days)
        start = min(since, now - timedelta(days=max(PERIODS.values())))
        stored = await _within(self._past.transitions(start, name))
        audit = await _within(self._past.windows())
        groups, maintenance = {name: self._board.groups_of(name)}, self._settings.now.maintenance

        def compute() -> dict[str, Any]:
            known = _known(state, stored, start, now)
            holes = left_out(maintenance, audit, [state], groups, start, now)[name]
            healthy = [it for it in known if it.status is Status.HEALTHY]
            found: dict[str, Any] = {"name": name, "timestamp": stamp(now), "status": state.status.value}
            if state.since is not None:
                found["since"] = stamp(state.since)
            last_healthy = healthy[-1].end if healthy else state.last_healthy
            if last_healthy is not None:
                found["lastHealthy"] = stamp(last_healthy)
            failures = [it for it in _failures(stored, self._redact) if it.get("to", stamp(now)) >= stamp(since)]
            return {**found, **_periods([known], [holes], now), "failures": failures[:_MOST_FAILURES]}

        return await asyncio.to_thread(compute)

    async def _audit(self, request: web.Request) -> web.Response:
        """Answer with changes that callers made."""
        await self._guard.prepare(request)
        self._guard.require(request, "audit:read")
        query = _read(request, AuditQuery)
        filters = query.model_dump(exclude={"limit"})
        rows = await _within(self._past.audit(**filters, limit=query.limit + 1))
        shown, more = rows[: query.limit], len(rows) > query.limit
        entries = [self._entry(row) for row in shown]
        return web.json_response({"entries": entries, "next": shown[-1].id if more else None}, headers=_NO_STORE)

    def _entry(self, row: AuditRow) -> dict[str, Any]:
        return {
            "id": row.id,
            "at": stamp(row.at),
            "caller": self._redact(row.caller),
            "action": row.action,
            "subject": self._redact.name(row.subject),
            "detail": _redacted(row.detail, self._redact),
        }


def _known(state: CheckState, stored: Sequence[StoredTransition], start: datetime, now: datetime) -> list[Stretch]:
    return stretches([(it.at, it.old, it.new) for it in stored], start, now, state.status, state.since)


def _periods(members: Sequence[Sequence[Stretch]], holes: Sequence[Sequence[Span]], now: datetime) -> dict[str, Any]:
    found = {}
    for name, days in PERIODS.items():
        length = timedelta(days=days)
        seen = uptime(members, holes, now - length)
        ratio = None if seen.ratio is None else round(seen.ratio, 6)
        found[name] = {"uptime": ratio, "known": round(min(1.0, seen.known / length.total_seconds()), 6)}
    return {"uptime": found}


def _failures(stored: Sequence[StoredTransition], redact: Callable[[str], str]) -> list[dict[str, Any]]:
    """Return the times in which a check was not healthy, the latest first. The start of one has no old status that is
    not healthy, unless its beginning is no longer stored."""
    found: list[dict[str, Any]] = []
    current: dict[str, Any] | None = None
    for each in stored:
        if each.new is Status.HEALTHY:
            if current is not None:
                current["to"] = stamp(each.at)
            current = None
        elif current is None:
            if each.new is Status.UNKNOWN and each.old is Status.UNKNOWN:
                continue
            current = {"from": stamp(each.at), "status": each.new.value, "message": redact(each.message), "changes": 1}
            if each.kind is not None:
                current["kind"] = each.kind
            found.append(current)
        else:
            current["status"] = worst([Status(current["status"]), each.new]).value
            current["changes"] += 1
    return found[::-1]


def _redacted(value: Any, redact: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {key: _redacted(each, redact) for key, each in value.items()}
    return [_redacted(each, redact) for each in value] if isinstance(value, list) else value


async def _within(reading: Awaitable[ResultT]) -> ResultT:
    """Return what the journal answers in time. Raises Problem 503."""
    try:
        async with asyncio.timeout(_PATIENCE):
            return await reading
    except JournalError as error:
        detail = f"the journal cannot be read now: {error}"
        raise Problem(503, "Journal unavailable", detail, headers={"Retry-After": "5"}) from None
    except TimeoutError:
        raise Problem(503, "Journal unavailable", "the journal does not answer", {"Retry-After": "5"}) from None


def _read(request: web.Request, model: type[ModelT]) -> ModelT:
    """Return the query. Raises Problem 400."""
    try:
        return model.model_validate(dict(request.query))
    except ValidationError as error:
        raise Problem(400, "Invalid query", "; ".join(all_in_words(error, request.query))) from None


def no_such_check(board: Board, name: str) -> Problem:
    """Return the answer where a check is asked for that there is not."""
    if name in board.groups():
        members = ", ".join(state.name for state in board.group(name).checks[:_SHOWN])
        told = (
            f"{name} is a group, and failures are kept by check: {f'ask for {members}' if members else 'it has none'}"
        )
    else:
        names = [state.name for state in board.checks()]
        told = f"no check is called {name[:64]!r}.{did_you_mean(name[:64], names)}"
    return Problem(404, "No such check", told)
