"""Builds a gate's observer from its plan: the source of its service, and the criteria that are answered by
themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import aiohttp

from healthd.monitoring.board import Board
from healthd.runtime.clock import Clock
from healthd_gates.config.settings import Service
from healthd_gates.criteria.contract import CriterionContext, ObservedCriterion
from healthd_gates.domain.gate import Gate
from healthd_gates.domain.request import PushedEvidence
from healthd_gates.engine.observer import Observer, Question, Traffic
from healthd_gates.engine.spec import GateSpec, arms_of
from healthd_gates.sources import build_source
from healthd_gates.sources.contract import Arms, Cursor, SourceContext
from healthd_gates.store.gate_store import GateStore


class NotObservable(Exception):  # noqa: N818 - what has happened, not an error of ours
    """The gate's service, or something that the request named of it, is no longer in the configuration."""


@dataclass(frozen=True, slots=True)
class ObserverContext:
    """The dependencies that the observers of all gates of this replica share."""

    gate_store: GateStore
    clock: Clock
    board: Board
    session: aiohttp.ClientSession
    redact: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Pushes:
    """One gate's pushes, for its source."""

    gate_store: GateStore
    gate_id: str

    async def after(self, position: int) -> Sequence[tuple[int, PushedEvidence]]:
        return await self.gate_store.pushes(self.gate_id, position)


def build_observer(
    gate: Gate, spec: GateSpec, observer_context: ObserverContext, cursor: Cursor | None, last: datetime
) -> tuple[Observer, Traffic | None]:
    """Return the observer of a gate, and the part of it that reads traffic. Raises NotObservable."""
    service, arms = _whom(gate, spec)
    traffic = _traffic(gate, spec, service, arms, observer_context, cursor) if spec.policy.needs_source else None
    context = CriterionContext(arms, observer_context.board, observer_context.session, spec.without_secrets)
    # The watch reads traffic alone; the judge would have no criterion for the answers of others.
    watching = gate.decision is not None
    asked = [each for each in spec.policy.criteria if isinstance(each, ObservedCriterion) and not watching]
    questions = [Question(each, context, observer_context.redact) for each in asked]
    return Observer(traffic, questions, observer_context.clock, last), traffic


def open_traffic(gate: Gate, spec: GateSpec, observer_context: ObserverContext, cursor: Cursor | None) -> Traffic:
    """Open the traffic part alone, whatever the policy evaluates. Raises NotObservable."""
    return _traffic(gate, spec, *_whom(gate, spec), observer_context, cursor)


def _whom(gate: Gate, spec: GateSpec) -> tuple[Service, Arms]:
    service = spec.service
    if service is None:
        raise NotObservable(f"service {gate.service} is not configured any more")
    try:
        return service, arms_of(gate.service, service, gate.candidate, gate.baseline)
    except KeyError as missing:
        raise NotObservable(f"service {gate.service} has no target {missing.args[0]!r} any more") from None


def _traffic(
    gate: Gate, spec: GateSpec, service: Service, arms: Arms, observer_context: ObserverContext, cursor: Cursor | None
) -> Traffic:
    config = service.source
    if config is None:
        raise NotObservable(f"service {gate.service} has no source of traffic numbers")
    context = SourceContext(
        observer_context.clock, observer_context.redact, spec.edges, Pushes(observer_context.gate_store, gate.id)
    )
    try:
        return Traffic(lambda: build_source(config, arms, context), config.timeout, cursor)
    except (ValueError, ImportError) as error:  # an arm that the configuration no longer fits
        raise NotObservable(str(error)) from None
