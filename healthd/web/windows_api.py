"""`GET`, `POST /windows` and `DELETE /windows/{id}`: windows that callers add while the daemon runs."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from healthd.config.window import Window
from healthd.model import Status
from healthd.monitoring.board import Board
from healthd.monitoring.state import CheckState
from healthd.monitoring.windows import Windows
from healthd.runtime.clock import Clock
from healthd.units import stamp
from healthd.web.auth import Caller, Guard
from healthd.web.new_window import NewWindow, Surroundings
from healthd.web.parsing import body_of
from healthd.web.problems import Problem, answering_problems, not_known_yet

_MOST = 1000
_NO_STORE = {"Cache-Control": "no-store"}


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
        self.is_told: Callable[[str], bool] = lambda _: False
        """Tells whether somebody was told of a check's failure, and not yet of its end: a replica that sees it healthy
        is asked on behalf of one that does not."""

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
        window = await self.add(caller, await body_of(request, NewWindow, "window", self.surroundings()))
        return web.json_response(self._document(window), status=201, headers=_NO_STORE)

    def surroundings(self) -> Surroundings:
        """Return what a window is validated against now."""
        return Surroundings(
            {state.name: state.config.labels for state in self._board.checks()},
            self._board.groups(),
            self._services(),
            self._board.groups_of,
            self._clock.now(),
        )

    async def add(self, caller: Caller, wanted: NewWindow) -> Window:
        """Put a window in force that was validated against the `surroundings`, for a caller with the scope
        `windows:write`. Raises Problem."""
        window = self._window(caller, wanted, secrets.token_hex(4))
        self._refuse_without_failure(window)
        await self._windows.add(window, replaced=await self._acknowledged(window))
        return window

    async def move(self, caller: Caller, key: str, wanted: NewWindow) -> Window:
        """Put a window in force in place of the one of an id, which it keeps; that one may be over. As `add`."""
        if (before := self.find(key)) is not None:
            self._refuse_beyond_reach(caller, before)
        window = self._window(caller, wanted, key)
        await self._windows.move(window)
        return window

    def _window(self, caller: Caller, wanted: NewWindow, key: str) -> Window:
        self._refuse_beyond_reach(caller, wanted)
        if len(self._windows.all()) >= _MOST and self.find(key) is None:
            raise Problem(429, "Too many windows", f"there are {_MOST}: end some first")
        start, end = wanted.times(self._clock.now())
        return Window.model_validate(
            {
                **wanted.model_dump(include={"kind", "checks", "groups", "services", "labels", "reason"}),
                "id": key,
                "author": caller.name,
                "from": start,
                "to": end,
            }
        )

    async def _end(self, request: web.Request) -> web.Response:
        """End a window now."""
        await self._guard.prepare(request)
        caller = self._guard.require(request, "windows:write")
        meant = await self._meant(request.match_info["id"])
        window = await self.end(caller, meant)
        return web.json_response(self._document(window) | {"ended": True}, headers=_NO_STORE)

    async def end(self, caller: Caller, window: Window) -> Window:
        """End a window for a caller with the scope `windows:write`. Raises Problem."""
        self._refuse_beyond_reach(caller, window)
        return await self._windows.end(window.id, caller.name) or window

    def has_failure(self, state: CheckState) -> bool:
        """True if there is something to acknowledge: here, or at another replica, which told it."""
        return state.status is not Status.HEALTHY or self.is_told(state.name)

    def _refuse_without_failure(self, window: Window) -> None:
        """Raise Problem 409 for an acknowledgement of what is healthy: it would stand until the next failure has ended,
        and hold back the reminders of that."""
        if window.kind != "acknowledgement":
            return
        board = self._board
        covered = [board.check(name) for name in self._covered(window)]
        if any(self.has_failure(it) for it in covered):
            return
        if len(covered) == 1:
            since = f" since {stamp(covered[0].since)}" if covered[0].since else ""
            told = f"{covered[0].name} is healthy{since}"
        else:
            told = f"all {len(covered)} checks that it covers are healthy"
        cure = "the next failure will be told; to hear nothing of that, add a silence"
        raise Problem(409, "Nothing to acknowledge", f"{told}: there is nothing to acknowledge; {cure}")

    async def _acknowledged(self, window: Window) -> list[Window]:
        """Return the acknowledgements of which a new one takes the place: those that cover nothing else."""
        if window.kind != "acknowledgement" or (window.start and window.start > self._clock.now()):
            return []
        await self._windows.refresh()  # another replica may have been told of one just now
        covered = self._covered(window)
        known = [(it, self._covered(it)) for it in self._windows.all() if it.kind == "acknowledgement"]
        return [it for it, checks in known if checks and checks <= covered]

    def _covered(self, window: Window) -> set[str]:
        board = self._board
        return {it.name for it in board.checks() if window.takes(it.name, it.config.labels, board.groups_of(it.name))}

    def find(self, key: str | None) -> Window | None:
        """Return the window of an id that is in force or to come."""
        return next((it for it in self._windows.all() if it.id == key), None)

    async def look_up(self, key: str) -> Window | None:
        """Return the window of an id that is in force or to come, by the journal as it is now. Raises Problem 503."""
        if not await self._windows.refresh():
            raise not_known_yet("windows")
        return self.find(key)

    async def _meant(self, key: str) -> Window:
        """Return the window of an id, or of the beginning of one that no other has, as the journal has it now where it
        is not known here. Raises Problem."""
        if not (found := [it for it in self._windows.all() if it.id.startswith(key)]):
            await self._windows.refresh()
            found = [it for it in self._windows.all() if it.id.startswith(key)]
        if len(found) > 1 and key not in [it.id for it in found]:
            raise Problem(409, "Several windows", f"{', '.join(it.id for it in found[:10])} begin with {key[:64]}")
        if not found and not self._windows.is_complete:
            raise not_known_yet("windows")
        if not found:
            told = f"no window {key[:64]!r} is in force or to come: it has ended, or there was none"
            raise Problem(404, "No such window", f"{told}; `healthd window list` and GET /windows show them")
        return next((it for it in found if it.id == key), found[0])

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
            **({"until_healthy": True} if window.is_until_healthy else {}),
            "reason": window.reason,
            "author": window.author,
            "stored": not self._windows.is_unsaved(window.id),
        }
