"""What follows from a look, a verdict, a person's word and a fault, as values: no journal, no clock."""

from datetime import timedelta

import pytest

from healthd_gates.domain.gate import GateState, RollbackState
from healthd_gates.domain.standing import Reason, Verdict
from healthd_gates.engine import transitions
from tests.unit.gates.engine.values import FAILED, NOW, PASSED, gate, rollback, spec, standing

LATER = NOW + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("verdict", "reason", "state", "orders"),
    [
        (None, Reason.SETTLING, GateState.SETTLING, []),
        (None, Reason.NOT_ENOUGH_EVIDENCE, GateState.OBSERVING, []),
        (Verdict.PASS, Reason.PROVEN_SAFE, GateState.WATCHING, ["promote"]),
        (Verdict.FAIL, Reason.HARM, GateState.ACTING, ["back"]),
        (Verdict.INCONCLUSIVE, Reason.NO_TRAFFIC, GateState.ACTING, ["call"]),
        (Verdict.INCONCLUSIVE, Reason.TRAFFIC_LOST, GateState.ACTING, ["back"]),
    ],
)
def test_a_look_goes_on_or_decides(
    verdict: Verdict | None, reason: Reason, state: GateState, orders: list[str]
) -> None:
    """A verdict calls for the actions of its occasion; a death for those of a loss."""
    step = transitions.on_evaluation(gate(), standing(verdict, reason), (), spec(), NOW)
    assert step.gate.state is state
    assert [name for _, name in step.orders] == orders
    assert (step.gate.decision is None) == (verdict is None)
    assert (step.quarantine is not None) == (verdict is Verdict.FAIL)


def test_a_hold_that_times_out_counts_as_a_failure() -> None:
    held = transitions.on_evaluation(
        gate(), standing(Verdict.INCONCLUSIVE, Reason.NO_TRAFFIC), (), spec(inconclusive="hold"), NOW
    ).gate
    assert (held.state, held.decision) == (GateState.HELD, None)
    decision = transitions.on_hold_timeout(held, spec(), LATER).gate.decision
    assert decision is not None
    assert (decision.verdict, decision.counts_as, decision.reason) == (Verdict.INCONCLUSIVE, Verdict.FAIL, "no_traffic")


def test_an_undecided_gate_that_cannot_go_on_is_inconclusive() -> None:
    step = transitions.abort(gate(), "It is gone.", spec(), NOW)
    assert step.gate.decision is not None
    assert (step.gate.decision.counts_as, step.gate.decision.reason) == (Verdict.FAIL, "configuration")
    assert [name for _, name in step.orders] == ["call"]


def test_a_gate_that_cannot_go_on_after_its_verdict_keeps_it() -> None:
    watching = gate(GateState.WATCHING, decision=PASSED)
    step = transitions.abort(watching, "It is gone.", spec(), NOW)
    assert (step.gate.state, step.gate.decision, step.gate.rollback) == (GateState.FINISHED, PASSED, None)
    assert "It is gone." in str(step.events)


def test_a_rollback_that_cannot_go_on_wants_a_person() -> None:
    acting = gate(GateState.ACTING, decision=FAILED, rollback=rollback(RollbackState.CONFIRMING))
    step = transitions.abort(acting, "It is gone.", spec(), NOW)
    assert step.gate.state is GateState.FINISHED
    assert step.gate.rollback is not None
    assert (step.gate.rollback.state, step.gate.rollback.detail) == (RollbackState.UNCONFIRMED, "It is gone.")


def test_only_a_gate_that_is_not_decided_waits_for_what_could_not_be_looked_at() -> None:
    assert transitions.postponed(gate(), 60).decides_by == gate().decides_by + timedelta(seconds=60)
    decided = gate(GateState.WATCHING, decision=PASSED)
    assert transitions.postponed(decided, 60) is decided


def test_the_audit_tells_the_end_of_a_watch_from_a_cancelled_release() -> None:
    """A release that passed is no cancelled one, though the same call of its deploy tool ends both."""
    watching = transitions.cancel(gate(GateState.WATCHING, decision=PASSED), "ci", "Flagger ended it", LATER)
    asked = transitions.cancel(gate(), "ann", "wrong version", LATER)
    assert watching.audit is not None
    assert asked.audit is not None
    assert watching.audit.detail == {"ended": "watch after its pass", "reason": "Flagger ended it"}
    assert asked.audit.detail == {"reason": "wrong version"}


def test_the_audit_has_the_rollbacks_that_nobody_called_for() -> None:
    """Who asks what moved a workload at night asks the audit; a person's stands under the name of the person."""
    failed = transitions.on_evaluation(gate(), standing(Verdict.FAIL, Reason.HARM), (), spec(), NOW)
    called_for = transitions.manual_rollback(gate(), spec(), "ann", "slow", NOW)
    entries = [step.audit for step in (failed, called_for)]
    assert [(entry.caller, entry.action) for entry in entries if entry] == [
        ("healthd", "gate.rollback"),
        ("ann", "gate.rollback"),
    ]
