"""What the tool says while it waits for healthd's own rollback."""

from dataclasses import replace
from typing import cast

import pytest

from healthd_deploy.core.blue_green import BlueGreen
from healthd_deploy.core.outcome import carried_out
from healthd_deploy.core.session import GateSession
from healthd_deploy.core.settings import DeployConfig
from healthd_deploy.core.steps import Steps
from healthd_gates.client.client import GateClient
from healthd_gates.domain.gate import Gate, GateState, RollbackState
from healthd_gates.domain.standing import Verdict
from healthd_gates.schema.gate import GateDocument
from tests.fakes.gate_states import ROLLBACK
from tests.unit.deploy.core.test_live_again import FAILED, Daemon
from tests.unit.deploy.core.test_put_back import Targets

DETAIL = "back was tried 3 times and is not done yet: pm2 cannot be run"


class WithPutBack(Daemon):
    """As the daemon, it takes the news that the tool has put the traffic back, and ends its own rollback."""

    async def put_back(self, gate_id: str, _reason: str) -> GateDocument:
        return await self.gate(gate_id)


async def _said(gate: Gate, capsys: pytest.CaptureFixture[str]) -> str:
    """Deploy with a daemon that follows its fail with this rollback. Return all that the tool says."""
    config = DeployConfig.model_validate({"service": "shop", "gates": {"before": []}, "rollback_patience": "20ms"})
    steps, daemon = Steps(), WithPutBack(Verdict.FAIL)
    daemon.end = gate
    session = GateSession(cast("GateClient", daemon), config, "run-1", steps)
    deploy = BlueGreen(Targets("0.9"), session, steps, config.gates, None)
    await carried_out(lambda: deploy.deploy("2.0"), session, steps)
    return capsys.readouterr().err


async def test_it_says_that_it_waits_and_what_fails(capsys: pytest.CaptureFixture[str]) -> None:
    """Else half a minute passes in silence, and nobody hears why healthd's own action does nothing."""
    due = replace(ROLLBACK, state=RollbackState.DUE, detail=DETAIL)
    said = await _said(replace(FAILED, state=GateState.ACTING, rollback=due), capsys)
    assert said.count("waiting up to 20ms for healthd to roll back") == 1
    assert said.count(f"✗ healthd: {DETAIL}\n") == 1


async def test_it_says_nothing_of_a_wait_where_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    """A rollback that is over."""
    assert "waiting" not in await _said(replace(FAILED, rollback=ROLLBACK), capsys)


async def test_a_rollback_that_is_done_is_told_as_that(capsys: pytest.CaptureFixture[str]) -> None:
    """No look has numbers of it yet, and what the last one had reads as if nothing had been put back."""
    early = "Not confirmed: the candidate still has 100 % of the requests"
    done = replace(ROLLBACK, state=RollbackState.CONFIRMING, detail=early)
    said = await _said(replace(FAILED, state=GateState.ACTING, rollback=done), capsys)
    assert "healthd: rolled back, watching it recover\n" in said
    assert early not in said
