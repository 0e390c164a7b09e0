"""`GET /gates/{id}/page`, the live page of a gate, and the events that keep it alive. It reads; it changes nothing."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial, wraps
from pathlib import Path

from aiohttp import web

from healthd.journal.database import JournalError
from healthd.journal.outage import Outage
from healthd.runtime.clock import Clock
from healthd.web.auth import Caller, Guard
from healthd.web.pages.parts import Part, Parts
from healthd.web.pages.renderer import FORMS, Renderer
from healthd.web.pages.stream import Streams
from healthd.web.problems import Problem
from healthd_gates.api.operation import GATE_ID
from healthd_gates.api.problems import problem_of
from healthd_gates.api.reach import ServicesInReach
from healthd_gates.domain.errors import JournalUnavailable, Refusal
from healthd_gates.domain.gate import Gate
from healthd_gates.domain.rollback_wording import WORDS
from healthd_gates.pages import view
from healthd_gates.pages.actions import errands
from healthd_gates.pages.acts import SCOPES_OF_BUTTONS
from healthd_gates.pages.gate_history import GateHistories, GateHistory
from healthd_gates.pages.log import log
from healthd_gates.pages.ramp import ramp_view
from healthd_gates.pages.timeline import timeline

FOLDER = Path(__file__).parent
_PARTS = "gate-parts.html"
_PACE = 1.0  # seconds for which the parts are valid
_PACE_OF_OVER = 5.0
_KEPT = 32  # scenes


Rights = frozenset[str] | None
"""Scopes that a person who has signed in has for the gate's service; None for those who act by a token, of which
nothing is known before the form is sent."""


@dataclass(slots=True)
class Scene:
    """The page of one gate for those with the same rights, and until when (monotonic seconds) what is known of the gate
    is valid. `drawn` are the rights for which the page shows all of that."""

    film: GateHistory | None = None
    good_until: float = 0.0
    parts: dict[Rights, Parts] = field(default_factory=lambda: defaultdict(Parts))
    drawn: set[Rights] = field(default_factory=set)


class GatePage:
    """Pages of gates, for callers who may read gates."""

    def __init__(
        self,
        gate_histories: GateHistories,
        reach: ServicesInReach,
        guard: Guard,
        clock: Clock,
        renderer: Renderer,
        streams: Streams,
    ) -> None:
        self._gate_histories, self._clock, self._renderer, self._streams = gate_histories, clock, renderer, streams
        self._reach, self._guard = reach, guard
        self.outage: Callable[[], Outage | None] = lambda: None
        self._scenes: OrderedDict[str, Scene] = OrderedDict()
        renderer.add(FOLDER)

    def routes(self) -> list[web.RouteDef]:
        path = f"/gates/{{gate_id:{GATE_ID}}}/page"
        return [web.get(path, self._showing(self._page)), web.get(f"{path}/events", self._events, allow_head=False)]

    def renew(self, gate_id: str) -> None:
        """Draw the page of a gate anew when it is asked for next."""
        if (scene := self._scenes.get(gate_id)) is not None:
            scene.good_until = 0.0

    async def _page(self, request: web.Request) -> web.Response:
        gate_id = request.match_info["gate_id"]
        self._guard.challenge(request, "gates:read")
        await self._renderer.ready()
        person = self._guard.person(request)
        context = {
            "parts": await self._refresh(gate_id, person),
            "now": self._clock.now(),
            "events": f"/gates/{gate_id}/page/events",
            "gate_id": gate_id,
            "may_sign_in": self._guard.may_sign_in(person, sees_details=True),
        }
        return self._renderer.page("gate.html", context, headers=FORMS, person=person)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        async def refresh() -> Parts:
            self._guard.challenge(request, "gates:read")
            return await self._refresh(request.match_info["gate_id"], self._guard.person(request))

        await self._renderer.ready()
        try:
            return await self._streams.follow(request, refresh, known=True)
        except Problem as problem:
            return problem.response()

    def _showing(
        self, handler: Callable[[web.Request], Awaitable[web.Response]]
    ) -> Callable[..., Awaitable[web.Response]]:
        """Answer every request for a page with a page, also a refusal."""

        @wraps(handler)
        async def shown(request: web.Request) -> web.Response:
            try:
                return await handler(request)
            except Problem as problem:
                await self._renderer.ready()
                context = {"title": problem.title, "detail": problem.detail}
                return self._renderer.page("problem.html", context, problem.status, problem.headers)

        return shown

    async def _refresh(self, gate_id: str, person: Caller | None) -> Parts:
        """Return the present parts, with the buttons of a person who has signed in, or of those who act by a token.
        Raises Problem."""
        scene = self._scenes.setdefault(gate_id, Scene())
        self._scenes.move_to_end(gate_id)
        if len(self._scenes) > _KEPT:
            self._scenes.popitem(last=False)
        if (film := scene.film) is None or self._clock.steady() >= scene.good_until:
            film = scene.film = await self._look(gate_id)
            scene.drawn.clear()
            scene.good_until = self._clock.steady() + (_PACE_OF_OVER if film.gate.state.is_over else _PACE)
        rights = self._rights(person, film.gate.service)
        if rights not in scene.drawn:
            scene.parts[rights].update(self._whole(film, rights))
            scene.drawn.add(rights)
        return scene.parts[rights]

    def _rights(self, person: Caller | None, service: str) -> Rights:
        if person is None:
            return None
        reaches = self._reach.reaches(person, service)
        return frozenset(scope for scope in SCOPES_OF_BUTTONS if reaches and person.may(scope))

    async def _look(self, gate_id: str) -> GateHistory:
        """Return the gate's history, as far as it was read before where the journal is away. Raises Problem."""
        try:
            return await self._gate_histories.of(gate_id)
        except (JournalUnavailable, JournalError) as error:
            if (film := self._gate_histories.seen(gate_id)) is not None:
                return film
            refusal = error if isinstance(error, JournalUnavailable) else JournalUnavailable(problem=str(error))
            raise problem_of(refusal, reads=True) from None
        except Refusal as refusal:
            self._scenes.pop(gate_id, None)
            raise problem_of(refusal, reads=True) from None

    def _whole(self, film: GateHistory, rights: Rights) -> dict[str, Part]:
        gate = film.gate
        headline = view.headline(gate, self.outage())
        harm = view.evidence_of_harm(gate.standing) if gate.standing else None
        return {
            "title": self._part("title", headline),
            "icon": self._part("icon", headline.sign),
            "headline": self._part("headline", headline),
            "timeline": self._part("timeline", timeline(film)),
            "evidence": Part(
                (harm, gate.standing, gate.allowance, film.seen),
                lambda: self._draw("evidence", harm, view.criteria(film), view.allowance(gate)),
            ),
            "ramp": self._part("ramp", ramp_view(film)),
            "orders": self._part("orders", gate.rollback, _label(gate), errands(film.orders)),
            "about": self._part("about", *_what_stays(gate)),
            "act": self._part(
                "act",
                *(gate.id, headline.undecided, gate.state.value, gate.rollback, gate.ramp),
                *(self._guard.knows_tokens, rights),
            ),
            "log": self._part("log", log(film)),
        }

    def _part(self, macro: str, *arguments: object) -> Part:
        return Part(arguments, partial(self._draw, macro, *arguments))

    def _draw(self, macro: str, *arguments: object) -> str:
        return self._renderer.part(_PARTS, macro, *arguments)


def _label(gate: Gate) -> str:
    return WORDS[gate.rollback.state].label if gate.rollback else ""


def _what_stays(gate: Gate) -> tuple[object, ...]:
    """Return the values that do not change in a gate's life."""
    arms = (gate.candidate, gate.baseline)
    return (gate.id, gate.policy, gate.caller, *arms, gate.deployment, gate.rollback_mode, gate.created_at)
