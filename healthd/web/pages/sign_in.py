"""`GET /sign-in` and `GET /sign-in/callback`, by which people sign in, and `POST /sign-out`."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import Any

import structlog
from aiohttp import hdrs, web

from healthd.config.identity import texts_of
from healthd.config.in_force import Current
from healthd.config.settings import Settings
from healthd.config.sign_in import SignIn
from healthd.runtime.clock import Clock
from healthd.runtime.repeats import Repeats
from healthd.web.auth import Guard
from healthd.web.caller import vouched_for
from healthd.web.ended_sessions import EndedSessions
from healthd.web.forms import refuse_unless_from_here
from healthd.web.issuers import shown
from healthd.web.pages.renderer import Renderer
from healthd.web.problems import Handler, Problem
from healthd.web.provider import NotProvenError, Provider, ProviderAwayError
from healthd.web.refusals import Reason
from healthd.web.sessions import Attempt, Session, new_attempt

_log = structlog.get_logger(__name__)
_OWN_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]{0,500}")  # of this host: `//host` and `/\host` are others
_MOST_AT_ONCE = 10  # people for whom the provider is being asked
_NOT = "Not signed in"


class SignInPages:
    """Sign-in by the provider of the configuration, or else by a token."""

    def __init__(
        self,
        guard: Guard,
        in_force: Current[Settings],
        clock: Clock,
        renderer: Renderer,
        redact: Callable[[str], str],
        ended: EndedSessions,
    ) -> None:
        self._guard, self._in_force, self._renderer, self._redact = guard, in_force, renderer, redact
        self._ended = ended
        self._provider, self._asking, self._repeats = Provider(clock), 0, Repeats()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/sign-in", self._showing(self._begin), allow_head=False),
            web.get("/sign-in/callback", self._showing(self._come_back), allow_head=False),
            web.post("/sign-out", self._showing(self._leave)),
        ]

    async def _begin(self, request: web.Request) -> web.Response:
        """Send a browser to the provider; without one, or on request, make it ask for a token, as the password of any
        user."""
        sign_in, cookies = self._in_force.now.auth.sign_in, self._guard.cookies
        if sign_in is None or cookies is None or request.query.get("with") == "token":
            self._guard.challenge(request, by_token=True)
            return _to("/")
        try:
            endpoints = await self._provider.endpoints(sign_in)
        except ProviderAwayError as error:
            raise self._away(sign_in, error) from None
        to = request.query.get("to", "/")
        attempt = new_attempt(to if _OWN_PATH.fullmatch(to) else "/")
        response = _to(self._provider.address(endpoints, sign_in, attempt, self._redirect_uri))
        cookies.try_(request, response, attempt)
        return response

    async def _come_back(self, request: web.Request) -> web.Response:
        """Begin the session of a person whom the provider has sent back."""
        sign_in, cookies = self._in_force.now.auth.sign_in, self._guard.cookies
        if sign_in is None or cookies is None:
            raise Problem(404, _NOT, "nobody can sign in by a provider: there is no auth.sign_in")
        attempt = cookies.attempt(request, request.query.get("state", ""))
        if attempt is None:
            elsewhere = " or at another replica, which needs the same session_secret," * (
                sign_in.session_secret is None
            )
            told = f"this browser did not begin it, or longer than ten minutes ago,{elsewhere} or keeps no cookies"
            raise self._refused(400, told)
        try:
            session = await self._session(request, sign_in, attempt)
        except ProviderAwayError as error:
            problem = self._away(sign_in, error)
        except NotProvenError as error:
            problem = self._refused(403, self._redact(str(error)))
        except Problem as refused:
            problem = refused
        else:
            response = _to(f"{self._in_force.now.http.external_url}{attempt.to}")
            cookies.begin(response, session)
            cookies.forget(response, attempt)
            return response
        page = await self._page(problem)
        cookies.forget(page, attempt)
        return page

    async def _session(self, request: web.Request, sign_in: SignIn, attempt: Attempt) -> Session:
        """Return the session that an answer of the provider is worth. Raises Problem, NotProvenError,
        ProviderAwayError."""
        if self._asking >= _MOST_AT_ONCE:
            raise Problem(503, _NOT, "too many people sign in at this moment: try again", headers={"Retry-After": "5"})
        self._asking += 1
        try:
            claims = await self._provider.person(sign_in, attempt, request.query, self._redirect_uri)
        finally:
            self._asking -= 1
        return self._admitted(sign_in, claims)

    def _admitted(self, sign_in: SignIn, claims: dict[str, Any]) -> Session:
        """Return the session of a person with these claims. Raises Problem 403."""
        names = texts_of(claims, sign_in.name_claim)
        if not names:
            verified = " that it has verified" if sign_in.name_claim == "email" else ""
            cure = "name another claim under auth.sign_in.name_claim, or ask for a scope that brings it"
            raise self._refused(403, f"the provider names no {sign_in.name_claim} of yours{verified}: {cure}")
        people = sign_in.who(claims, self._in_force.now.environment)
        if people is None:
            wrong = [it.mismatches(claims) for it in sign_in.valid_in(self._in_force.now.environment)]
            said = ", ".join(f"{name} is {shown(claims, name)}" for name in min(wrong, key=len, default=[]))
            raise self._refused(403, f"{names[0]!r} is none of those under auth.sign_in.people: {said}")
        _log.info("person signed in", person=vouched_for(people, names[0]))
        return Session(secrets.token_hex(16), names[0][:200], people.name, people.mark)

    async def _leave(self, request: web.Request) -> web.Response:
        """End the session of this browser, also for whoever has a copy of its cookie."""
        refuse_unless_from_here(request, self._in_force.now.http.external_url)
        response = _to("/")
        cookies = self._guard.cookies
        if cookies is not None:
            if (session := cookies.session(request)) is not None:
                await self._ended.add(session.id)
            cookies.end(response)
        return response

    @property
    def _redirect_uri(self) -> str:
        return f"{self._in_force.now.http.external_url}/sign-in/callback"

    def _refused(self, status: int, detail: str) -> Problem:
        self._guard.refused(Reason.SIGN_IN)
        return Problem(status, _NOT, detail)

    def _away(self, sign_in: SignIn, error: ProviderAwayError) -> Problem:
        told = self._redact(str(error))
        if times := self._repeats.count("away"):
            _log.warning("nobody can sign in, provider cannot be asked", problem=told, times=times)
        return Problem(503, "Nobody can sign in now", told, headers={"Retry-After": "15"})

    def _showing(self, handler: Handler) -> Handler:
        """Answer a refusal by a page."""

        async def shown_page(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            except Problem as problem:
                return await self._page(problem)

        return shown_page

    async def _page(self, problem: Problem) -> web.Response:
        await self._renderer.ready()
        ways = {"by_provider": self._guard.cookies is not None, "by_token": self._guard.knows_tokens}
        context = {"title": problem.title, "detail": problem.detail, **ways}
        return self._renderer.page("sign-in.html", context, problem.status, problem.headers)


def _to(address: str) -> web.Response:
    return web.Response(
        status=303,
        headers={hdrs.LOCATION: address, hdrs.CACHE_CONTROL: "no-store", "Referrer-Policy": "no-referrer"},
    )
