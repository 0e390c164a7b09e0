"""What a gate looks with, built from its plan: the source of its service, the checks, the smoke requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import aiohttp

from healthd.monitoring.board import Board
from healthd.runtime.clock import Clock
from healthd_gates.config.criteria import Checks, Smoke
from healthd_gates.config.settings import Service
from healthd_gates.domain.evidence import Observation
from healthd_gates.domain.gate import Gate
from healthd_gates.domain.request import PushedEvidence
from healthd_gates.engine.observer import Lookout, Traffic
from healthd_gates.engine.smoke_and_checks import SmokeTest, ask_checks
from healthd_gates.engine.spec import Plan, arms_of
from healthd_gates.sources import build_source
from healthd_gates.sources.contract import Arms, Cursor, SourceContext
from healthd_gates.store.gate_store import Ledger


class Blind(Exception):  # noqa: N818 - what has happened, not an error of ours
    """The gate's service, or what the request named of it, is not in the configuration any more."""


@dataclass(frozen=True, slots=True)
class Optics:
    """What every gate of this replica looks through."""

    ledger: Ledger
    clock: Clock
    board: Board
    session: aiohttp.ClientSession
    redact: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Pushes:
    """One gate's pushes, for its source."""

    ledger: Ledger
    gate_id: str

    async def after(self, position: int) -> Sequence[tuple[int, PushedEvidence]]:
        return await self.ledger.pushes(self.gate_id, position)


def open_eyes(
    gate: Gate, plan: Plan, optics: Optics, cursor: Cursor | None, last: datetime
) -> tuple[Lookout, Traffic | None]:
    """What looks for a gate, and the part of it that sees traffic. Raises Blind."""
    service, arms = _whom(gate, plan)
    traffic = _traffic(gate, plan, service, arms, optics, cursor) if plan.policy.needs_source else None
    criteria = plan.policy.named_criteria

    def checks() -> list[Observation]:
        return [ask_checks(name, c, optics.board) for name, c in criteria.items() if isinstance(c, Checks)]

    smoke = [
        SmokeTest(name, c, arms.candidate.urls, optics.session, without_secrets=plan.without_secrets)
        for name, c in criteria.items()
        if isinstance(c, Smoke)
    ]
    # The watch looks at traffic alone; to the judge the answers of other criteria would be nobody's.
    watching = gate.decision is not None
    return Lookout(traffic, list if watching else checks, () if watching else smoke, optics.clock, last), traffic


def open_traffic(gate: Gate, plan: Plan, optics: Optics, cursor: Cursor | None) -> Traffic:
    """The traffic alone, whatever the policy looks at. Raises Blind."""
    return _traffic(gate, plan, *_whom(gate, plan), optics, cursor)


def _whom(gate: Gate, plan: Plan) -> tuple[Service, Arms]:
    service = plan.service
    if service is None:
        raise Blind(f"service {gate.service} is not configured any more")
    try:
        return service, arms_of(gate.service, service, gate.candidate, gate.baseline)
    except KeyError as missing:
        raise Blind(f"service {gate.service} has no target {missing.args[0]!r} any more") from None


def _traffic(gate: Gate, plan: Plan, service: Service, arms: Arms, optics: Optics, cursor: Cursor | None) -> Traffic:
    config = service.source
    if config is None:
        raise Blind(f"service {gate.service} has no source of traffic numbers")
    context = SourceContext(optics.clock, optics.redact, plan.edges, Pushes(optics.ledger, gate.id))
    try:
        return Traffic(lambda: build_source(config, arms, context), config.timeout, cursor)
    except (ValueError, ImportError) as error:  # an arm that the configuration no longer fits
        raise Blind(str(error)) from None
