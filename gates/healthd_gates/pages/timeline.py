"""A gate's life as steps, from the request to the end, including the steps to come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from healthd.web.pages.deploys import Sign
from healthd_gates.domain.gate import EventKind, Gate, GateState, RollbackState
from healthd_gates.domain.ramp_wording import percent
from healthd_gates.domain.rollback_wording import WORDS
from healthd_gates.domain.standing import Verdict
from healthd_gates.pages.gate_history import GateHistory
from healthd_gates.pages.labels import is_stuck, state_of


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a gate's life."""

    title: str
    when: Literal["done", "now", "coming"]
    sign: Sign
    at: datetime | None = None
    until: datetime | None = None
    note: str = ""


def timeline(film: GateHistory) -> tuple[Step, ...]:
    """Return the steps from the request to the end, including those to come."""
    gate, entered = film.gate, entered_states(film)
    undecided = gate.decision is None and not gate.state.is_over
    steps = [Step("Asked", "done", "healthy", gate.created_at, note=f"by {gate.deployment.actor or gate.caller}")]
    settling: datetime | None = gate.created_at
    if gate.awaits_switch:
        steps.append(_phase(gate, GateState.AWAITING, "Switch", gate.created_at, "nothing passes before it"))
        settling = entered.get(GateState.SETTLING) or entered.get(GateState.OBSERVING)
    steps.append(_phase(gate, GateState.SETTLING, "Settle", settling, "only a catastrophe decides"))
    if gate.ramp is not None and (undecided or GateState.RAMPING in entered):
        steps.append(_phase(gate, GateState.RAMPING, "Ramp", entered.get(GateState.RAMPING), _ramp(gate)))
    if undecided or GateState.OBSERVING in entered:
        steps.append(_phase(gate, GateState.OBSERVING, "Observe", entered.get(GateState.OBSERVING)))
    if GateState.HELD in entered:
        steps.append(_phase(gate, GateState.HELD, "Hold", entered[GateState.HELD], "a person decides"))
    if gate.decision is not None:
        sign: Sign = "healthy" if gate.decision.counts_as is Verdict.PASS else "unhealthy"
        by = f"by {gate.decision.by}" if gate.decision.by else gate.decision.reason.replace("_", " ")
        steps.append(Step(f"Verdict: {gate.decision.verdict.value}", "done", sign, gate.decision.at, note=by))
    elif undecided:
        steps.append(Step("Verdict", "coming", "unknown", until=gate.decides_by, note="at the latest"))
        steps.append(Step("Watch or roll back", "coming", "unknown"))
    if gate.watch_until is not None:
        steps.append(_watch(gate, entered))
    if gate.rollback is not None:
        steps.append(_rollback(gate))
    if gate.state.is_over:
        end = state_of(gate)[0] if gate.rollback is None else steps[-1].sign  # of the rollback, which may be well
        steps.append(Step(gate.state.value.capitalize(), "done", end, gate.finished_at))
    return tuple(steps)


def entered_states(film: GateHistory) -> dict[GateState, datetime]:
    """Return when each state was entered first."""
    entered: dict[GateState, datetime] = {}
    for event in film.log:
        if event.kind is EventKind.STATE:
            entered.setdefault(GateState(event.body["state"]), event.at)
    return entered


def _phase(gate: Gate, state: GateState, title: str, at: datetime | None, note: str = "") -> Step:
    if gate.state is state:
        return Step(title, "now", "running", at, note=note)
    return Step(title, "coming" if at is None else "done", "unknown" if at is None else "healthy", at, note=note)


def _ramp(gate: Gate) -> str:
    assert gate.ramp is not None
    return f"{percent(gate.ramp.weight)} of the traffic"


def _watch(gate: Gate, entered: Mapping[GateState, datetime]) -> Step:
    now = gate.state is GateState.WATCHING
    late = gate.was_harmed_unheeded or (gate.rollback is not None and gate.rollback.trigger == "watch")
    sign: Sign = "running" if now else "unhealthy" if late else "healthy"
    until = gate.watch_until if now else None
    note = "a late regression rolls back" if now else "it found a regression" if late else ""
    return Step("Watch", "now" if now else "done", sign, entered.get(GateState.WATCHING), until, note)


def _rollback(gate: Gate) -> Step:
    assert gate.rollback is not None
    state = gate.rollback.state
    told = "under way" if state is RollbackState.DUE else WORDS[state].label
    by = f", called for by {gate.rollback.by}" if gate.rollback.by else ""
    note, at = f"{told}{by}", gate.rollback.at
    if is_stuck(gate.rollback):
        return Step("Roll back", "now", "degraded", at, note=f"not done yet{by}")
    if state.is_under_way:
        return Step("Roll back", "now", "running", at, gate.rollback.confirm_until, note)
    sign: Sign = "healthy" if state is RollbackState.ROLLED_BACK else "unhealthy"
    return Step("Roll back", "done", sign, at, note=note)
