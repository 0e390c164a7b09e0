"""A gate, its spec and its standings as values, for what is pure."""

from datetime import UTC, datetime, timedelta
from typing import Any

from healthd_gates.config.policy import Policy
from healthd_gates.config.service import Service
from healthd_gates.domain.action_order import ActionRun, Occasion, OrderState
from healthd_gates.domain.gate import Decision, Gate, GateState, Rollback, RollbackState
from healthd_gates.domain.request import Deployment, Version
from healthd_gates.domain.standing import Reason, Standing, Verdict
from healthd_gates.engine.spec import GateSpec

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LISTS: dict[str, Any] = {"on_fail": ("back",), "on_pass": ("promote",), "on_inconclusive": ("call",)}
PASSED = Decision(Verdict.PASS, Verdict.PASS, Reason.PROVEN_SAFE.value, "It is safe.", NOW)
FAILED = Decision(Verdict.FAIL, Verdict.FAIL, Reason.HARM.value, "It is harmful.", NOW)


def spec(service: dict[str, Any] | None = None, **options: Any) -> GateSpec:
    """A policy of errors, for a service with actions and no source."""
    policy = Policy.model_validate(
        {"criteria": [{"kind": "error_rate"}], "watch": "1h", "on_loss": ["back"], **options}
    )
    return GateSpec(policy, Service(**{**LISTS, "policy": "p", **(service or {})}), name="p")


def gate(state: GateState = GateState.OBSERVING, **changes: Any) -> Gate:
    known: dict[str, Any] = {
        "id": "g1",
        "service": "api",
        "policy": "p",
        "candidate": Version(version="2"),
        "baseline": None,
        "deployment": Deployment(),
        "rollback_mode": "auto",
        "caller": "ci",
        "created_at": NOW,
        "decides_by": NOW + timedelta(hours=1),
        "sequence": 1,
        "holder": "r",
    }
    return Gate(state=state, **{**known, **changes})


def standing(verdict: Verdict | None, reason: Reason) -> Standing:
    return Standing(NOW, 60.0, verdict, reason, "It is so.", 9.0, 4.6, ())


def rollback(state: RollbackState = RollbackState.DUE, **changes: Any) -> Rollback:
    return Rollback(**{"state": state, "trigger": "decision", "reason": "It is harmful.", "at": NOW, **changes})


def run(state: OrderState = OrderState.DONE, **changes: Any) -> ActionRun:
    known: dict[str, Any] = {
        "key": "g1:rollback:back",
        "gate_id": "g1",
        "position": 0,
        "action": "back",
        "occasion": Occasion.FAIL,
        "created_at": NOW,
        "next_try_at": NOW,
        "tries": 1,
        "detail": "",
        "token": 1,
    }
    return ActionRun(state=state, **{**known, **changes})
