"""The steps of every call: authorise, count, read, call the service, and word refusals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from aiohttp import web

from healthd.web.auth import Caller, Guard
from healthd.web.external import base_of
from healthd.web.parsing import read_query, require_type
from healthd.web.problems import Problem
from healthd_gates.api.bodies import Bodies, taken
from healthd_gates.api.operation import Call, Nothing, Operation
from healthd_gates.api.problems import problem_of
from healthd_gates.api.rate_limit import RateLimiter
from healthd_gates.api.reach import ServicesInReach
from healthd_gates.domain.errors import Refusal

_MIB = 1024**2


@dataclass(slots=True)
class AccessControl:
    """Limits on who may call, how often, and with how much.

    A caller that authenticates only by its body is unknown until the body has been read.
    """

    guard: Guard
    limiter: RateLimiter
    reach: ServicesInReach
    external_url: Callable[[], str | None] = lambda: None
    strangers: Bodies = field(default_factory=lambda: Bodies(at_once=4 * _MIB, seconds=5.0))
    callers: Bodies = field(default_factory=lambda: Bodies(at_once=16 * _MIB, seconds=15.0))
    telemetry: Bodies = field(default_factory=lambda: Bodies(at_once=32 * _MIB, seconds=15.0))

    def bodies(self, operation: Operation) -> Bodies:
        """Return where the body of an authenticated caller is read."""
        return self.telemetry if operation.pool == "telemetry" else self.callers


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation with access control."""

    operation: Operation
    door: AccessControl

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        operation = self.operation
        try:
            if operation.told_by_body:
                await self.door.strangers.read(request, operation.largest_body)
            caller = await self._admit(request)
            self.door.limiter.admit(caller.name)
            in_reach = await self.door.reach.admit_path(operation, request, caller)
            query = read_query(request, operation.query)
            again = partial(self._admit, request)
            base = base_of(request, self.door.external_url())
            if not operation.takes_body:
                return await self._handle(Call(request, caller, Nothing(), query, again, base), in_reach)
            require_type(request, operation.media_types)
            await self.door.bodies(operation).read(request, operation.largest_body)
            body = operation.parse(taken(request), operation.body)
            return await self._handle(Call(request, caller, body, query, again, base), in_reach)
        except Refusal as refusal:
            return operation.refuse(problem_of(refusal, reads=operation.method == "GET"), request)
        except Problem as problem:
            return operation.refuse(problem, request)

    async def _handle(self, call: Call[Any, Any], in_reach: bool) -> web.StreamResponse:
        if not in_reach:
            self.door.reach.admit_body(self.operation, call)
        return await self.operation.handle(call)

    async def _admit(self, request: web.Request) -> Caller:
        """Return the caller, by the guard that is in force now. Raises Problem 401 or 403."""
        caller = await self.operation.admit(request, self.door.guard, self.operation.scope)
        hook = request.match_info.get("hook")
        if hook is not None and not caller.opens(hook):
            raise Problem(403, "Forbidden", f"token {caller.name!r} does not open the hook {hook}")
        return caller
