"""`answer=strict`: for tools that take any 2xx for yes, nothing but a deploy that may stay is one."""

from dataclasses import replace

import pytest

from healthd_gates.api.verify import retry_of, status_of
from healthd_gates.domain.gate import Gate, GateState
from healthd_gates.domain.standing import Verdict
from tests.fakes.gate_states import DECIDED, PASSED, ROLLBACK, RUNNING

STATUSES = {
    "running": (RUNNING, 503),
    "held for a person": (replace(RUNNING, state=GateState.HELD), 503),
    "passed": (PASSED, 200),
    "watched": (replace(PASSED, state=GateState.WATCHING), 200),
    "rolled back after its pass": (replace(PASSED, rollback=ROLLBACK), 412),
    "failed": (DECIDED["fail", Verdict.FAIL], 412),
    "inconclusive, a fail to its policy": (DECIDED["inconclusive", Verdict.FAIL], 412),
    "inconclusive, a pass to its policy": (DECIDED["inconclusive", Verdict.PASS], 200),
    "cancelled": (replace(RUNNING, state=GateState.CANCELLED), 412),
}


@pytest.mark.parametrize(("gate", "status"), STATUSES.values(), ids=STATUSES)
def test_only_what_may_stay_is_a_success(gate: Gate, status: int) -> None:
    """A gate that runs is to be asked about again, which tools do after a 503. Without `strict` it is a 202."""
    assert status_of(gate, strict=True) == status
    assert status_of(gate) == (202 if status == 503 else status)
    assert bool(retry_of(status)) == (status == 503)
