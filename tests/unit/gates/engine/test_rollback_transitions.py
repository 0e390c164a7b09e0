"""What follows from the results of a rollback's actions, as values: no journal, no clock."""

from dataclasses import replace
from typing import Any

import pytest

from healthd_gates.domain.action_order import OrderState
from healthd_gates.domain.gate import GateState, RollbackState
from healthd_gates.domain.request import Version
from healthd_gates.engine import rollback_transitions
from tests.unit.gates.engine.values import FAILED, NOW, gate, rollback, run, spec

ACTING: dict[str, Any] = {"decision": FAILED, "rollback": rollback(), "baseline": Version(version="1")}
COUNTED: dict[str, Any] = {"source": {"kind": "push"}}


@pytest.mark.parametrize(
    ("result", "service", "policy", "baseline", "state", "said"),
    [
        (OrderState.NO_BASELINE, COUNTED, {}, "1", RollbackState.IMPOSSIBLE, "back: why"),
        (OrderState.GIVEN_UP, COUNTED, {}, "1", RollbackState.FAILED, "back was given up: why"),
        (OrderState.DONE, COUNTED, {}, None, RollbackState.UNCONFIRMED, "names no baseline to look at"),
        (OrderState.DONE, {}, {}, "1", RollbackState.UNSEEN, "has no source of traffic numbers"),
        (OrderState.SEEN, {}, {}, "1", RollbackState.ROLLED_BACK, "back has seen the traffic at the baseline"),
        (
            OrderState.DONE,
            COUNTED,
            {"confirm_timeout": "0s"},
            "1",
            RollbackState.UNCONFIRMED,
            "asks for no confirmation",
        ),
        (OrderState.DONE, COUNTED, {}, "1", RollbackState.CONFIRMING, None),
    ],
)
def test_the_results_of_the_actions_end_the_rollback_or_are_to_be_confirmed(
    result: OrderState,
    service: dict[str, Any],
    policy: dict[str, Any],
    baseline: str | None,
    state: RollbackState,
    said: str | None,
) -> None:
    called = {**ACTING, "baseline": Version(version=baseline) if baseline else None}
    acting = gate(GateState.ACTING, **called)
    step = rollback_transitions.on_actions_done(acting, [run(result, detail="why")], spec(service, **policy), NOW)
    assert step.gate.rollback is not None
    assert step.gate.rollback.state is state
    assert said is None or said in str(step.gate.rollback.detail)
    assert (step.gate.state is GateState.FINISHED) == (state is not RollbackState.CONFIRMING)


def test_what_was_done_of_several_actions_is_told() -> None:
    """While one is tried again, once it is given up, and where there is nothing to go back to: whoever is woken must
    know what is left to do by hand."""
    acting = gate(GateState.ACTING, **ACTING)
    back = run(OrderState.SEEN, action="back")
    tell, page = (
        run(OrderState.DUE, action=name, tries=tries, detail="403") for name, tries in (("tell", 1), ("page", 0))
    )
    told = rollback_transitions.on_retry(acting, [back, tell, page])
    assert told is not None
    assert told.gate.rollback is not None
    assert told.gate.rollback.detail == "tell was tried once and is not done yet: 403; done: back; not done: page"
    for state, said in ((OrderState.GIVEN_UP, "tell was given up: 403"), (OrderState.NO_BASELINE, "tell: 403")):
        orders = [back, replace(tell, state=state), replace(page, state=OrderState.GIVEN_UP)]
        step = rollback_transitions.on_actions_done(acting, orders, spec(COUNTED), NOW)
        assert step.gate.rollback is not None
        assert step.gate.rollback.detail == f"{said}; done: back; not done: page"


def test_an_action_that_is_tried_again_is_told_once() -> None:
    acting = gate(GateState.ACTING, **ACTING)
    failed = run(OrderState.DUE, tries=2, detail="refused")
    told = rollback_transitions.on_retry(acting, [failed])
    assert told is not None
    assert told.gate.rollback is not None
    assert told.gate.rollback.detail == "back was tried 2 times and is not done yet: refused"
    assert rollback_transitions.on_retry(told.gate, [failed]) is None
    assert rollback_transitions.on_retry(acting, [run(OrderState.DUE, tries=0)]) is None
