"""`POST /checks/{name}/run` and `POST /heartbeats/{name}`, for callers with a token."""

from __future__ import annotations

from aiohttp import web

from healthd.checks.heartbeat import Heartbeat
from healthd.monitoring.board import Board
from healthd.monitoring.suite import Suite
from healthd.web.auth import Caller, Guard
from healthd.web.documents import check_document
from healthd.web.problems import Problem, answering_problems


class ChecksApi:
    """API calls on a check for authorised callers."""

    def __init__(self, suite: Suite, board: Board, guard: Guard) -> None:
        self._suite, self._board, self._guard = suite, board, guard

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/checks/{name}/run", answering_problems(self._run)),
            web.post("/heartbeats/{name}", answering_problems(self._beat)),
        ]

    async def _run(self, request: web.Request) -> web.Response:
        """Probe now, or join the probe in progress, and answer with the state of the check after it."""
        caller = self._guard.require(request, "checks:run")
        name = request.match_info["name"]
        if name not in self._board:
            raise Problem(404, "No such check", f"checks are: {', '.join(s.name for s in self._board.checks())}")
        self._refuse_beyond_reach(caller, name)
        return await self._probed(name)

    async def _beat(self, request: web.Request) -> web.Response:
        """Record a heartbeat, and show it at once."""
        caller = self._guard.require(request, "heartbeats:write")
        name = request.match_info["name"]
        known = {state.name for state in self._board.checks() if state.config.kind == "heartbeat"}
        check = self._suite.check(name) if name in known else None
        if not isinstance(check, Heartbeat):
            raise Problem(404, "No such heartbeat", f"heartbeats are: {', '.join(sorted(known)) or 'none'}")
        self._refuse_beyond_reach(caller, name)
        check.beat()
        return await self._probed(name)

    def _refuse_beyond_reach(self, caller: Caller, name: str) -> None:
        """Raise Problem 403 for a check that the caller's token is not bound to."""
        labels, groups = self._board.check(name).config.labels, self._board.groups_of(name)
        if caller.reach is not None and not caller.reach.check(name, labels, groups):
            raise caller.beyond_reach(f"the check {name}")

    async def _probed(self, name: str) -> web.Response:
        try:
            await self._suite.probe(name)
            document = check_document(self._board.check(name), detailed=True)
        except LookupError:
            raise Problem(409, "Check changed", "a reload removed or changed this check while it ran") from None
        return web.json_response({"name": name, **document}, headers={"Cache-Control": "no-store"})
