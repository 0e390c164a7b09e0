"""A dry run: what a rollback of a gate would do if it were called for now. It changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from healthd_gates.actions.contract import ActionRequest
from healthd_gates.actions.executor import Attempts
from healthd_gates.config.settings import Config
from healthd_gates.domain.action_order import Occasion
from healthd_gates.domain.gate import Gate, purpose_of
from healthd_gates.engine.spec import GateSpec, action_arms


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """One action, and one sentence about what it would do. `kind` is None if it is no longer configured."""

    action: str
    kind: str | None
    would: str


async def rehearse(
    gate: Gate, spec: GateSpec, config: Config, attempts: Attempts, quarantined: frozenset[str]
) -> Sequence[Rehearsed]:
    """Return the actions of a rollback, in order: each with the key that it would have."""
    arms = action_arms(gate.service, spec.service, gate.candidate, gate.baseline)
    rollback = gate.rollback

    async def one(name: str) -> Rehearsed:
        action = config.actions.get(name)
        if action is None:
            return Rehearsed(name, None, "nothing: it is not configured any more")
        if rollback is not None and not rollback.state.may_be_called_for:
            stands = rollback.state.value.replace("_", " ")
            return Rehearsed(name, action.kind, f"nothing more: it was called for already, and is {stands}")
        key = f"{gate.id}:{purpose_of(gate.next_round)}:{name}"
        order = ActionRequest(key, name, Occasion.PERSON, gate, arms, quarantined, weights.get(name))
        return Rehearsed(name, action.kind, await attempts.describe(action, order))

    names, weights = spec.way_back(spec.actions(Occasion.PERSON))
    return await asyncio.gather(*map(one, names))
