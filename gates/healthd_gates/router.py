"""The gate API as routes: every operation with access control, including those of the dialects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import structlog
from aiohttp import web

from healthd.runtime.clock import Clock
from healthd.web.auth import Guard
from healthd_gates.api.actions import Actions
from healthd_gates.api.endpoint import AccessControl, Endpoint
from healthd_gates.api.events import Events
from healthd_gates.api.gates import GateCalls
from healthd_gates.api.locks import Locks
from healthd_gates.api.long_poll import Patience
from healthd_gates.api.operation import Operation
from healthd_gates.api.rate_limit import Rate, RateLimiter
from healthd_gates.api.reach import ServicesInReach
from healthd_gates.api.telemetry import Telemetry
from healthd_gates.api.verify import Verify
from healthd_gates.engine.service import GateService
from healthd_gates.hooks import find_kind, known_kinds
from healthd_gates.hooks.runs import Runs

_log = structlog.get_logger(__name__)
_RATE = Rate()


class GateApi:
    """The HTTP interface of one gate service."""

    def __init__(
        self,
        gate_service: GateService,
        runs: Runs,
        guard: Guard,
        clock: Clock,
        rate: Rate = _RATE,
    ) -> None:
        self._patience = Patience(gate_service, clock)

        async def service_of(gate_id: str) -> str:
            return (await gate_service.get(gate_id)).service

        def labels_of(service: str) -> Mapping[str, str]:
            found = runs.config.services.get(service)
            return found.labels if found is not None else {}

        self.reach = ServicesInReach(service_of, lambda: runs.config.hooks, labels_of)
        self._door = AccessControl(guard, RateLimiter(rate, clock), self.reach, lambda: runs.config.http.external_url)
        self.operations: Sequence[Operation] = (
            *Verify(gate_service, self._patience).operations(),
            *GateCalls(gate_service, self._patience).operations(),
            *Events(gate_service, self._patience).operations(),
            *Locks(gate_service).operations(),
            *Actions(gate_service).operations(),
            *Telemetry(gate_service.receiver, lambda: runs.config, self.reach).operations(),
            *_of_dialects(runs),
        )

    def drain(self) -> None:
        """Release all callers that wait or follow, so that the server can stop."""
        self._patience.stop()

    def routes(self) -> list[web.RouteDef]:
        return [self._route(operation) for operation in self.operations]

    def _route(self, operation: Operation) -> web.RouteDef:
        streams = any(answer.streams for answer in operation.answers.values())
        with_head = {"allow_head": not streams} if operation.method == "GET" else {}
        endpoint = Endpoint(operation, self._door)
        return web.RouteDef(operation.method, _pattern(operation), endpoint.__call__, with_head)


def _of_dialects(runs: Runs) -> Iterator[Operation]:
    """Yield the calls of every dialect. A package whose dialect cannot be loaded does not affect the others."""
    for kind in known_kinds():
        try:
            dialect = find_kind(kind)
        except ImportError as error:
            _log.error("dialect not loaded, its hooks are not served", kind=kind, problem=str(error))
        else:
            yield from dialect(runs).operations()


def _pattern(operation: Operation) -> str:
    """Return a path of the description as aiohttp writes it: with the patterns of its parts."""
    path = operation.path
    for name, pattern in operation.path_patterns.items():
        path = path.replace(f"{{{name}}}", f"{{{name}:{pattern}}}")
    return path
