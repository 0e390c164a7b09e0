"""Services that a call changes, for callers whose token is bound to some."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from healthd.web.auth import Caller
from healthd_gates.api.operation import Call, Operation
from healthd_gates.config.hooks.contract import HookConfig


@dataclass(frozen=True, slots=True)
class ServicesInReach:
    """Refuses calls that change a service to which the caller's token is not bound. Whoever may read, reads all."""

    service_of: Callable[[str], Awaitable[str]]
    """Returns the service of a gate. Raises UnknownGate."""
    hooks: Callable[[], Mapping[str, HookConfig]]
    labels_of: Callable[[str], Mapping[str, str]]
    """Returns the labels of a service; none of one that does not exist."""

    async def admit_path(self, operation: Operation, request: web.Request, caller: Caller) -> bool:
        """Return True if the path alone tells that the call is within reach. Raises Problem 403 if it tells that it is
        not, before the body is read."""
        if caller.reach is None or operation.scope.endswith(":read"):
            return True
        parts = request.match_info
        if "hook" in parts:  # before other parts of the path, which are the tool's own names
            hook = self.hooks().get(parts["hook"])
            services = {deploys.service for deploys in hook.deploys()} if hook is not None else set()
        elif "gate_id" in parts:
            services = {await self.service_of(parts["gate_id"])}
        elif "service" in parts:
            services = {parts["service"]}
        else:
            return False
        self._admit(caller, services)
        return True

    def admit_body(self, operation: Operation, call: Call[Any, Any]) -> None:
        """Raise Problem 403 for a body that names a service beyond reach, or none."""
        if operation.services is not None:
            self._admit(call.caller, operation.services(call))
        elif isinstance(service := getattr(call.body, "service", None), str):
            self._admit(call.caller, (service,))
        else:
            raise call.caller.beyond_reach("what this call changes")

    def admit_service(self, caller: Caller, service: str) -> None:
        """Raise Problem 403 for a service beyond the reach of a caller."""
        self._admit(caller, (service,))

    def reaches(self, caller: Caller, service: str) -> bool:
        """True if a caller may change a service."""
        return caller.reach is None or caller.reach.service(service, self.labels_of(service))

    def _admit(self, caller: Caller, services: Iterable[str]) -> None:
        for service in services:
            if not self.reaches(caller, service):
                raise caller.beyond_reach(f"the service {service}")
