"""A policy that only observes: it judges and tells, and nothing follows."""

from dataclasses import replace
from typing import Any

import pytest

from healthd_gates.client.exit_codes import PASSED, code_of
from healthd_gates.commands.report import summary
from healthd_gates.domain.action_order import Occasion
from healthd_gates.domain.gate import Gate, GateState
from healthd_gates.domain.standing import Reason, Verdict
from healthd_gates.engine import transitions
from healthd_gates.engine.spec import GateSpec
from healthd_gates.schema.gate import GateDocument
from tests.unit.gates.engine import values
from tests.unit.gates.engine.values import NOW, gate, standing


def spec(**options: Any) -> GateSpec:
    return values.spec(**{"mode": "observe", **options})


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
