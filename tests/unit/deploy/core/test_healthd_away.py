"""A daemon that dies once the traffic is switched: the way back does not wait for it, and no wait is deaf."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Mapping
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
from healthd_gates.domain.ramp import Ramp
from healthd_gates.domain.standing import Verdict
from healthd_gates.schema.gate import DryRunDocument, GateDocument
from healthd_gates.schema.lock import LockDocument
from tests.fakes.gate_states import ROLLBACK
from tests.fakes.monitoring import MIDNIGHT
from tests.unit.deploy.core.test_live_again import FAILED, Daemon
from tests.unit.deploy.core.test_put_back import Targets
from tests.unit.deploy.core.test_waiting_for_rollback import WithPutBack

pytestmark = pytest.mark.looptime
_RETRY_FOR = 60.0
_ORDER = "healthd gate cancel new-1 --reason 'the deploy run-1 is being undone'"


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

    def __init__(self, verdict: Verdict, seconds: float, cancels_after: float = 86400) -> None:
        super().__init__(verdict)
        self._seconds, self._cancels_after = seconds, cancels_after

    async def cancel(self, gate_id: str, reason: str) -> None:
        if asyncio.get_running_loop().time() < self._cancels_after:
            raise Refused(503, {"title": "Journal unavailable", "detail": "the disk is full"})
        await super().cancel(gate_id, reason)

    async def follow(self, gate_id: str) -> AsyncGenerator[GateDocument]:
        loop = asyncio.get_running_loop()
        back_at = loop.time() + self._seconds
        while loop.time() < back_at:
            yield GateDocument.of(self._known(gate_id), journal_away_since=MIDNIGHT)
            await asyncio.sleep(2)
        async for gate in super().follow(gate_id):
            yield gate


class Refusing(Dying):
    """It answers a cancellation, with no."""

    tries = 0

    async def cancel(self, _gate_id: str, _reason: str) -> None:
        self.tries += 1
        raise Refused(403, {"title": "Forbidden", "detail": "no such scope"})


class Deaf(Daemon):
    """Its answer to the start of a gate is lost, whether or not it began one."""

    def __init__(self, verdict: Verdict, *, begins: bool) -> None:
        super().__init__(verdict)
        self._begins = begins

    async def verify(self, request: Mapping[str, Any], *, key: str) -> GateDocument:
        if self._begins:
            await super().verify(request, key=key)
        raise Unreachable("nobody answers")


class DyingRamp(Dying):
    """Its gates have a ramp, and it dies while the first one is followed."""

    async def could_start(self, request: Mapping[str, Any]) -> DryRunDocument:
        return DryRunDocument(service="shop", policy=request["policy"], notes=[], ramps=True)

    async def verify(self, request: Mapping[str, Any], *, key: str) -> GateDocument:
        began = await super().verify(request, key=key)
        self._gates[0] = replace(self._known(began.id), ramp=Ramp(until=MIDNIGHT, weight=0.25), state=GateState.RAMPING)
        return await self.gate(began.id)

    async def follow(self, gate_id: str) -> AsyncGenerator[GateDocument]:
        yield await self.gate(gate_id)
        await self.switched(gate_id)


class Timed(Targets):
    """Notes when the traffic was moved."""

    def __init__(self) -> None:
        super().__init__("0.9")
        self.moved: dict[str, float] = {}

    async def switch(self, target: str) -> None:
        await super().switch(target)
        self.moved[target] = asyncio.get_running_loop().time()


async def _deployed(daemon: Daemon, targets: Timed, patience: str = "30s", ramp: str | None = None) -> tuple[int, str]:
    """The exit code, and the last line."""
    config = DeployConfig.model_validate({"service": "shop", "gates": {"before": []}, "rollback_patience": patience})
    steps = Steps()
    session = GateSession(cast("GateClient", daemon), config, "run-1", steps)
    deploy = BlueGreen(targets, session, steps, config.gates, None, ramp=ramp)
    code = await carried_out(lambda: deploy.deploy("2.0"), session, steps)
    return code, session.report.sentence(code)


async def test_the_traffic_goes_back_before_healthd_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """The wait that is configured is for the question; after it, some seconds of a bad version are all."""
    targets = Timed()
    code, _ = await _deployed(Dying(Verdict.FAIL), targets)
    ended = asyncio.get_running_loop().time()
    assert (code, targets.traffic) == (3, "green")
    assert targets.moved["green"] - targets.moved["blue"] < _RETRY_FOR + 6
    assert 580 < ended - targets.moved["green"] < 620
    said = capsys.readouterr().err
    assert said.index("could not be cancelled") < said.index("✓ put the traffic back to green")
    assert "it is told again for up to 9m55s, or until Ctrl-C" in said
    assert f"once it answers, `{_ORDER}` tells it" in said


async def test_a_daemon_that_answers_again_is_told_that_the_deploy_is_undone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It would judge a version that has no traffic any more, and hold the service."""
    daemon, targets = JournalAway(Verdict.PASS, 3600, cancels_after=300), Timed()
    code, _ = await _deployed(daemon, targets)
    assert (code, targets.traffic, daemon.cancelled) == (3, "green", ["new-1"])
    assert asyncio.get_running_loop().time() < 330
    said = capsys.readouterr().err
    assert "✓ healthd knows now that the deploy is undone" in said
    assert said.count("could not be cancelled") == 1


