"""A rollback of another deploy that still runs when a deploy begins."""

import asyncio
import re
from dataclasses import replace
from typing import cast

import pytest

from healthd_deploy.core import other_rollbacks
from healthd_deploy.core.blue_green import BlueGreen
from healthd_deploy.core.earlier_gates import EarlierGates
from healthd_deploy.core.exit import CouldNotAsk, StepFailed
from healthd_deploy.core.outcome import carried_out
from healthd_deploy.core.session import GateSession
from healthd_deploy.core.settings import DeployConfig
from healthd_deploy.core.steps import Steps
from healthd_gates.client.client import GateClient
from healthd_gates.domain.gate import Gate, GateState, RollbackState
from healthd_gates.domain.standing import Verdict
from healthd_gates.schema.gate import GateDocument, GatesDocument
from tests.fakes.gate_states import DECIDED, ROLLBACK
from tests.unit.deploy.core.test_live_again import Daemon, of
from tests.unit.deploy.core.test_put_back import Targets

pytestmark = pytest.mark.looptime


class NoWay(Targets):
    """The proxy takes no way back now."""

    async def could_take_back(self, target: str) -> str | None:
        raise StepFailed(f"{target} answers nobody")


class Clearing(Daemon):
    """Its newest gate is rolled back after so many seconds."""

    def __init__(self, gate: Gate, seconds: float) -> None:
        super().__init__(Verdict.FAIL)
        self._seconds, self._gate = seconds, gate

    async def gates(self, **_query: object) -> GatesDocument:
        is_over = asyncio.get_running_loop().time() >= self._seconds
        state = RollbackState.ROLLED_BACK if is_over else RollbackState.DUE
        gate = replace(self._gate, state=GateState.ACTING, rollback=replace(ROLLBACK, state=state))
        return GatesDocument(gates=[GateDocument.of(gate)], next=None)


def due(key: str) -> Gate:
    return replace(of(DECIDED["fail", Verdict.FAIL], key), id="g0")


async def awaited(key: str, within: float, *, dry_run: bool = False) -> float:
    """Return the seconds that a deploy run-1 has waited; the rollback takes 30."""
    earlier = EarlierGates(cast("GateClient", Clearing(due(key), 30)), "shop", "run-1")
    await other_rollbacks.await_end(earlier, Steps(dry_run=dry_run), within)
    return asyncio.get_running_loop().time()


async def test_it_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    """As long as the command line says, and no longer than it takes."""
    assert 30 <= await awaited("run-0", 300) <= 32
    assert "✓ wait for the rollback of" in capsys.readouterr().err


async def test_it_takes_longer() -> None:
    with pytest.raises(CouldNotAsk, match="it is not over after 10s: nothing was done"):
        await awaited("run-0", 10)


@pytest.mark.parametrize(
    ("key", "within", "dry_run"), [("run-0", 0, False), ("run-1", 300, False), ("run-0", 300, True)]
)
async def test_it_is_not_waited_for(key: str, within: float, *, dry_run: bool) -> None:
    """Where nobody asks for it, for a rollback of this deploy itself, and in a dry run."""
    assert await awaited(key, within, dry_run=dry_run) == 0


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (60, "the rollback of .* by gate g0 is not done, and could not be: green answers nobody. Nothing was done"),
        (0, "there would be no way back to green: green answers nobody. Nothing was done: set that right, or"),
    ],
    ids=["due", "done"],
)
async def test_a_rollback_that_is_stuck_is_the_reason_where_there_is_no_way_back(seconds: float, told: str) -> None:
    """Which target is live is about to change: who is told to deploy without a way back is led astray."""
    config = DeployConfig.model_validate({"service": "shop", "gates": {"before": []}})
    steps = Steps(quiet=True)
    session = GateSession(cast("GateClient", Clearing(due("run-0"), seconds)), config, "run-1", steps)
    deploy = BlueGreen(NoWay("0.9"), session, steps, config.gates, None)
    assert await carried_out(lambda: deploy.deploy("2.0"), session, steps) != 0
    assert re.match(told, session.report.reason), session.report.reason
