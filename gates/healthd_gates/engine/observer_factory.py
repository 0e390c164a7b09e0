"""Builds a gate's observer from its plan: the source of its service, and the criteria that are answered by
themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import aiohttp

from healthd.monitoring.board import Board
from healthd.runtime.clock import Clock
from healthd_gates.config.observed import Blindness, ReadSource, arms_of
from healthd_gates.config.service import Service
from healthd_gates.config.unanswerable import unanswerable
from healthd_gates.criteria.contract import CriterionContext, ObservedCriterion
from healthd_gates.domain.gate import Gate
from healthd_gates.domain.request import PushedEvidence
from healthd_gates.engine.observer import Observer, Question, Traffic
from healthd_gates.engine.source_readers import Opened, SourceReaders, cursor_of
from healthd_gates.engine.spec import GateSpec
from healthd_gates.sources import build_source
from healthd_gates.sources.contract import Arms, Cursor, SourceContext
from healthd_gates.sources.otlp.receiver import Receiver
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
    receiver: Receiver


@dataclass(frozen=True, slots=True)
class Pushes:
    """One gate's pushes, for its source."""

    gate_store: GateStore
    gate_id: str

    async def after(self, position: int) -> Sequence[tuple[int, PushedEvidence]]:
        return await self.gate_store.pushes(self.gate_id, position)


def source_context(observer_context: ObserverContext, spec: GateSpec, pushes: Pushes) -> SourceContext:
    """Return what every source of a gate is given."""
    return SourceContext(
        observer_context.clock, observer_context.redact, spec.edges, pushes, telemetry=observer_context.receiver
    )


def build_observer(
    gate: Gate, spec: GateSpec, observer_context: ObserverContext, kept: Mapping[str, Any], last: datetime
) -> tuple[Observer, SourceReaders | None]:
    """Return the observer of a gate, and the part of it that reads sources; `kept` is the stored cursor. Raises
    NotObservable."""
    service, arms = _whom(gate, spec)
    traffic = _readers(gate, spec, service, arms, observer_context, kept) if spec.policy.reads_traffic else None
    context = CriterionContext(arms, observer_context.board, observer_context.session, spec.without_secrets)
    # The watch reads traffic alone; the judge would have no criterion for the answers of others.
    watching = gate.decision is not None
    asked = [each for each in spec.policy.criteria if isinstance(each, ObservedCriterion) and not watching]
    questions = [Question(each, context, observer_context.redact) for each in asked]
    lateness = service.traffic_source.lateness if service.traffic_source is not None else 0.0
    return Observer(traffic, questions, observer_context.clock, last, lateness), traffic


def open_traffic(gate: Gate, spec: GateSpec, observer_context: ObserverContext, cursor: Cursor | None) -> Traffic:
    """Open the traffic part alone, whatever the policy evaluates. Raises NotObservable."""
    service, arms = _whom(gate, spec)
    if service.traffic_source is None:
        raise NotObservable(f"service {gate.service} has no source of traffic numbers")
    source = next((each for each in spec.sources if each.name is None), ReadSource(None, service.traffic_source))
    return _traffic(gate, spec, replace(source, series=(), by=None, latency_by=None), arms, observer_context, cursor)


def _whom(gate: Gate, spec: GateSpec) -> tuple[Service, Arms]:
    service = spec.service
    if service is None:
        raise NotObservable(f"service {gate.service} is not configured any more")
    try:
        return service, arms_of(gate.service, service, gate.candidate, gate.baseline)
    except KeyError as missing:
        raise NotObservable(f"service {gate.service} has no target {missing.args[0]!r} any more") from None


def _readers(
    gate: Gate, spec: GateSpec, service: Service, arms: Arms, observer_context: ObserverContext, kept: Mapping[str, Any]
) -> SourceReaders:
    if spec.policy.needs_source and service.traffic_source is None:
        raise NotObservable(f"service {gate.service} has no source of traffic numbers")
    for problem in unanswerable(service, spec.policy):
        raise NotObservable(problem)
    return SourceReaders(
        [
            Opened(
                one,
                _traffic(gate, spec, one, arms, observer_context, cursor_of(kept, one.name)),
                one.blind_to(arms) if arms.baseline is not None else Blindness(),
            )
            for one in spec.sources
        ]
    )


def _traffic(
    gate: Gate, spec: GateSpec, source: ReadSource, arms: Arms, observer_context: ObserverContext, cursor: Cursor | None
) -> Traffic:
    pushes = Pushes(observer_context.gate_store, gate.id)
    context = source.context(source_context(observer_context, spec, pushes))
    try:
        return Traffic(lambda: build_source(source.config, arms, context), source.config, cursor)
    except (ValueError, ImportError) as error:  # an arm that the configuration no longer fits
        raise NotObservable(str(error)) from None
