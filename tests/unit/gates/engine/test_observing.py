"""A policy that only observes: it judges and tells, and nothing follows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from healthd_gates.client.exit_codes import PASSED, code_of
from healthd_gates.commands.report import summary
from healthd_gates.config.policy import Policy
from healthd_gates.config.service import Service
from healthd_gates.domain.action_order import Occasion
from healthd_gates.domain.gate import Gate, GateState
from healthd_gates.domain.request import Deployment, Version
from healthd_gates.domain.standing import Reason, Standing, Verdict
from healthd_gates.engine import transitions
from healthd_gates.engine.spec import GateSpec
from healthd_gates.schema.gate import GateDocument

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LISTS: dict[str, Any] = {"on_fail": ("back",), "on_pass": ("promote",), "on_inconclusive": ("call",)}


def spec(**options: Any) -> GateSpec:
    policy = {"mode": "observe", "criteria": [{"kind": "error_rate"}], "watch": "1h", "on_loss": ["back"], **options}
    return GateSpec(Policy.model_validate(policy), Service(**LISTS, policy="p"), name="p")


def gate(state: GateState = GateState.OBSERVING) -> Gate:
    return Gate(
        id="g1",
        service="api",
        policy="p",
        candidate=Version(version="2"),
        baseline=None,
        deployment=Deployment(),
        rollback_mode="auto",
        caller="ci",
        state=state,
        created_at=NOW,
        decides_by=NOW + timedelta(hours=1),
        rollback_window=None,
        sequence=1,
        holder="r",
    )


def standing(verdict: Verdict, reason: Reason) -> Standing:
    return Standing(NOW, 60.0, verdict, reason, "It is so.", 9.0, 4.6, ())


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        (Verdict.FAIL, Reason.HARM),
        (Verdict.PASS, Reason.PROVEN_SAFE),
        (Verdict.INCONCLUSIVE, Reason.NOT_ENOUGH_EVIDENCE),
        (Verdict.INCONCLUSIVE, Reason.TRAFFIC_LOST),
    ],
)
@pytest.mark.parametrize("inconclusive", ["fail", "hold"])
def test_nothing_follows_from_a_verdict(verdict: Verdict, reason: Reason, inconclusive: str) -> None:
    step = transitions.on_evaluation(gate(), standing(verdict, reason), (), spec(inconclusive=inconclusive), NOW)
    assert (step.orders, step.quarantine, step.gate.rollback) == ((), None, None)
    assert step.gate.state is GateState.WATCHING
    decision = step.gate.decision
    assert decision is not None
    assert (decision.verdict, decision.counts_as, decision.observed) == (verdict, Verdict.PASS, True)
    assert decision.sentence == "Only observed, so that nothing follows. It is so."
    assert code_of(GateDocument.of(step.gate)) == PASSED


def test_nothing_follows_from_a_late_regression() -> None:
    decided = transitions.on_evaluation(gate(), standing(Verdict.PASS, Reason.PROVEN_SAFE), (), spec(), NOW).gate
    step = transitions.on_evaluation(decided, standing(Verdict.FAIL, Reason.HARM), (), spec(), NOW)
    assert (step.orders, step.quarantine, step.gate.state) == ((), None, GateState.FINISHED)
    assert "it would have been rolled back" in str(step.events)


def test_a_person_still_can() -> None:
    assert spec().actions(Occasion.PERSON) == ("back",)
    assert spec().actions(Occasion.FAIL) == spec().actions(Occasion.PASS) == spec().actions_on_loss() == ()
    step = transitions.manual_rollback(gate(), spec(), "ann", "it is bad", NOW)
    assert step.gate.decision is not None
    assert (step.gate.decision.counts_as, [name for _, name in step.orders]) == (Verdict.FAIL, ["back"])


def test_the_report_says_what_would_have_happened() -> None:
    def ended(verdict: Verdict, reason: Reason, **options: Any) -> Gate:
        return transitions.on_evaluation(gate(), standing(verdict, reason), (), spec(**options), NOW).gate

    late = replace(ended(Verdict.PASS, Reason.PROVEN_SAFE), standing=standing(Verdict.FAIL, Reason.HARM))
    gates = [
        ended(Verdict.FAIL, Reason.HARM),
        ended(Verdict.PASS, Reason.PROVEN_SAFE),
        ended(Verdict.INCONCLUSIVE, Reason.NO_TRAFFIC),
        late,
        ended(Verdict.FAIL, Reason.HARM, mode="decide"),
    ]
    [line], found = summary([GateDocument.of(each) for each in gates])
    assert (line.gates, line.passed, line.failed, line.inconclusive) == (5, 2, 2, 1)
    assert (line.rolled_back, line.observed, line.would_roll_back) == (1, 4, 2)
    assert [each.outcome for each in found] == [
        "would be fail",
        "would be inconclusive",
        "would be fail in the watch",
        "fail, due",
    ]
