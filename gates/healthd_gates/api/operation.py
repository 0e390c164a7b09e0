"""The description of one operation of the API: its path, its scope, its input, and every answer that it can give.

The routes and the OpenAPI document are both made from these, so that they cannot differ.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from aiohttp import web

from healthd.config.model import Model
from healthd.web.auth import Caller, Guard
from healthd.web.description import NAME as NAME
from healthd.web.description import Answer as Answer
from healthd.web.description import Header as Header
from healthd.web.description import Nothing as Nothing
from healthd.web.parsing import read_body
from healthd.web.problems import Problem
from healthd_gates.api.bodies import LARGEST_BODY

GATE_ID = r"(?!verify$)[A-Za-z0-9_-]{1,64}"
PATH_PATTERNS = {"gate_id": GATE_ID, "service": NAME, "hook": NAME, "action": NAME}
_ALWAYS = {
    401: "No token, or one that is not known.",
    403: "The token lacks the scope, or is bound to other services.",
    429: "Too many calls; `Retry-After` says when the next one is welcome.",
    503: "The journal cannot be read or written. Nothing was started or changed.",
}
_WITH_QUERY = {400: "The query is not valid; `errors` names the parameters."}
_WITH_BODY = {
    400: "The body is not JSON.",
    408: "The body took too long to arrive.",
    413: "The body is too large.",
    415: "The body is not said to be JSON.",
    422: "The body is JSON, yet not a valid request; `errors` names the fields.",
}


BodyT = TypeVar("BodyT", bound=Model)
QueryT = TypeVar("QueryT", bound=Model)


@dataclass(frozen=True, slots=True)
class Call(Generic[BodyT, QueryT]):
    """One authorised call whose parts have been read and validated.

    A call that is held open has to call `ask_again` to check that its caller is still authorised: a token can be
    revoked meanwhile. That raises Problem 401 or 403.
    """

    request: web.Request
    caller: Caller
    body: BodyT
    query: QueryT
    ask_again: Callable[[], Awaitable[object]]
    base: str = ""
    """The prefix of a path for this caller: the scheme and host that it called, or the configured ones."""

    def address(self, path: str) -> str:
        """Return a path as an address that may be kept and called later."""
        return f"{self.base}{path}"

    @property
    def gate_id(self) -> str:
        return self.request.match_info["gate_id"]

    @property
    def service(self) -> str:
        return self.request.match_info["service"]

    @property
    def hook(self) -> str:
        return self.request.match_info["hook"]


Handler = Callable[[Call[Any, Any]], Awaitable[web.StreamResponse]]
Refuse = Callable[[Problem, web.Request], web.Response]
"""Words a refusal in the form of the caller's tool."""
Admit = Callable[[web.Request, Guard, str], Awaitable[Caller]]
"""Returns the caller once it is authenticated and has the scope. Raises Problem 401 or 403."""


def as_problem(problem: Problem, _request: web.Request) -> web.Response:
    """Return a problem document (RFC 9457), which nearly every caller can show."""
    return problem.response()


async def by_header(request: web.Request, guard: Guard, scope: str) -> Caller:
    """Authenticate by a bearer token, as nearly every caller can send it."""
    await guard.prepare(request)
    return guard.require(request, scope)


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the API. `refusals` are the statuses above 400 that are its own, beside those that every call can get;
    `parts` are the patterns of those parts of its path that no other call has.
    """

    name: str
    method: str
    path: str
    scope: str
    summary: str
    handle: Handler
    answers: Mapping[int, Answer]
    refusals: Mapping[int, str] = field(default_factory=dict)
    body: type[Model] = Nothing
    query: type[Model] = Nothing
    headers: Mapping[str, Header] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)
    admit: Admit = by_header
    refuse: Refuse = as_problem
    told_by_body: bool = False  # True if the caller is authenticated by the body
    largest_body: int = LARGEST_BODY  # bytes
    media_types: tuple[str, ...] = ()  # of the body; JSON by default
    pool: Literal["callers", "telemetry"] = "callers"  # whose memory a body takes
    parse: Callable[[bytes, Any], Model] = read_body
    services: Callable[[Call[Any, Any]], Iterable[str]] | None = None  # changed ones; by path and body by default

    @property
    def takes_body(self) -> bool:
        return self.body is not Nothing

    @property
    def path_patterns(self) -> dict[str, str]:
        """The pattern of each variable part of the path."""
        known = {**PATH_PATTERNS, **self.parts}
        return {name: pattern for name, pattern in known.items() if f"{{{name}}}" in self.path}

    @property
    def tag(self) -> str:
        """The part of the API that the call belongs to: its first word; calls of deploy tools belong to hooks, those of
        OpenTelemetry to telemetry."""
        first = self.path.split("/")[1]
        return {"api": "hooks", "v1": "telemetry"}.get(first, first)

    @property
    def every_refusal(self) -> dict[int, str]:
        """Every status that is answered with a problem document."""
        found = dict(_ALWAYS)
        if self.path_patterns:
            found[404] = "There is no such thing."
        for taken, refusals in ((self.query is not Nothing, _WITH_QUERY), (self.takes_body, _WITH_BODY)):
            for status, text in refusals.items() if taken else ():
                found[status] = f"{found[status]} {text}" if status in found else text
        return {**found, **self.refusals}
