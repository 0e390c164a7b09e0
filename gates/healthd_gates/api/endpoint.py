"""How every call is answered: authorise, count, read, ask, and word what was refused."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from healthd.web.auth import Guard
from healthd.web.problems import Problem
from healthd_gates.api.operation import Call, Nothing, Operation
from healthd_gates.api.parsing import read_body, read_query
from healthd_gates.api.problems import problem_of
from healthd_gates.api.rate_limit import RateLimiter
from healthd_gates.domain.errors import Refusal


@dataclass(slots=True)
class AccessControl:
    """Who may come in, and how often. The guard is replaced when the configuration is read again."""

    guard: Guard
    limiter: RateLimiter


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation behind the door."""

    operation: Operation
    door: AccessControl

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        operation = self.operation
        if operation.largest_body is not None:
            request = request.clone(client_max_size=operation.largest_body)
        try:
            caller = await operation.admit(request, self.door.guard, operation.scope)
            self.door.limiter.admit(caller.name)
            query = read_query(request, operation.query)
            body = await read_body(request, operation.body) if operation.takes_body else Nothing()
            return await operation.handle(Call(request, caller, body, query))
        except Refusal as refusal:
            return problem_of(refusal).response()
        except Problem as problem:
            return problem.response()
