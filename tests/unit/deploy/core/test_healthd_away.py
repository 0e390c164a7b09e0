"""A daemon that dies once the traffic is switched: the way back does not wait for it, and no wait is deaf."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any, NoReturn, cast

import pytest

from healthd_deploy.core.blue_green import BlueGreen
from healthd_deploy.core.outcome import carried_out
from healthd_deploy.core.session import GateSession
from healthd_deploy.core.settings import DeployConfig
from healthd_deploy.core.steps import Steps
from healthd_gates.client.client import GateClient
from healthd_gates.client.transport import Refused, Unreachable
from healthd_gates.domain.gate import GateState, RollbackState
from healthd_gates.domain.standing import Verdict
from healthd_gates.schema.gate import GateDocument
from healthd_gates.schema.lock import LockDocument
from tests.fakes.gate_states import ROLLBACK
from tests.fakes.monitoring import MIDNIGHT
from tests.unit.deploy.core.test_live_again import FAILED, Daemon
from tests.unit.deploy.core.test_put_back import Targets
from tests.unit.deploy.core.test_waiting_for_rollback import WithPutBack

pytestmark = pytest.mark.looptime
_RETRY_FOR = 60.0


class Dying(Daemon):
    """It answers nothing any more from `switched` on, for which a client waits as it does."""

    is_dead = False

    async def switched(self, _gate_id: str) -> GateDocument:
        self.is_dead = True
        await self._away()

    async def cancel(self, _gate_id: str, _reason: str) -> None:
        await self._away()

    async def lock(self, service: str, holder: str, _seconds: float, reason: str, **more: Any) -> LockDocument:
        if self.is_dead:
            await self._away()
        return await super().lock(service, holder, _seconds, reason, **more)

    async def _away(self) -> NoReturn:
        await asyncio.sleep(_RETRY_FOR)
        raise Unreachable("nobody answers")


class JournalAway(Daemon):
    """It answers, and its journal is away for so many seconds from when the gate is followed."""

    def __init__(self, verdict: Verdict, seconds: float) -> None:
        super().__init__(verdict)
        self._seconds = seconds

    async def cancel(self, _gate_id: str, _reason: str) -> None:
        raise Refused(503, {"title": "Journal unavailable", "detail": "the disk is full"})

    async def follow(self, gate_id: str) -> AsyncGenerator[GateDocument]:
        loop = asyncio.get_running_loop()
        back_at = loop.time() + self._seconds
        while loop.time() < back_at:
            yield GateDocument.of(self._known(gate_id), journal_away_since=MIDNIGHT)
            await asyncio.sleep(2)
        async for gate in super().follow(gate_id):
            yield gate


class Timed(Targets):
    """Notes when the traffic was moved."""

    def __init__(self) -> None:
        super().__init__("0.9")
        self.moved: dict[str, float] = {}

    async def switch(self, target: str) -> None:
        await super().switch(target)
        self.moved[target] = asyncio.get_running_loop().time()


async def _deployed(daemon: Daemon, targets: Timed, patience: str = "30s") -> tuple[int, str]:
    """The exit code, and the last line."""
    config = DeployConfig.model_validate({"service": "shop", "gates": {"before": []}, "rollback_patience": patience})
    steps = Steps()
    session = GateSession(cast("GateClient", daemon), config, "run-1", steps)
    deploy = BlueGreen(targets, session, steps, config.gates, None)
    code = await carried_out(lambda: deploy.deploy("2.0"), session, steps)
    return code, session.report.sentence(code)


async def test_the_traffic_goes_back_before_healthd_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """The wait that is configured is for the question; after it, some seconds of a bad version are all."""
    targets = Timed()
    code, _ = await _deployed(Dying(Verdict.FAIL), targets)
    ended = asyncio.get_running_loop().time()
    assert (code, targets.traffic) == (3, "green")
    assert targets.moved["green"] - targets.moved["blue"] < _RETRY_FOR + 6
    assert ended - targets.moved["green"] < 11
    said = capsys.readouterr().err
    assert said.index("could not be cancelled") < said.index("✓ put the traffic back to green")
    assert "healthd does not know that the deploy is undone" in said


async def test_a_journal_that_stays_away_is_waited_for_as_a_daemon_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Its gate decides nothing, whatever it sees: the version does not keep the traffic for as long as that lasts."""
    targets = Timed()
    code, said = await _deployed(JournalAway(Verdict.PASS, 3600), targets)
    assert (code, targets.traffic) == (3, "green")
    assert _RETRY_FOR <= targets.moved["green"] - targets.moved["blue"] < _RETRY_FOR + 10
    assert "The journal is away since 00:00:00 UTC" in said
    assert "healthd does not know that the deploy is undone: once it answers" in capsys.readouterr().err


async def test_a_journal_that_is_back_in_time_costs_nothing() -> None:
    targets = Timed()
    code, _ = await _deployed(JournalAway(Verdict.PASS, 50), targets)
    assert (code, targets.traffic) == (0, "blue")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_the_wait_for_it(number: signal.Signals) -> None:
    targets = Timed()
    before = signal.signal(number, signal.SIG_DFL)  # `nohup` has SIGHUP ignored, as the deploy tool then does
    try:
        deploying = asyncio.ensure_future(_deployed(Dying(Verdict.FAIL), targets))
        await asyncio.sleep(1)
        os.kill(os.getpid(), number)
        code, _ = await deploying
    finally:
        signal.signal(number, before)
    assert (code, targets.traffic) == (130, "green")
    assert asyncio.get_running_loop().time() < 20


async def test_a_signal_after_the_verdict_leaves_the_verdict() -> None:
    """While healthd's own rollback is waited for."""
    daemon, targets = WithPutBack(Verdict.FAIL), Timed()
    due = replace(ROLLBACK, state=RollbackState.DUE, detail=None)
    daemon.end = replace(FAILED, state=GateState.ACTING, rollback=due)
    deploying = asyncio.ensure_future(_deployed(daemon, targets, "1h"))
    await asyncio.sleep(1)
    os.kill(os.getpid(), signal.SIGINT)
    code, said = await deploying
    assert (code, targets.traffic) == (1, "green")
    assert said.startswith(": failed: The error rate")
    assert asyncio.get_running_loop().time() < 60
