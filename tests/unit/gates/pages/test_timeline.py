"""The steps of a gate on its page."""

from dataclasses import replace

import pytest

from healthd_gates.domain.gate import Decision, GateState, Rollback, RollbackState
from healthd_gates.domain.standing import Verdict
from healthd_gates.pages.gate_history import GateHistory
from healthd_gates.pages.timeline import timeline
from tests.fakes.gate_states import RUNNING
from tests.fakes.monitoring import MIDNIGHT


@pytest.mark.parametrize(
    ("state", "signs"),
    [
        (RollbackState.ROLLED_BACK, ("unhealthy", "healthy", "healthy")),
        (RollbackState.FAILED, ("unhealthy", "unhealthy", "unhealthy")),
        (None, ("unhealthy", "unhealthy")),
    ],
)
def test_the_end_of_a_version_that_was_put_back_well_is_no_cross(
    state: RollbackState | None, signs: tuple[str, ...]
) -> None:
    rollback = None if state is None else Rollback(state, "decision", "errors", MIDNIGHT)
    decision = Decision(Verdict.FAIL, Verdict.FAIL, "harm", "Too many errors.", MIDNIGHT)
    over = replace(RUNNING, state=GateState.FINISHED, decision=decision, rollback=rollback, finished_at=MIDNIGHT)
    assert tuple(step.sign for step in timeline(GateHistory(over)))[-len(signs) :] == signs
