"""End that healthd's rollback gives a deploy that undoes nothing itself: one with --no-rollback, or one that passed."""

from __future__ import annotations

from healthd_deploy.core.exit import DeployAborted, LeftInPlace, OrderedBack
from healthd_gates.schema.gate import GateDocument


def end_of(gate: GateDocument) -> DeployAborted | None:
    """Return how a gate's rollback ends the deploy; None if none was called for."""
    rollback = gate.rollback
    if rollback is None:
        return None
    said = rollback.told.rstrip(".")
    if not rollback.is_carried_out:
        return LeftInPlace(f"{said}; {gate.candidate.version} may still have the traffic")
    where = "" if gate.baseline is None else f" at {gate.baseline.target or gate.baseline.version}"
    return OrderedBack(f"{said}; the traffic is back{where}")
