"""Rebuilds the judge of a gate, and the fold of its ramp or allowance, from the evidence that is stored."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from healthd_gates.domain.evidence import Evidence
from healthd_gates.domain.gate import Gate
from healthd_gates.engine.ramp_sighting import Widening
from healthd_gates.engine.spec import GateSpec
from healthd_gates.engine.turns import Turns
from healthd_gates.judge.judge import Judge
from healthd_gates.store.gate_store import GateStore

_REPLAYED_AT_ONCE = 16  # intervals, in one turn


async def restored(
    gate: Gate, stage: str, spec: GateSpec, gate_store: GateStore, turns: Turns, unstored: Sequence[Evidence] = ()
) -> tuple[Judge, Widening | None]:
    """Return the judge as it was after all stored evidence and what is not stored yet. The judge of a watch also gets
    the evidence of its gate. Raises JournalError."""
    rules = spec.watch_rules if stage == "watch" else spec.verdict_rules
    history = await gate_store.evidence(gate.id, "history")
    earlier = await gate_store.evidence(gate.id, "earlier")
    bake = await gate_store.evidence(gate.id, "gate") if stage == "watch" else []
    stored = await gate_store.evidence(gate.id, stage)
    ramps = stage == "gate" and (spec.policy.ramp is not None or spec.policy.allowance is not None)
    async with turns:
        judge = Judge(rules, history, bake, earlier)
        widening = Widening(spec.policy, rules, history) if ramps else None
    full_at = gate.ramp.full_at if ramps and gate.ramp is not None else None
    every = (*stored, *unstored)
    for start in range(0, len(every), _REPLAYED_AT_ONCE):
        async with turns:
            for evidence in every[start : start + _REPLAYED_AT_ONCE]:
                retake(evidence, judge, widening, full_at, spec)
    return judge, widening


def retake(
    evidence: Evidence, judge: Judge, widening: Widening | None, full_at: datetime | None, spec: GateSpec
) -> None:
    """Take a look that was taken before, of a ramp that had all of the traffic at `full_at`."""
    judge.take(evidence)
    if widening is not None:
        widening.take(evidence)
    if full_at is not None and evidence.at <= full_at:
        judge.end_within(spec.policy.observe.max)
