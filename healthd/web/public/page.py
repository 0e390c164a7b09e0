"""`GET /status/NAME`: a public page, with its feeds. They are drawn from memory every few seconds at most, for as long
as they are asked for, and the same bytes go to everybody."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Literal

from aiohttp import hdrs, web

from healthd.config.in_force import Current
from healthd.config.public_page import Language
from healthd.config.settings import Settings
from healthd.config.window import CheckWindow, Window
from healthd.monitoring.board import Board
from healthd.monitoring.incidents import Incidents
from healthd.runtime.clock import Clock
from healthd.web.pages.kept import Kept, kept
from healthd.web.pages.renderer import Renderer
from healthd.web.problems import Problem, answering_problems
from healthd.web.public import feeds
from healthd.web.public.languages import chosen
from healthd.web.public.membership import Member, Memberships
from healthd.web.public.past import PublicPast
from healthd.web.public.planned import planned
from healthd.web.public.standing import of_checks
from healthd.web.public.view import Scene, context, with_incidents
from healthd.web.spending import Spending

FOLDER = Path(__file__).parent
_PACE = 5.0  # seconds for which a drawing is sent
_OLD = 60.0  # seconds after which a drawing is not sent any more while another is made
_STALE = timedelta(minutes=3)  # after which the past is told to be old
_NAME = "{name:[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}}"
_STYLE = (FOLDER / "static" / "public.css").read_text(encoding="utf-8")
_STYLE_MARK = base64.b64encode(sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Cache-Control": "public, max-age=5",
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_MARK}'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Type": "text/html; charset=utf-8",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Language",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


Form = Literal["page", "atom", "rss"]
Parts = Sequence[Collection[Member]]
_FEEDS: Mapping[str, Callable[[Scene, Language, str, str], str]] = {"atom": feeds.atom, "rss": feeds.rss}


@dataclass(frozen=True, slots=True)
class _Drawing:
    """Answer in one form and language, and the time (steady seconds) at which it was drawn."""

    answer: Kept
    drawn_at: float


class PublicPages:
    """Public pages of the configuration in force."""

    def __init__(
        self,
        *,
        board: Board,
        settings: Current[Settings],
        clock: Clock,
        past: PublicPast,
        incidents: Incidents,
        windows: Callable[[], Iterable[Window]],
        memberships: Memberships,
        renderer: Renderer,
    ) -> None:
        """`windows` are those that callers have added."""
        self._board, self._settings, self._clock = board, settings, clock
        self._past, self._incidents, self._windows = past, incidents, windows
        self._memberships, self._renderer = memberships, renderer
        renderer.add(FOLDER)
        self._drawings: dict[tuple[str, Form, Language], _Drawing] = {}
        self._revision = -1
        self._making = asyncio.Lock()
        self._spending = Spending()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(f"/status/{_NAME}", answering_problems(self._page)),
            web.get(f"/status/{_NAME}/feed.{{form:atom|rss}}", answering_problems(self._feed)),
        ]

    async def _page(self, request: web.Request) -> web.Response:
        return await self._answer(request, "page")

    async def _feed(self, request: web.Request) -> web.Response:
        form: Form = "atom" if request.match_info["form"] == "atom" else "rss"
        if self._address(request.match_info["name"]) is None:  # an entry needs an id for ever
            raise Problem(404, "No such page")
        return await self._answer(request, form)

    async def _answer(self, request: web.Request, form: Form) -> web.Response:
        name = request.match_info["name"]
        page = self._settings.now.public_pages.get(name)
        if page is None:
            raise Problem(404, "No such page")  # and no other one is named: it may be for others
        language = chosen(request.headers.get(hdrs.ACCEPT_LANGUAGE, ""), page.languages, request.query.get("lang"))
        return (await self._drawn(name, form, language)).answer(request)

    async def _drawn(self, name: str, form: Form, language: Language) -> Kept:
        """Return the answer of now, or the last one while another is being drawn or too much was spent on drawing."""
        self._forget_what_was()
        key = name, form, language
        patience = _OLD if self._making.locked() else _PACE
        if (last := self._drawings.get(key)) is not None and self._will_do(last, patience):
            return last.answer
        async with self._making:
            if (last := self._drawings.get(key)) is not None and self._will_do(last, _PACE):
                return last.answer
            await self._past.look()
            await self._renderer.ready()
            membership = await self._memberships.now()
            if name not in membership.pages:  # a reload took it meanwhile
                raise Problem(404, "No such page")
            parts = membership.pages[name]
            began, scene = self._clock.steady(), self._scene(name, parts)
            if form != "page" and scene.incidents is None:
                raise Problem(503, "Not known", headers={"Retry-After": "30"})
            announced = {it.last.window for it in scene.incidents or ()}  # whose times stand there with their text
            added = [it for it in self._windows() if it.id not in announced]
            windows = (*self._settings.now.maintenance, *added)
            answer = await asyncio.to_thread(self._draw, scene, form, language, windows, parts)
            if membership.revision == self._settings.revision:
                self._drawings[key] = _Drawing(answer, began)
        return answer

    def _will_do(self, last: _Drawing, seconds: float) -> bool:
        return self._clock.steady() - last.drawn_at < seconds or self._spending.is_over

    def _forget_what_was(self) -> None:
        """Drop what was drawn of another configuration."""
        if self._revision != self._settings.revision:
            self._revision = self._settings.revision
            self._drawings.clear()

    def _scene(self, name: str, parts: Parts) -> Scene:
        """Return what the page shows now, but for planned maintenance. It takes from the states of checks nothing but
        how they are."""
        page, now = self._settings.now.public_pages[name], self._clock.now()
        states = [of_checks([self._board.check(it.name) for it in part if it.name in self._board]) for part in parts]
        incidents = tuple(it for it in self._incidents.all() if name in it.last.pages)
        known, heard = self._past.known, self._incidents.read_at
        times = [it for it in (known[1] if known and page.uptime_days else None, heard) if it is not None]
        old = min(times, default=None)
        return Scene(
            name=name,
            page=page,
            address=self._address(name),
            now=now,
            states=with_incidents(page, states, incidents),
            days=known[0].get(name) if known else None,
            known_at=old if old is not None and now - old > _STALE else None,
            planned=(),
            incidents=incidents if heard is not None or incidents else None,
        )

    def _address(self, name: str) -> str | None:
        """Return the external address of a page, None where it is not known."""
        settings = self._settings.now
        page, base = settings.public_pages.get(name), settings.http.external_url
        if page is not None and page.url is not None:
            return page.url
        return f"{base}/status/{name}" if page is not None and base is not None else None

    def _draw(self, scene: Scene, form: Form, language: Language, windows: Iterable[CheckWindow], parts: Parts) -> Kept:
        """Return the answer. Not on the event loop: it may take long."""
        address = scene.address
        own = {kind: f"{address}/feed.{kind}?lang={language}" for kind in _FEEDS} if address is not None else {}
        with self._spending.counted():
            if form in own and address is not None:
                text = _FEEDS[form](scene, language, address, own[form])
                headers = {**_HEADERS, hdrs.CONTENT_TYPE: f"application/{form}+xml; charset=utf-8"}
            else:
                scene = replace(scene, planned=planned(scene.page, parts, windows, scene.now))
                text = self._renderer.text("public.html", {**context(scene, language, own), "style": _STYLE})
                headers = _HEADERS
            return kept(text, {**headers, hdrs.CONTENT_LANGUAGE: language})
