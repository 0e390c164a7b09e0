"""Endpoint `/health` and its groups, for people, load balancers and probes: answers from the board, never from a
probe."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiohttp import hdrs, web
from multidict import CIMultiDict

from healthd.config.in_force import Current, NotInForce, TakenAway
from healthd.config.sections import Details
from healthd.config.settings import Settings
from healthd.journal.outage import Outage
from healthd.model import Status
from healthd.monitoring.board import Board
from healthd.monitoring.state import GroupState
from healthd.runtime.clock import Clock
from healthd.units import stamp
from healthd.web.auth import Guard
from healthd.web.documents import (
    configuration_document,
    group_document,
    health_document,
    ietf_document,
    outage_document,
    taken_away_document,
)
from healthd.web.problems import Problem, answering_problems
from healthd.web.troubles import Troubles, none, trouble_document

_IETF_TYPE = "application/health+json"
_LONGEST = 1.0  # seconds for which rendered bytes are used, so that the timestamp stays correct


@dataclass(frozen=True, slots=True)
class Rendered:
    """Bytes of one endpoint, valid while the board has not changed and no result on it has expired."""

    status: int
    body: bytes
    headers: CIMultiDict[str]
    version: int
    until: float


class HealthEndpoints:
    """Renders each answer once and serves the bytes while they are valid."""

    def __init__(
        self,
        board: Board,
        guard: Guard,
        settings: Current[Settings],
        clock: Clock,
        *,
        stuck: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        """Create the endpoints. `stuck()` names the tasks that no longer work: with one of them only a restart
        helps."""
        self._stuck = stuck
        self._board, self._guard, self._in_force = board, guard, settings
        self._clock, self._started = clock, clock.steady()
        self._kept_for = settings.revision
        self._kept: dict[tuple[str, bool, bool], Rendered] = {}
        self.troubles: Troubles = none
        self.replicas: Callable[[], Sequence[Mapping[str, Any]]] = tuple
        """Returns an entry for each of several replicas that share the journal. Neither blocks nor fails."""
        self.outage: Callable[[], Outage | None] = lambda: None
        """Returns the journal's outage. Neither blocks nor fails."""
        self.not_in_force: NotInForce | None = None
        """The part of the configuration that was read and is not in force."""
        self.taken_away: Callable[[], tuple[TakenAway, ...]] = tuple
        """Returns what reloads took away, the newest first. Neither blocks nor fails."""

    def routes(self) -> list[web.RouteDef]:
        named = {"/health": "", "/health/live": "live", "/health/ready": "ready", "/health/startup": "startup"}
        routes = []
        for path, group in named.items():
            handler = self._handler(group)
            routes += [web.get(path, handler), web.options(path, handler)]
        routes.append(web.options("/", self._handler("ready")))  # sent by HAProxy's httpchk by default
        own = answering_problems(self._own_group)
        return [*routes, web.get("/health/{group}", own), web.options("/health/{group}", own)]

    @property
    def _settings(self) -> Settings:
        return self._in_force.now

    def _handler(self, group: str) -> Any:
        async def handler(request: web.Request) -> web.Response:
            return self._answer(request, group)

        return handler

    async def _own_group(self, request: web.Request) -> web.Response:
        group = request.match_info["group"]
        if group not in self._board.groups():
            raise Problem(404, "No such group", f"groups are: {', '.join(sorted(self._board.groups()))}")
        return self._answer(request, group)

    def _answer(self, request: web.Request, group: str) -> web.Response:
        ietf = _IETF_TYPE in request.headers.get(hdrs.ACCEPT, "")
        key = (group, self.detailed(request), ietf)
        if self._kept_for != self._in_force.revision:
            self._kept.clear()
            self._kept_for = self._in_force.revision
        kept = self._kept.get(key)
        if kept is None or kept.version != self._board.version or self._clock.steady() >= kept.until:
            kept = self._kept[key] = self._render(*key)
        response = web.Response(body=kept.body, status=kept.status, headers=kept.headers)  # aiohttp copies them
        if request.method == "OPTIONS":
            response.headers["Allow"] = "GET, HEAD, OPTIONS"
        return response

    def detailed(self, request: web.Request) -> bool:
        """True if this caller sees failure messages and numbers."""
        details = self._settings.http.details
        if details is Details.AUTHORIZED:
            return self._guard.sees_details(request)
        return details is Details.ALWAYS

    def _render(self, group: str, detailed: bool, ietf: bool) -> Rendered:
        version, until = self._board.version, min(self._board.next_expiry(), self._clock.steady() + _LONGEST)
        up, status, document = self._document(group, detailed, ietf)
        headers = CIMultiDict(
            {
                "Content-Type": _IETF_TYPE if ietf else "application/json; charset=utf-8",
                "Cache-Control": "no-store",
                "Vary": "Accept, Authorization, Cookie",
                "X-Content-Type-Options": "nosniff",
                "X-Health-Status": status.value,
            }
        )
        return Rendered(200 if up else 503, json.dumps(document).encode(), headers, version, until)

    def _document(self, name: str, detailed: bool, ietf: bool) -> tuple[bool, Status, dict[str, Any]]:
        now, board = self._clock.now(), self._board
        if name == "live" and (stuck := self._stuck()):
            told = {"status": "fail"} if ietf else {"status": "stuck", "timestamp": stamp(now), "tasks": list(stuck)}
            return False, Status.UNHEALTHY, told
        if name == "live" and not board.group(name).checks:
            document: dict[str, Any] = {"status": "pass"} if ietf else {"status": "alive", "timestamp": stamp(now)}
            return True, Status.HEALTHY, document
        if name:
            group = board.group(name)
            return group.ready, group.status, self._group(group, now, detailed, ietf)
        overall, states = board.overall(), board.checks()
        if ietf:
            document = ietf_document(overall, states, version=self._settings.version, detailed=detailed)
        else:
            document = health_document(
                overall,
                states,
                now=now,
                uptime=self._clock.steady() - self._started,
                version=self._settings.version,
                environment=self._settings.environment,
                detailed=detailed,
            )
            if detailed and (replicas := self.replicas()):
                document["replicas"] = list(replicas)
            if self.not_in_force is not None:
                document["configuration"] = configuration_document(self.not_in_force, detailed=detailed)
            if away := self.taken_away():
                document["takenAway"] = [taken_away_document(it, detailed=detailed) for it in away]
            if (outage := self.outage()) is not None:
                document["journal"] = outage_document(outage, detailed=detailed)
            if troubles := self.troubles():
                document["rollbacks"] = [trouble_document(trouble, detailed=detailed) for trouble in troubles]
        return overall.is_up, overall, document

    def _group(self, group: GroupState, now: datetime, detailed: bool, ietf: bool) -> dict[str, Any]:
        if ietf:
            status = group.status if group.ready else Status.UNHEALTHY
            return ietf_document(status, group.checks, version=self._settings.version, detailed=detailed)
        draining = self._board.draining and group.name == "ready"
        return group_document(group, now=now, draining=draining, detailed=detailed)
