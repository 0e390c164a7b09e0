"""`GET` and `POST /checks/{name}/silence`: a person acknowledges a check, or silences it for a time. The page does not
renew itself, so that nothing is lost that somebody writes there."""

from __future__ import annotations

from urllib.parse import quote

from aiohttp import web

from healthd.monitoring.board import Board
from healthd.web.auth import Caller, Guard
from healthd.web.checks_api import reaches
from healthd.web.forms import read_form, refuse_other_sites, refuse_strange_fields
from healthd.web.history_api import no_such_check
from healthd.web.new_window import NewWindow
from healthd.web.pages.renderer import FORMS, Renderer
from healthd.web.parsing import validated
from healthd.web.problems import Problem, answering_problems
from healthd.web.windows_api import WindowsApi

_SCOPE = "windows:write"
_ACTS = {
    "acknowledge": {"kind": "acknowledgement"},
    "silence-1h": {"kind": "silence", "for": "1h"},
    "silence-8h": {"kind": "silence", "for": "8h"},
}


class SilencePage:
    """Buttons of a check. What they do is what `POST /windows` does, under the same scope and bounds."""

    def __init__(self, windows: WindowsApi, board: Board, guard: Guard, renderer: Renderer) -> None:
        self._windows, self._board, self._guard, self._renderer = windows, board, guard, renderer

    def routes(self) -> list[web.RouteDef]:
        path = "/checks/{name}/silence"
        return [web.get(path, answering_problems(self._page)), web.post(path, self._post)]

    async def _page(self, request: web.Request) -> web.Response:
        self._guard.challenge(request, "health:read")
        name, person = self._name(request), self._guard.person(request)
        await self._renderer.ready()
        state = self._board.check(name)
        context = {
            "name": name,
            "status": state.status.value,
            "has_failure": self._windows.has_failure(state),
            "may_write": self._may_write(person, name),
            "signed_in": person is not None,
        }
        return self._renderer.page("silence.html", context, headers=FORMS, person=person)

    async def _post(self, request: web.Request) -> web.Response:
        try:
            name = await self._act(request)
        except Problem as problem:
            await self._renderer.ready()
            context = {"title": problem.title, "detail": problem.detail}
            return self._renderer.page("problem.html", context, problem.status, problem.headers)
        headers = {"Location": f"../{quote(name, safe='')}", "Cache-Control": "no-store"}
        return web.Response(status=303, headers=headers)

    async def _act(self, request: web.Request) -> str:
        """Do what the form says, and return the name of the check. Raises Problem."""
        refuse_other_sites(request)
        form = await read_form(request)
        refuse_strange_fields(form, ("act", "reason", "token"))
        token = form.get("token", "")
        await self._guard.prepare(request, token)
        caller = self._guard.sender_of_form(request, token.strip(), _SCOPE)
        name = self._name(request)
        if form.get("act") not in _ACTS:
            told = "the form names nothing that can be done; go back and reload the page"
            raise Problem(400, "Nothing was done", told)
        wanted = {**_ACTS[form["act"]], "checks": [name], "reason": form.get("reason", "")}
        window = validated(wanted, NewWindow, "Invalid window", self._windows.surroundings())
        await self._windows.add(caller, window)
        return name

    def _may_write(self, person: Caller | None, name: str) -> bool:
        """Return False for a person whose form would be refused; of a token nothing is known before it is sent."""
        if person is None:
            return self._guard.knows_tokens
        return person.may(_SCOPE) and reaches(self._board, person, name)

    def _name(self, request: web.Request) -> str:
        name = request.match_info["name"]
        if name not in self._board:
            raise no_such_check(self._board, name)
        return name
