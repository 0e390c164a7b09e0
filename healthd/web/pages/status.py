"""Endpoints `GET /`, the status page, and `GET /events`, which keeps it live. It reads the board; it never probes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from aiohttp import web

from healthd.config.in_force import Current
from healthd.config.settings import Settings
from healthd.journal.database import JournalError
from healthd.journal.journal import Journal
from healthd.journal.outage import Outage
from healthd.model import Status
from healthd.monitoring.board import Board
from healthd.monitoring.state import CheckState
from healthd.runtime.clock import Clock
from healthd.web.auth import Caller, Guard
from healthd.web.health import HealthEndpoints
from healthd.web.pages import status_view
from healthd.web.pages.deploys import Deploy, Deploys, UnknownDeploysError
from healthd.web.pages.history import DAY, History, span_of
from healthd.web.pages.parts import Part, Parts
from healthd.web.pages.renderer import Renderer
from healthd.web.pages.stream import Streams
from healthd.web.problems import Problem, answering_problems
from healthd.web.spending import Spending
from healthd.web.troubles import Troubles, none

_log = structlog.get_logger(__name__)
_PARTS = "status-parts.html"
_PACE = 1.0  # seconds for which rendered parts are used
_DEPLOYS_PACE = 3.0
_PATIENCE = 0.5  # seconds that a page waits for the journal; then it says that there was no answer
_RECALL_AGAIN = 30.0
_ALL_LEAD = 100  # checks; with more, only those that are not healthy lead to their pages: it would be too long


@dataclass(frozen=True, slots=True)
class Sight:
    """Permissions of a viewer: numbers and messages; deploys."""

    details: bool
    deploys: bool


@dataclass(slots=True)
class Scene:
    """Page for one kind of viewer, and the time (steady seconds) until which it needs no update."""

    parts: Parts
    good_until: float = 0.0


class StatusPage:
    """Page for everyone, rendered once a second at most, and only while it has viewers."""

    def __init__(
        self,
        *,
        board: Board,
        health: HealthEndpoints,
        guard: Guard,
        settings: Current[Settings],
        clock: Clock,
        journal: Journal,
        renderer: Renderer,
        streams: Streams,
    ) -> None:
        self._board, self._health, self._guard, self._in_force = board, health, guard, settings
        self._clock, self._journal, self._renderer, self._streams = clock, journal, renderer, streams
        self.deploys: Deploys | None = None
        self.troubles: Troubles = none
        self.outage: Callable[[], Outage | None] = lambda: None
        self.history = History(clock.now())
        self.history.arrange(settings.now.active_checks)
        self._scenes: dict[Sight, Scene] = {}
        self._drawn: dict[tuple[Sight, bool], str] = {}
        self._spending = Spending()
        self._recall_at: float | None = 0.0
        self._seen_deploys: tuple[tuple[Deploy, ...] | str, float] = ((), 0.0)

    @property
    def _settings(self) -> Settings:
        return self._in_force.now

    def arrange(self) -> None:
        """Show exactly the checks of the configuration in force."""
        self.history.arrange(self._settings.active_checks)
        self._scenes.clear()
        self._drawn.clear()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", answering_problems(self._page)),
            web.get("/events", answering_problems(self._events), allow_head=False),
            *self._renderer.assets.routes(),
        ]

    async def _page(self, request: web.Request) -> web.Response:
        """Serve the page without a token, at a bounded cost: above the rate limit the last rendering is served."""
        sight = self._sight(request)
        headers = {"X-Health-Status": self._board.overall().value}
        await self._renderer.ready()
        person = self._guard.person(request)
        may_sign_in = self._guard.may_sign_in(person, sight.details)
        if (sight, may_sign_in) in self._drawn and self._spending.is_over:
            return self._renderer.answer(self._drawn[sight, may_sign_in], headers=headers, person=person)
        parts = await self._refresh(sight)
        context: dict[str, Any] = {
            "parts": parts,
            "now": self._clock.now(),
            "started": self.history.started,
            "version": self._settings.version,
            "environment": self._settings.environment,
            "sight": sight,
            "may_sign_in": may_sign_in,
            "leads_to_incidents": sight.details and bool(self._settings.public_pages),
            "events": "/events",
        }
        with self._spending.counted():
            text = self._drawn[sight, may_sign_in] = self._renderer.text("status.html", context)
        return self._renderer.answer(text, headers=headers, person=person)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        await self._renderer.ready()
        known = self._known(request) is not None
        return await self._streams.follow(request, lambda: self._refresh(self._sight(request)), known=known)

    def _known(self, request: web.Request) -> Caller | None:
        try:
            return self._guard.caller(request)
        except Problem:  # as on /health: an unknown token is treated as anonymous
            return None

    def _sight(self, request: web.Request) -> Sight:
        caller = self._known(request)
        deploys = self.deploys is not None and caller is not None and caller.may("gates:read")
        return Sight(self._health.detailed(request), deploys)

    async def _refresh(self, sight: Sight) -> Parts:
        scene = self._scenes.setdefault(sight, Scene(Parts()))
        if self._clock.steady() >= scene.good_until:
            if sight.details:
                await self._recall()
            deploys = await self._latest_deploys() if sight.deploys else ()
            order = sorted(self._board.checks(), key=status_view.severity)
            wanted = self._whole(deploys, sight) | {f"check-{s.name}": self._row(s, sight) for s in order}
            scene.parts.update(wanted, tuple(f"check-{state.name}" for state in order))
            scene.good_until = self._clock.steady() + _PACE
        return scene.parts

    def _whole(self, deploys: tuple[Deploy, ...] | str, sight: Sight) -> dict[str, Part]:
        headline = status_view.headline(self._board, self.troubles(), named=sight.deploys)
        notes = status_view.notes(
            self.outage(), self._health.not_in_force, self._health.taken_away(), details=sight.details
        )
        title = self._settings.environment
        return {
            "title": self._part("title", headline, title),
            "icon": self._part("icon", headline.status.value),
            "headline": self._part("headline", headline, title, notes),
            "groups": self._part("groups", status_view.groups(self._board)),
            "deploys": self._part("deploys", deploys),
        }

    def _part(self, macro: str, *arguments: object) -> Part:
        return Part(arguments, partial(self._renderer.part, _PARTS, macro, *arguments))

    def _row(self, state: CheckState, sight: Sight) -> Part:
        past, now = self.history.of(state.name), self._clock.now()
        since = None if state.since is None else int(state.since.timestamp())
        key = (state.status, since, state.probe, state.covers, state.held_by, past.count, span_of(now))

        leads = state.status is not Status.HEALTHY or len(self._settings.active_checks) <= _ALL_LEAD

        def draw() -> str:
            row = status_view.row(state, past, now, self.history.started, details=sight.details, leads=leads)
            return self._renderer.part(_PARTS, "check", row, sight.details)

        return Part(key, draw)

    async def _latest_deploys(self) -> tuple[Deploy, ...] | str:
        """Return the deploys, or why they cannot be read."""
        found, good_until = self._seen_deploys
        if self.deploys is None or self._clock.steady() < good_until:
            return found
        try:
            async with asyncio.timeout(_PATIENCE):
                found = tuple(await self.deploys.latest())
        except UnknownDeploysError as error:
            found = str(error)
        except TimeoutError:
            found = "the journal does not answer"
        self._seen_deploys = (found, self._clock.steady() + _DEPLOYS_PACE)
        return found

    async def _recall(self) -> None:
        """Load the last day from the journal, once per process."""
        if self._recall_at is None or self._clock.steady() < self._recall_at:
            return
        self._recall_at = self._clock.steady() + _RECALL_AGAIN
        try:
            async with asyncio.timeout(_PATIENCE):
                self.history.recall(await self._journal.changes(DAY))
        except (JournalError, TimeoutError) as error:
            _log.debug("status history not loaded from the journal", problem=str(error))
        else:
            self._recall_at = None
