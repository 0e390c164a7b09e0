"""`GET /checks/{name}`, the page of one check with its past, and `GET /badges/{name}.svg`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aiohttp import web

from healthd.monitoring.board import Board
from healthd.monitoring.state import CheckState
from healthd.runtime.clock import Clock
from healthd.web.auth import Guard
from healthd.web.health import HealthEndpoints
from healthd.web.history_api import HistoryApi, no_such_check
from healthd.web.history_schema import PERIODS
from healthd.web.pages import status_view
from healthd.web.pages.badge import status_badge, uptime_badge
from healthd.web.pages.history import History
from healthd.web.pages.renderer import Renderer
from healthd.web.problems import Problem, answering_problems
from healthd.web.spending import Spending

_FRESH = 30.0  # seconds for which the past of a check is not computed again
_MOSTLY = 0.9  # of a period
_BADGE = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Vary": "Authorization, Cookie",
    "X-Content-Type-Options": "nosniff",
}


class CheckPages:
    """Pages and badges of checks. The page and the uptime are for callers who see details, a status is for everyone."""

    def __init__(
        self,
        board: Board,
        health: HealthEndpoints,
        guard: Guard,
        clock: Clock,
        history: History,
        past: HistoryApi,
        renderer: Renderer,
    ) -> None:
        self._board, self._health, self._guard, self._clock = board, health, guard, clock
        self._history, self._past, self._renderer = history, past, renderer
        self._documents: dict[str, tuple[dict[str, Any], float]] = {}
        self._drawn: dict[str, str] = {}
        self._spending = Spending()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/checks/{name}", answering_problems(self._page)),
            web.get("/badges/{name}.svg", answering_problems(self._badge)),
        ]

    async def _page(self, request: web.Request) -> web.Response:
        self._require_details(request)
        state, person = self._state(request), self._guard.person(request)
        await self._renderer.ready()
        if state.name in self._drawn and self._spending.is_over:
            return self._renderer.answer(self._drawn[state.name], person=person)
        problem, past = "", {}
        try:
            past = await self._document(state.name)
        except Problem as error:
            problem = error.detail
        now = self._clock.now()
        context = {
            "row": status_view.row(
                state, self._history.of(state.name), now, self._history.started, details=True, leads=False
            ),
            "uptime": {name: percent(period) for name, period in past.get("uptime", {}).items()},
            "failures": [_failure(it) for it in past.get("failures", ())],
            "last_healthy": datetime.fromisoformat(past["lastHealthy"]) if "lastHealthy" in past else None,
            "problem": problem,
            "now": now,
        }
        with self._spending.counted():
            text = self._drawn[state.name] = self._renderer.text("check.html", context)
        return self._renderer.answer(text, person=person)

    async def _badge(self, request: web.Request) -> web.Response:
        period = request.query.get("uptime")
        if period is not None:
            self._require_details(request)
        state = self._state(request)
        if period is None:
            return _image(status_badge(state))
        if period not in PERIODS:
            raise Problem(400, "Invalid query", f"uptime: one of {', '.join(PERIODS)}")
        found = (await self._document(state.name))["uptime"][period]
        return _image(uptime_badge(state.name, period, percent(found), found["uptime"]))

    def _require_details(self, request: web.Request) -> None:
        """Raise Problem 401 or 403 for callers who may not see the past; a browser then asks for a token."""
        if not self._health.detailed(request):
            self._guard.challenge(request, "health:read")

    def _state(self, request: web.Request) -> CheckState:
        name = request.match_info["name"]
        if name not in self._board:
            raise no_such_check(self._board, name)
        return self._board.check(name)

    async def _document(self, name: str) -> dict[str, Any]:
        """Return the past of a check, computed for whoever asks first. Raises Problem 503."""
        document, good_until = self._documents.get(name, ({}, 0.0))
        if self._clock.steady() < good_until:
            return document
        document = await self._past.of_check(name, max(PERIODS.values()))
        self._documents = {it: kept for it, kept in self._documents.items() if it in self._board}
        self._drawn = {it: text for it, text in self._drawn.items() if it in self._board}
        self._documents[name] = document, self._clock.steady() + _FRESH
        return document


def percent(period: Mapping[str, Any]) -> str:
    """Return a share in percent, rounded down: 100 % means that it was never down. A star marks the share of a time of
    which too little is known."""
    ratio = period["uptime"]
    if ratio is None:
        return "unknown"
    return f"{int(ratio * 1e5 + 1e-6) / 1e3:.3f} %{' *' if period['known'] < _MOSTLY else ''}"


def _failure(found: Mapping[str, Any]) -> dict[str, Any]:
    start, end = (datetime.fromisoformat(found[it]) if it in found else None for it in ("from", "to"))
    return {**found, "kind": found.get("kind"), "start": start, "end": end}


def _image(text: str) -> web.Response:
    return web.Response(text=text, content_type="image/svg+xml", headers=_BADGE)