async def test_a_signal_ends_telling_it_with_the_command_that_does(capsys: pytest.CaptureFixture[str]) -> None:
    targets = Timed()
    deploying = asyncio.ensure_future(_deployed(Dying(Verdict.FAIL), targets))
    await asyncio.sleep(_RETRY_FOR + 60)
    os.kill(os.getpid(), signal.SIGTERM)
    code, _ = await deploying
    assert (code, targets.traffic) == (3, "green")
    assert asyncio.get_running_loop().time() < _RETRY_FOR + 80
    assert f"(interrupted; no answer within 5s): once it answers, `{_ORDER}`" in capsys.readouterr().err


async def test_a_refusal_is_not_repeated_and_names_who_may(capsys: pytest.CaptureFixture[str]) -> None:
    """Such as of a token that was taken away meanwhile."""
    daemon, targets = Refusing(Verdict.FAIL), Timed()
    code, _ = await _deployed(daemon, targets)
    assert (code, targets.traffic, daemon.tries) == (3, "green", 2)
    assert f"(Forbidden: no such scope): a token that may, `{_ORDER}` tells it" in capsys.readouterr().err


@pytest.mark.parametrize("found", [True, False])
async def test_a_gate_whose_start_had_no_answer_is_looked_for(found: bool) -> None:
    """A ramp would give traffic to a version that is given up, with nobody who follows it."""
    daemon, targets = Deaf(Verdict.PASS, begins=found), Timed()
    code, _ = await _deployed(daemon, targets)
    assert (code, targets.moved) == (3, {})
    assert daemon.cancelled == (["new-1"] if found else [])


async def test_a_ramp_that_nobody_could_cancel_wants_a_person() -> None:
    """It goes on once healthd is back: the traffic is not as before for long."""
    daemon, targets = DyingRamp(Verdict.FAIL), Timed()
    code, said = await _deployed(daemon, targets, ramp="gradual")
    assert (code, targets.traffic) == (4, "green")
    assert f"the ramp, which healthd goes on with as soon as it can, unless `{_ORDER}` comes before it" in said


async def test_a_journal_that_stays_away_is_waited_for_as_a_daemon_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Its gate decides nothing, whatever it sees: the version does not keep the traffic for as long as that lasts."""
    targets = Timed()
    code, said = await _deployed(JournalAway(Verdict.PASS, 3600), targets)
    assert (code, targets.traffic) == (3, "green")
    assert _RETRY_FOR <= targets.moved["green"] - targets.moved["blue"] < _RETRY_FOR + 10
    assert "The journal is away since 00:00:00 UTC" in said
    assert f"the disk is full): once it answers, `{_ORDER}` tells it" in capsys.readouterr().err


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
