"""What one operation of the API is: its place, its scope, what goes in, and every answer that can come out.

The routes and the OpenAPI document are both made from these, so that neither can promise what the other does not keep.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from aiohttp import web
from pydantic import BaseModel

from healthd.config.settings import Model
from healthd.web.auth import Caller, Guard
from healthd.web.problems import Problem
from healthd_gates.api.bodies import LARGEST_BODY
from healthd_gates.api.parsing import read_body

GATE_ID = r"[A-Za-z0-9_-]{1,64}"
NAME = r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}"
PATH_PATTERNS = {"gate_id": GATE_ID, "service": NAME, "hook": NAME, "action": NAME}


class Nothing(Model):
    """No body, or no query parameters."""


BodyT = TypeVar("BodyT", bound=Model)
QueryT = TypeVar("QueryT", bound=Model)


@dataclass(frozen=True, slots=True)
class Call(Generic[BodyT, QueryT]):
    """One authorised call whose parts have been read and validated.

    A call that is held open has to `ask_again` whether its caller still may: a token can be taken away meanwhile. That
    raises Problem 401 or 403.
    """

    request: web.Request
    caller: Caller
    body: BodyT
    query: QueryT
    ask_again: Callable[[], Awaitable[object]]
    base: str = ""
    """What goes before a path for whoever calls: the scheme and host that it called, or the configured ones."""

    def address(self, path: str) -> str:
        """A path as an address that may be kept and called later."""
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


@dataclass(frozen=True, slots=True)
class Header:
    """A request header that means something; `pattern` is what it must look like."""

    description: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One status that an operation can answer with. `headers` maps names to what they tell."""

    description: str
    model: type[BaseModel] | None = None
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def streams(self) -> bool:
        return self.media_type == "text/event-stream"


Handler = Callable[[Call[Any, Any]], Awaitable[web.StreamResponse]]
Refuse = Callable[[Problem], web.Response]
"""What is refused, in the caller's own form."""
Admit = Callable[[web.Request, Guard, str], Awaitable[Caller]]
"""Who calls, and that he has the scope. Raises Problem 401 or 403."""


def as_problem(problem: Problem) -> web.Response:
    """As RFC 9457 has it, which nearly every caller can show."""
    return problem.response()


async def by_header(request: web.Request, guard: Guard, scope: str) -> Caller:
    """A bearer token, as nearly every caller can send it."""
    return guard.require(request, scope)


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the API. `refusals` are the statuses above 400 that are its own, beside those every call can get;
    `parts` are what those parts of its path that no other call has must look like.
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
    told_by_body: bool = False  # whether it is the body that tells who calls
    largest_body: int = LARGEST_BODY  # bytes
    parse: Callable[[bytes, Any], Model] = read_body

    @property
    def takes_body(self) -> bool:
        return self.body is not Nothing

    @property
    def path_patterns(self) -> dict[str, str]:
        """What each part of the path that is not fixed must look like."""
        known = {**PATH_PATTERNS, **self.parts}
        return {name: pattern for name, pattern in known.items() if f"{{{name}}}" in self.path}
