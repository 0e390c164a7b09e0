"""Verdict of a deploy's gate: told where it is decided, and once more by the last line."""

from dataclasses import replace
from typing import cast

import pytest

from healthd_deploy.core.blue_green import BlueGreen
from healthd_deploy.core.outcome import carried_out
from healthd_deploy.core.session import GateSession
from healthd_deploy.core.settings import DeployConfig
from healthd_deploy.core.steps import Steps
from healthd_gates.client.client import GateClient
from healthd_gates.domain.gate import RollbackState
from healthd_gates.domain.standing import Verdict
from healthd_gates.schema.gate import GateDocument
from tests.fakes.gate_states import DECIDED, ROLLBACK
from tests.unit.deploy.core.test_left_in_place import CANCELLED, Ended
from tests.unit.deploy.core.test_live_again import Daemon
from tests.unit.deploy.core.test_put_back import Targets
from tests.unit.deploy.core.test_rolled_back import Ordered


class RollsBack(Daemon):
    """Its actions have rolled back, for the verdict's own reason, by the time it is asked."""

    def __init__(self) -> None:
        super().__init__(Verdict.FAIL)
        failed = DECIDED["fail", Verdict.FAIL]
        assert failed.decision is not None
        reason = failed.decision.sentence
        self.end = replace(failed, rollback=replace(ROLLBACK, state=RollbackState.ROLLED_BACK, reason=reason))


def _told(daemon: Daemon, *, no_rollback: bool) -> str:
    if isinstance(daemon, Ended):
        return CANCELLED.notes[-1]
    if isinstance(daemon, Ordered) and (no_rollback or daemon.passed):
        return "carts are empty"
    told = GateDocument.of(daemon.end).told
    assert told is not None
    return told.rstrip(".")


@pytest.mark.parametrize("no_rollback", [False, True])
@pytest.mark.parametrize(
    "daemon",
    [
        Daemon(Verdict.FAIL),
        Daemon(Verdict.INCONCLUSIVE),
        RollsBack(),
        Ended(Verdict.PASS),
        Ordered(RollbackState.ROLLED_BACK),
        Ordered(RollbackState.FAILED),
        Ordered(RollbackState.ROLLED_BACK, passed=True),
    ],
    ids=["fail", "inconclusive", "rolled back", "cancelled", "ordered back", "ordered in vain", "ordered after a pass"],
)
async def test_a_reason_is_told_where_it_is_decided_and_at_the_end(
    daemon: Daemon, capsys: pytest.CaptureFixture[str], *, no_rollback: bool
) -> None:
    config = DeployConfig.model_validate({"service": "shop", "gates": {"before": []}, "rollback_patience": "0s"})
    steps = Steps()
    session = GateSession(cast("GateClient", daemon), config, "run-1", steps, no_rollback=no_rollback)
    session.report.version = "2.0"
    deploy = BlueGreen(Targets("0.9"), session, steps, config.gates, None)
    code = await carried_out(lambda: deploy.deploy("2.0"), session, steps)
    told = _told(daemon, no_rollback=no_rollback)
    lines, end = capsys.readouterr().err, session.report.sentence(code)
    assert (lines.count(told), end.count(told)) == (1, 1), f"{lines}\n{end}"
