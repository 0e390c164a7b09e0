"""A deploy whose traffic healthd moves: how it ends, and what the tool undoes."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from healthd_deploy.core.blue_green import BlueGreen
from healthd_deploy.core.outcome import carried_out
from healthd_deploy.core.platform import Strayed
from healthd_deploy.core.session import GateSession
from healthd_deploy.core.settings import DeployConfig
from healthd_deploy.core.steps import Steps
from healthd_gates.client.client import GateClient
from healthd_gates.client.transport import Unreachable
from healthd_gates.domain.gate import Gate, GateState
from healthd_gates.domain.ramp import Ramp
from healthd_gates.domain.request import Version
from healthd_gates.domain.standing import Verdict
from healthd_gates.schema.action import ActionsDocument
from healthd_gates.schema.gate import DryRunDocument, GateDocument
from tests.fakes.gate_states import DECIDED, RUNNING
from tests.fakes.monitoring import MIDNIGHT
from tests.unit.deploy.core.test_live_again import Daemon as Judging
from tests.unit.deploy.core.test_live_again import TwoTargets

WIDE = Ramp(until=MIDNIGHT, weight=0.25, step=3)
RAMPING = replace(RUNNING, id="wide", policy="gradual", state=GateState.RAMPING, ramp=WIDE)
QUARTER = replace(RAMPING, ramp=replace(WIDE, done_at=MIDNIGHT))


class Daemon(Judging):
    """Its gates have a ramp; the one that is followed ends as told, and an action is under way for some looks."""

    def __init__(self, end: Gate, *, ramps: bool = True) -> None:
        super().__init__(Verdict.PASS)
        self._end, self._ramps = end, ramps
        self.looks_under_way = 2

    async def could_start(self, request: Mapping[str, Any]) -> DryRunDocument:
        return DryRunDocument(service="shop", policy=request["policy"], notes=[], ramps=self._ramps)

    async def verify(self, request: Mapping[str, Any], *, key: str) -> GateDocument:
        self.asked.append({**request, "key": key})
        self._gates = [RAMPING if self._ramps else replace(RAMPING, ramp=None)]
        return GateDocument.of(self._gates[0])

    async def follow(self, gate_id: str) -> AsyncGenerator[GateDocument]:
        yield GateDocument.of(self._end)

    async def gate(self, _gate_id: str) -> GateDocument:
        return GateDocument.of(self._end)

    async def actions(self, _gate_id: str) -> ActionsDocument:
        self.looks_under_way -= 1
        action = {
            "key": "wide:ramp-3:shift", "action": "shift", "occasion": "ramp", "state": "given_up", "tries": 0,
            "detail": "", "called_for_at": MIDNIGHT, "next_try_at": None, "finished_at": None,
            "under_way": self.looks_under_way > 0,
        }  # fmt: skip
        return ActionsDocument.model_validate({"actions": [action]})


class Targets(TwoTargets):
    """Version 1.0 has the traffic on green; 2.0 gets all of blue's once it is released there."""

    def __init__(self, *, follows: bool = True) -> None:
        super().__init__()
        self._follows = follows

    async def live(self) -> str:
        return "blue" if self._follows and "release 2.0 to blue" in self.changed else "green"

    async def version(self, target: str) -> str | None:
        return {"green": "1.0", "blue": "0.9"}[target]


async def deployed(daemon: Daemon, targets: Targets, *, quiet: bool = True) -> tuple[int, list[str], GateSession]:
    config = DeployConfig.model_validate({"service": "shop", "gates": {"before": []}, "rollback_patience": "0s"})
    steps = Steps(quiet=quiet)
    session = GateSession(cast("GateClient", daemon), config, "run-2", steps)
    deploy = BlueGreen(targets, session, steps, config.gates, None, ramp="gradual")
    return await carried_out(lambda: deploy.deploy("2.0"), session, steps), targets.changed, session


class Followed(Daemon):
    """Its ramp has ordered 25 % of the traffic, which is done, until the gate may end."""

    def __init__(self, *, moved_on: bool = False) -> None:
        super().__init__(ended("inconclusive", Verdict.FAIL))
        self.may_end, self._moved_on = asyncio.Event(), moved_on

    async def follow(self, gate_id: str) -> AsyncGenerator[GateDocument]:
        yield GateDocument.of(RAMPING)
        yield GateDocument.of(QUARTER)
        await self.may_end.wait()
        yield GateDocument.of(self._end)

    async def gate(self, _gate_id: str) -> GateDocument:
        wider = replace(WIDE, weight=0.5, step=4)
        return GateDocument.of(replace(RAMPING, ramp=wider) if self._moved_on else QUARTER)


