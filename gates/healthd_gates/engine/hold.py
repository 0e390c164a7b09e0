"""Computes until when a rollback may hold its service: shown to those who have to wait for it."""

from __future__ import annotations

from datetime import datetime, timedelta

from healthd_gates.config.settings import Config
from healthd_gates.domain.action_order import Occasion
from healthd_gates.domain.gate import Gate, RollbackState
from healthd_gates.domain.standing import Verdict
from healthd_gates.engine.spec import GateSpec


def gives_up_at(gate: Gate, spec: GateSpec, config: Config) -> datetime | None:
    """Return when the actions of a rollback are given up if they are not done by then; None if none is due."""
    rollback = gate.rollback
    if rollback is None or rollback.state is not RollbackState.DUE:
        return None
    decision = gate.decision if rollback.trigger == "decision" else None
    inconclusive = decision is not None and decision.verdict is Verdict.INCONCLUSIVE
    names = spec.actions(Occasion.INCONCLUSIVE if inconclusive else Occasion.FAIL) or spec.actions_on_loss()
    names, _ = spec.way_back(names)
    longest = max((config.actions[name].retry_for for name in names if name in config.actions), default=0.0)
    return rollback.at + timedelta(seconds=longest)
