"""`POST /checks/{name}/run`, for callers with a token."""

from __future__ import annotations

from aiohttp import web

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
        return [web.post("/checks/{name}/run", answering_problems(self._run))]

    async def _run(self, request: web.Request) -> web.Response:
        """Probe now, or join the probe in progress, and answer with the state of the check after it."""
        await self._guard.prepare(request)
        caller = self._guard.require(request, "checks:run")
        name = request.match_info["name"]
        if name not in self._board:
            raise Problem(404, "No such check", f"checks are: {', '.join(s.name for s in self._board.checks())}")
        refuse_beyond_reach(self._board, caller, name)
        return await probed(self._suite, self._board, name)


def refuse_beyond_reach(board: Board, caller: Caller, name: str) -> None:
    """Raise Problem 403 for a check that the caller's token is not bound to."""
    if not reaches(board, caller, name):
        raise caller.beyond_reach(f"the check {name}")


def reaches(board: Board, caller: Caller, name: str) -> bool:
    """Return True if a caller may change a check, where the scope allows it."""
    labels, groups = board.check(name).config.labels, board.groups_of(name)
    return caller.reach is None or caller.reach.check(name, labels, groups)


async def probed(suite: Suite, board: Board, name: str) -> web.Response:
    """Probe a check, and answer with it. Raises Problem."""
    try:
        await suite.probe(name)
        document = check_document(board.check(name), detailed=True)
    except LookupError:
        raise Problem(409, "Check changed", "a reload removed or changed this check while it ran") from None
    return web.json_response({"name": name, **document}, headers={"Cache-Control": "no-store"})
