"""Gates at every point of their lives, as the dialects see them."""

from dataclasses import replace
from datetime import timedelta

from healthd_gates.domain.gate import Decision, Gate, GateState, Rollback, RollbackState
from healthd_gates.domain.request import Deployment, Version
from healthd_gates.domain.standing import Verdict
from tests.fakes.monitoring import MIDNIGHT

RUNNING = Gate(
    id="g1",
    service="api",
    policy="quick",
    candidate=Version(version="2.0"),
    baseline=None,
    deployment=Deployment(id="shop/api 85d557f47b"),
    rollback_mode="off",
    caller="hook:flagger",
    state=GateState.OBSERVING,
    created_at=MIDNIGHT,
    decides_by=MIDNIGHT + timedelta(minutes=10),
)
DECIDED = {
    (verdict, counts_as): replace(
        RUNNING,
        state=GateState.FINISHED,
        decision=Decision(Verdict(verdict), counts_as, "harm", "The error rate is above the limit.", MIDNIGHT),
    )
    for verdict in ("pass", "fail", "inconclusive")
    for counts_as in (Verdict.PASS, Verdict.FAIL)
}
PASSED = DECIDED["pass", Verdict.PASS]
ROLLBACK = Rollback(RollbackState.ROLLED_BACK, "watch", "The error rate is above the limit.", MIDNIGHT)
