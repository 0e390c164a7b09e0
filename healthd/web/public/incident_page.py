"""`GET`, `POST /incidents/page`: where people write about incidents. What its forms do is what the API's calls do,
under the same scope and bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, get_args

from aiohttp import web

from healthd.config.in_force import Current
from healthd.config.incident import Impact, IncidentState
from healthd.config.settings import Settings
from healthd.monitoring.incidents import Incidents
from healthd.runtime.clock import Clock
from healthd.web.auth import Guard
from healthd.web.caller import Caller
from healthd.web.forms import read_form, refuse_other_sites, refuse_strange_fields
from healthd.web.pages.renderer import FORMS, Renderer
from healthd.web.parsing import validated
from healthd.web.problems import Problem, answering_problems
from healthd.web.public.writing import Writing
from healthd.web.public.written import NewIncident, NewUpdate

_SCOPE = "incidents:write"
_LARGEST = 32 * 1024  # bytes: 2,000 letters of any script, as a form sends them
_SHOWN = 20  # of those that are over, and updates of each
_WITH_FORMS = 50  # of those that are open; the others are named
_SAID = ("title", "text", "state", "impact")
_PLANNED = ("from", "for", "window")
_NEW = ("act", "token", "page", "component", *_SAID, *_PLANNED)
_KNOWN = ("act", "token", "incident", "component", "sure", *_SAID)  # one form has both of its buttons
_FIELDS = {"open": _NEW, "update": _KNOWN, "reopen": _KNOWN, "withdraw": _KNOWN}


class IncidentPage:
    """Page for those who write."""

    def __init__(
        self,
        incidents: Incidents,
        writing: Writing,
        guard: Guard,
        settings: Current[Settings],
        clock: Clock,
        renderer: Renderer,
    ) -> None:
        self._incidents, self._writing, self._guard = incidents, writing, guard
        self._settings, self._clock, self._renderer = settings, clock, renderer
        self._drawing = asyncio.Lock()  # not on the event loop, and one at a time: there may be thousands of updates

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/incidents/page", answering_problems(self._page)),
            web.post("/incidents/page", self._post),
        ]

    async def _page(self, request: web.Request) -> web.Response:
        self._guard.challenge(request, "health:read")
        await self._renderer.ready()
        person, incidents = self._guard.person(request), self._incidents.all()
        still = [it for it in incidents if it.is_open]
        context: dict[str, Any] = {
            "open": still[:_WITH_FORMS],
            "more": still[_WITH_FORMS:],
            "over": [it for it in incidents if not it.is_open][:_SHOWN],
            "most_updates": _SHOWN,
            "pages": self._settings.now.public_pages,
            "states": get_args(IncidentState),
            "impacts": get_args(Impact),
            "may_write": self._guard.knows_tokens if person is None else person.may(_SCOPE),
            "signed_in": person is not None,
            "may_sign_in": self._guard.may_sign_in(person, sees_details=True),
            "is_current": self._incidents.is_current,
            "now": self._clock.now(),
        }
        async with self._drawing:
            text = await asyncio.to_thread(self._renderer.text, "incidents.html", context)
        return self._renderer.answer(text, headers=FORMS, person=person)

    async def _post(self, request: web.Request) -> web.Response:
        try:
            await self._act(request)
        except Problem as problem:
            await self._renderer.ready()
            context = {"title": problem.title, "detail": problem.detail}
            return self._renderer.page("problem.html", context, problem.status, problem.headers)
        return web.Response(status=303, headers={"Location": "page", "Cache-Control": "no-store"})

    async def _act(self, request: web.Request) -> None:
        """Do what the form says. Raises Problem."""
        refuse_other_sites(request)
        form = await read_form(request, _LARGEST)
        if (fields := _FIELDS.get(form.get("act", ""))) is None:
            told = "the form names nothing that can be done; go back and reload the page"
            raise Problem(400, "Nothing was done", told)
        refuse_strange_fields(form, fields)
        caller = await self._caller(request, form.get("token", ""))
        said: dict[str, Any] = {key: form[key] for key in _SAID if form.get(key)}
        named = {"components": [form["component"]]} if form.get("component") else {}
        match form.get("act"):
            case "open":
                pages = {"pages": [form["page"]]} if form.get("page") else {}
                wanted = {**said, **named, **pages, **_planned(form)}
                incident = validated(wanted, NewIncident, "Invalid incident", self._writing.pages)
                await self._writing.open(caller, incident)
            case "update" | "reopen":
                meant = await self._writing.meant(form.get("incident", ""))
                known = self._writing.components_of(meant.last.pages)
                again = {"reopen": form["act"] == "reopen"}
                update = validated({**said, **named, **again}, NewUpdate, "Invalid update", known)
                await self._writing.update(caller, meant, update)
            case "withdraw" if form.get("sure") == "yes":
                await self._writing.withdraw(caller, form.get("incident", ""))
            case _:
                raise Problem(400, "Nothing was done", "tick that you mean it, and press the button again")

    async def _caller(self, request: web.Request, token: str) -> Caller:
        await self._guard.prepare(request, token)
        return self._guard.sender_of_form(request, token.strip(), _SCOPE)


def _planned(form: Mapping[str, str]) -> dict[str, Any]:
    """Return the times of planned maintenance, if there are any, and whether a window goes with it."""
    times = {key: form[key] for key in ("from", "for") if form.get(key)}
    if "from" in times:
        times["from"] = _with_zone(times["from"])
    return {**times, "window": form.get("window") == "yes"}


def _with_zone(time: str) -> str:
    """Return a time with its zone: the form of a browser names none, and its times are UTC."""
    try:
        return f"{time}Z" if datetime.fromisoformat(time).tzinfo is None else time
    except ValueError:  # which validation tells of
        return time
