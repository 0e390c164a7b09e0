"""`GET`, `POST /windows` and `DELETE /windows/{id}`: windows that callers add while the daemon runs."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field, ValidationError

from healthd.config.model import Reason
from healthd.config.settings import Model
from healthd.config.window import Labelled, Window, WindowKind, nothing_covered
from healthd.monitoring.board import Board
from healthd.monitoring.windows import Windows
from healthd.nearest import not_under
from healthd.runtime.clock import Clock
from healthd.units import Duration, Names, Time, stamp
from healthd.web.auth import Caller, Guard
from healthd.web.bodies import invalid, read_body
from healthd.web.problems import Problem, answering_problems, not_known_yet

_LONGEST = timedelta(days=366)
_MOST = 1000
_ACKNOWLEDGED_FOR = timedelta(days=30)
_WILD = frozenset("*?[")
_NO_STORE = {"Cache-Control": "no-store"}
Labels = Mapping[str, Mapping[str, str]]


class NewWindow(Model):
    """Window to put in force."""

    kind: WindowKind
    """`maintenance`: failures do not count; `silence`: no notification; `pause`: no probes; `acknowledgement`: no
    further notification until the check is healthy; `freeze`: no gate of these services starts."""
    checks: Names = ()
    """Names of checks; `*` matches any text."""
    groups: Names = ()
    """Groups whose checks are covered."""
    services: Names = ()
    """Services that a freeze covers; `*` matches any text."""
    labels: Labelled = Field(default_factory=dict)
    """Labels that a check or service must have, each with one of these values."""
    start: Annotated[Time | None, Field(alias="from")] = None
    """Start of the window; now by default."""
    end: Annotated[Time | None, Field(alias="to")] = None
    """End of the window. An acknowledgement needs none."""
    lasts: Annotated[Duration | None, Field(alias="for")] = None
    """Length of the window, instead of its end: `1h`."""
    reason: Reason
    """Reason, shown beside what the window covers."""


class WindowsApi:
    """API calls on windows. `services` are the labels of each service."""

    def __init__(
        self,
        windows: Windows,
        board: Board,
        guard: Guard,
        clock: Clock,
        services: Callable[[], Mapping[str, Mapping[str, str]]],
    ) -> None:
        self._windows, self._board, self._guard, self._clock = windows, board, guard, clock
        self._services = services

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/windows", answering_problems(self._list)),
            web.post("/windows", answering_problems(self._add)),
            web.delete("/windows/{id}", answering_problems(self._end)),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        """Answer with the windows that are not over, the first to end first."""
        await self._guard.prepare(request)
        self._guard.require(request, "health:read")
        documents, complete = [self._document(it) for it in self._windows.all()], self._windows.is_complete
        return web.json_response({"windows": documents, "complete": complete}, headers=_NO_STORE)

    async def _add(self, request: web.Request) -> web.Response:
        """Put a window in force."""
        await self._guard.prepare(request)
        caller = self._guard.require(request, "windows:write")
        window = await self.add(caller, await read_body(request, NewWindow, "window"))
        return web.json_response(self._document(window), status=201, headers=_NO_STORE)

    async def add(self, caller: Caller, wanted: NewWindow) -> Window:
        """Put a window in force for a caller with the scope `windows:write`. Raises Problem."""
        self._refuse_strangers(wanted)
        self._refuse_beyond_reach(caller, wanted)
        if len(self._windows.all()) >= _MOST:
            raise Problem(429, "Too many windows", f"there are {_MOST}: end some first")
        start, end = self._times(wanted)
        document = {
            **wanted.model_dump(include={"kind", "checks", "groups", "services", "labels", "reason"}),
            "id": secrets.token_hex(4),
            "author": caller.name,
            "from": start,
            "to": end,
        }
        try:
            window = Window.model_validate(document)
        except ValidationError as error:
            raise invalid(error, "window", Window, document) from None
        self._refuse_covering_nothing(window)
        await self._windows.add(window)
        return window

    async def _end(self, request: web.Request) -> web.Response:
        """End a window now."""
        await self._guard.prepare(request)
        caller = self._guard.require(request, "windows:write")
        meant = self._meant(request.match_info["id"])
        self._refuse_beyond_reach(caller, meant)
        window = await self._windows.end(meant.id, caller.name) or meant
        return web.json_response(self._document(window) | {"ended": True}, headers=_NO_STORE)

    def _meant(self, key: str) -> Window:
        """Return the window of an id, or of the beginning of one that no other has. Raises Problem."""
        found = [it for it in self._windows.all() if it.id.startswith(key)]
        if len(found) > 1 and key not in [it.id for it in found]:
            raise Problem(409, "Several windows", f"{', '.join(it.id for it in found[:10])} begin with {key[:64]}")
        if not found and not self._windows.is_complete:
            raise not_known_yet("windows")
        if not found:
            told = f"no window {key[:64]!r} is in force or to come: it has ended, or there was none"
            raise Problem(404, "No such window", f"{told}; `healthd window list` and GET /windows show them")
        return next((it for it in found if it.id == key), found[0])

    def _times(self, wanted: NewWindow) -> tuple[datetime, datetime]:
        """Return start and end. Raises Problem."""
        now = self._clock.now()
        start, end = wanted.start or now, wanted.end
        if end is not None and wanted.lasts is not None:
            raise Problem(422, "Invalid window", "write to or for, not both")
        if start - now > _LONGEST:
            raise Problem(422, "Invalid window", "from must be within a year from now")
        if wanted.lasts is not None and wanted.lasts > _LONGEST.total_seconds():
            raise Problem(422, "Invalid window", f"for must not be longer than a year: write at most {_LONGEST.days}d")
        if wanted.lasts is not None:
            end = start + timedelta(seconds=wanted.lasts)
        elif end is None and wanted.kind == "acknowledgement":
            end = start + _ACKNOWLEDGED_FOR
        elif end is None:
            raise Problem(422, "Invalid window", "it needs an end: write for, such as 1h, or to")
        if end - start > _LONGEST:
            raise Problem(422, "Invalid window", "to must be within a year after from")
        if end <= max(now, start):
            raise Problem(422, "Invalid window", "to must be later than from, and than now")
        return start, end

    def _refuse_strangers(self, wanted: NewWindow) -> None:
        """Raise Problem for a name that nothing has: a window that covers nothing helps nobody."""
        checks = [state.name for state in self._board.checks()]
        known = {"checks": checks, "groups": self._board.groups(), "services": self._services()}
        for section, names in known.items():
            for name in getattr(wanted, section):
                if name not in names and not _WILD & set(name):
                    raise Problem(422, "Invalid window", f"names {not_under(section, name, names)}")

    def _refuse_covering_nothing(self, window: Window) -> None:
        """Raise Problem for patterns and labels that nothing has."""
        if window.kind == "freeze":
            services = self._services()
            if not any(window.freezes(name, labels) for name, labels in services.items()):
                told = nothing_covered("service", window.services, window.labels, services)
                raise Problem(422, "Invalid window", told)
            return
        checks = {state.name: state.config.labels for state in self._board.checks()}
        if not any(window.takes(name, labels, self._board.groups_of(name)) for name, labels in checks.items()):
            raise Problem(422, "Invalid window", nothing_covered("check", window.checks, window.labels, checks))

    def _refuse_beyond_reach(self, caller: Caller, window: NewWindow | Window) -> None:
        """Raise Problem 403 for a window that covers, or could cover later, what the caller's token is not bound to."""
        reach = caller.reach
        if reach is None:
            return
        if not (window.checks or window.groups or window.services):
            if reach.names or not reach.narrows(window.labels):
                raise caller.beyond_reach("everything with these labels: name its checks, groups or services")
            return
        services = self._services()
        for name in window.checks:
            known = name in self._board
            covered = known and reach.check(name, self._board.check(name).config.labels, self._board.groups_of(name))
            if not covered and not (name in reach.checks and reach.narrows(window.labels)):
                raise caller.beyond_reach(f"the check {name}")
        for name in window.services:
            covered = name in services and reach.service(name, services[name])
            if not covered and not (name in reach.services and reach.narrows(window.labels)):
                raise caller.beyond_reach(f"the service {name}")
        for group in window.groups:
            members = self._board.group(group).checks if group in self._board.groups() else ()
            owned = [reach.check(it.name, it.config.labels, self._board.groups_of(it.name)) for it in members]
            if not owned or not all(owned):
                raise caller.beyond_reach(f"the group {group}")

    def _document(self, window: Window) -> dict[str, Any]:
        assert window.start is not None
        assert window.end is not None
        matchers = {
            name: list(getattr(window, name)) for name in ("checks", "groups", "services") if getattr(window, name)
        }
        labels = {"labels": {name: list(values) for name, values in window.labels.items()}} if window.labels else {}
        return {
            "id": window.id,
            "kind": window.kind,
            **matchers,
            **labels,
            "from": stamp(window.start),
            "to": stamp(window.end),
            "reason": window.reason,
            "author": window.author,
            "stored": not self._windows.is_unsaved(window.id),
        }