class Watched(Targets):
    """Gives blue nothing, and lets the gate end once it was looked at for some times."""

    def __init__(self, daemon: Followed) -> None:
        super().__init__()
        self._daemon, self.looks = daemon, list[float]()

    async def strayed(self, target: str, share: float = 1.0) -> Strayed | None:
        assert target == "blue"
        self.looks.append(share)
        if len(self.looks) > 5:
            self._daemon.may_end.set()
        return Strayed(f"HAProxy gives blue 0 % of the traffic. Its ramp ordered {100 * share:g} %", in_part=False)


@pytest.mark.parametrize("moved_on", [False, True], ids=["lost", "a wider weight meanwhile"])
async def test_a_weight_that_is_gone_is_said_while_the_ramp_goes_on(
    moved_on: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against what was ordered last and is done, and only where healthd has ordered nothing else since."""
    monkeypatch.setattr("healthd_deploy.core.watched_traffic._EVERY", 0.001)
    monkeypatch.setattr("healthd_deploy.core.watched_traffic._AGAIN", 0.001)
    targets = Watched(daemon := Followed(moved_on=moved_on))
    async with asyncio.timeout(20):
        code, _, session = await deployed(daemon, targets, quiet=False)
    assert (code, set(targets.looks)) == (2, {0.25})
    told = "HAProxy gives blue 0 % of the traffic. Its ramp ordered 25 %"
    assert capsys.readouterr().err.count(f"✗ {told}\n") == (0 if moved_on else 1)
    assert (f"({told})" in session.report.sentence(code)) is not moved_on


def ended(verdict: str, counts_as: Verdict) -> Gate:
    return replace(RAMPING, state=GateState.FINISHED, decision=DECIDED[verdict, counts_as].decision)


@pytest.mark.parametrize(
    ("end", "code", "undone"),
    [
        (ended("pass", Verdict.PASS), 0, []),
        (ended("fail", Verdict.FAIL), 1, ["switch to green"]),
        (ended("inconclusive", Verdict.FAIL), 2, ["switch to green"]),
        (replace(RAMPING, state=GateState.CANCELLED), 4, []),
    ],
)
async def test_its_end(end: Gate, code: int, undone: list[str]) -> None:
    """The tool moves no traffic but on the way back, and not even that where a person has stopped the ramp."""
    daemon = Daemon(end)
    got, changed, session = await deployed(daemon, Targets())
    assert (got, changed) == (code, ["release 2.0 to blue", *undone]), session.report.reason
    assert [asked["policy"] for asked in daemon.asked] == ["gradual"]
    assert session.report.weight == 0.25
    if undone:
        assert "it had up to 25 % of the traffic for" in session.report.sentence(code)


async def test_a_pass_whose_traffic_comes_late_is_a_pass() -> None:
    """Told, and left to healthd, which orders what is missing."""
    code, changed, _ = await deployed(Daemon(ended("pass", Verdict.PASS)), Targets(follows=False))
    assert (code, changed) == (0, ["release 2.0 to blue"])


async def test_a_pass_whose_traffic_was_all_given_and_is_gone_is_no_promotion() -> None:
    """As by a HAProxy that is reloaded at the end: healthd has nothing more to give."""

    class Reloaded(Targets):
        async def strayed(self, target: str, share: float = 1.0) -> Strayed | None:
            return Strayed(f"HAProxy gives {target} 0 % of the traffic", in_part=False)

    full = replace(ended("pass", Verdict.PASS), ramp=replace(FULL, done_at=MIDNIGHT))
    code, changed, session = await deployed(Daemon(full), Reloaded(follows=False))
    assert (code, changed) == (4, ["release 2.0 to blue"])
    assert session.report.reason == "its gate passed, but HAProxy gives blue 0 % of the traffic"


async def test_a_policy_without_a_ramp_releases_nothing() -> None:
    code, changed, session = await deployed(Daemon(RAMPING, ramps=False), Targets())
    assert (code, changed) == (3, [])
    assert "--strategy switch" in session.report.reason


async def test_the_way_back_waits_for_a_try_that_is_under_way() -> None:
    """It would come after it otherwise; where the gate cannot be cancelled, that it may go on is told."""

    class Lost(Daemon):
        async def follow(self, gate_id: str) -> AsyncGenerator[GateDocument]:
            raise Unreachable("gone for a moment")
            yield

    daemon = Lost(RAMPING)
    code, changed, _ = await deployed(daemon, Targets())
    assert (code, changed) == (3, ["release 2.0 to blue", "switch to green"])
    assert (daemon.cancelled, daemon.looks_under_way) == (["wide"], 0)


async def test_an_interrupted_ramp_tells_the_share_that_it_had() -> None:
    class Interrupted(Daemon):
        async def follow(self, gate_id: str) -> AsyncGenerator[GateDocument]:
            yield GateDocument.of(RAMPING)
            raise Unreachable("gone in the middle")

    code, _, session = await deployed(Interrupted(RAMPING), Targets())
    assert session.report.gates == []
    assert "it had up to 25 % of the traffic for" in session.report.sentence(code)
    session.report.stray(Strayed("HAProxy gives blue 100 % of the traffic", in_part=True, share=1.0))
    session.report.returned()
    assert "it had up to 100 % of the traffic for" in session.report.sentence(code)


async def test_a_version_that_has_the_traffic_is_judged_at_all_of_it_and_told_why(
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = DeployConfig.model_validate({"service": "shop", "gates": {"before": []}, "rollback_patience": "0s"})
    steps = Steps()
    session = GateSession(cast("GateClient", Judging(Verdict.PASS)), config, "run-2", steps)
    deploy = BlueGreen(TwoTargets(), session, steps, config.gates, None, ramp="gradual")
    assert await carried_out(lambda: deploy.deploy("2.0"), session, steps) == 0
    captured = capsys.readouterr()
    assert "post-switch judges it: a ramp begins at nothing" in captured.out + captured.err


PLACED: dict[str, Any] = {
    "candidate": Version(version="2.0", target="blue"),
    "baseline": Version(version="1.0", target="green"),
}
FULL = replace(WIDE, weight=1.0, full_at=MIDNIGHT)


@pytest.mark.parametrize(
    ("newest", "before"),
    [
        (replace(RAMPING, **PLACED), "green"),
        (replace(ended("fail", Verdict.FAIL), **PLACED), "green"),
        (replace(ended("inconclusive", Verdict.PASS), **PLACED), "green"),  # passed with a part: the rest is under way
        (replace(ended("pass", Verdict.PASS), **PLACED, ramp=FULL), "blue"),
        (replace(ended("fail", Verdict.FAIL), **PLACED, ramp=FULL), "green"),
        (replace(RAMPING, **PLACED, ramp=None), None),
        (replace(RAMPING, **PLACED, policy="smoke"), None),
        (RAMPING, None),
    ],
)
async def test_which_target_had_the_traffic_before_a_ramp(newest: Gate, before: str | None) -> None:
    """The newest gate that moved the traffic says it, whoever asked for it, and however wide it has become."""
    older = replace(ended("pass", Verdict.PASS), id="older", policy="smoke", ramp=None)
    daemon = Judging(Verdict.PASS, newest, older)
    session = GateSession(cast("GateClient", daemon), DeployConfig(service="shop"), "run-2", Steps(quiet=True))
    assert await session.earlier.before_ramp(("post-switch", "gradual")) == before


async def test_a_target_that_got_a_part_of_the_traffic_back_is_not_retired() -> None:
    """Nor is the version promoted."""

    class Divided(Targets):
        async def share(self, target: str) -> float:
            return {"green": 0.1, "blue": 0.9}[target]

    targets, daemon = Divided(), Daemon(ended("pass", Verdict.PASS))
    config = DeployConfig.model_validate({"service": "shop", "gates": {"before": []}})
    steps = Steps(quiet=True)
    session = GateSession(cast("GateClient", daemon), config, "run-2", steps)
    deploy = BlueGreen(targets, session, steps, config.gates, 0.0, ramp="gradual")
    assert await carried_out(lambda: deploy.deploy("2.0"), session, steps) == 4
    assert targets.changed == ["release 2.0 to blue"]


async def test_a_baseline_whose_version_nobody_noted_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """A source by version finds none of its requests, and the ramp could never begin."""

    class Unnoted(Targets):
        async def version(self, target: str) -> str | None:
            return None

    config = DeployConfig.model_validate({"service": "shop", "gates": {"before": []}})
    steps = Steps()
    session = GateSession(cast("GateClient", Daemon(ended("pass", Verdict.PASS))), config, "run-2", steps)
    deploy = BlueGreen(Unnoted(), session, steps, config.gates, None, ramp="gradual")
    assert await carried_out(lambda: deploy.deploy("2.0"), session, steps) == 0
    assert "which version green has is not recorded" in capsys.readouterr().err
