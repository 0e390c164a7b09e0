"""What a caller is told for whom a service is not free yet."""

from dataclasses import replace
from datetime import timedelta

from healthd_gates.domain.errors import ServiceBusy
from healthd_gates.domain.gate import GateState, RollbackState
from healthd_gates.domain.standing import Verdict
from tests.fakes.gate_states import DECIDED, ROLLBACK

FINE = "The baseline has the traffic: 38 requests, 0 of them failed."


def test_a_rollback_that_is_carried_out_and_watched() -> None:
    """Numbers that are fine would read as if nothing had to be waited for."""
    gate = DECIDED["fail", Verdict.FAIL]
    until = gate.created_at + timedelta(minutes=3)
    rollback = replace(ROLLBACK, state=RollbackState.CONFIRMING, detail=FINE, confirm_until=until)
    gate = replace(gate, state=GateState.ACTING, rollback=rollback)
    told = str(ServiceBusy.by(gate, gate.created_at))
    assert f"until its rollback is confirmed, at {until:%Y-%m-%d %H:%M:%S} UTC at the latest: " in told
    assert "the numbers are watched until they have recovered (now: The baseline has the traffic: 38" in told
    assert f"healthd gate watch {gate.id} --to-the-end waits for that" in told


def test_a_rollback_that_is_due() -> None:
    """It tells what its action last said."""
    gate = DECIDED["fail", Verdict.FAIL]
    rollback = replace(ROLLBACK, state=RollbackState.DUE, detail="back was tried 3 times.")
    told = str(ServiceBusy.by(replace(gate, state=GateState.ACTING, rollback=rollback), gate.created_at))
    assert "until its rollback is over: back was tried 3 times; healthd gate watch" in told
