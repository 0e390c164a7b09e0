"""`POST /checks/{name}/run` and `POST /heartbeats/{name}`, for callers with a token."""

from __future__ import annotations

from aiohttp import web

from healthd.board import Board
from healthd.suite import Suite
from healthd.web.auth import Guard
from healthd.web.documents import check_document
from healthd.web.problems import Problem, answering_problems


class ChecksApi:
    """What an authorised caller may ask of a check."""

    def __init__(self, suite: Suite, board: Board, guard: Guard) -> None:
        self._suite, self._board, self.guard = suite, board, guard

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/checks/{name}/run", answering_problems(self._run))]

    async def _run(self, request: web.Request) -> web.Response:
        """Probe now, or join the probe under way, and answer with the check as it stands then."""
        self.guard.require(request, "checks:run")
        name = request.match_info["name"]
        if name not in self._board:
            raise Problem(404, "No such check", f"checks are: {', '.join(s.name for s in self._board.checks())}")
        try:
            await self._suite.probe(name)
            document = check_document(self._board.check(name), detailed=True)
        except LookupError:
            raise Problem(409, "Check changed", "a reload removed or changed this check while it ran") from None
        return web.json_response({"name": name, **document}, headers={"Cache-Control": "no-store"})
