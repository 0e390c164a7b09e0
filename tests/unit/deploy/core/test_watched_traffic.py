"""The traffic leaves the version while its gate judges, as where HAProxy is reloaded: said at once, not at the end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import cast

import pytest

from healthd_deploy.core.blue_green import BlueGreen
from healthd_deploy.core.exit import NoAnswer
from healthd_deploy.core.followed_gate import FollowedGate
from healthd_deploy.core.outcome import carried_out
from healthd_deploy.core.platform import Platform, Strayed
from healthd_deploy.core.session import GateSession
from healthd_deploy.core.settings import DeployConfig
from healthd_deploy.core.steps import Steps
from healthd_gates.client.client import GateClient
from healthd_gates.domain.gate import RollbackState
from healthd_gates.domain.standing import Reason, Verdict
from healthd_gates.schema.gate import GateDocument
from tests.servers.waiting import HANGS
from tests.unit.deploy.core.test_live_again import Daemon
from tests.unit.deploy.core.test_put_back import Targets
from tests.unit.deploy.core.test_report import STANDING
from tests.unit.deploy.core.test_rolled_back import Ordered

Look = Strayed | Exception | None
GONE = Strayed("HAProxy at admin.sock gives blue 0 % of the traffic: was it reloaded?", in_part=False)
HALF = Strayed("HAProxy at b.sock gives blue 0 % of the traffic: was it reloaded?", in_part=True)


class Slow(Daemon):
    """Follows a gate until it may end."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict)
        self.may_end = asyncio.Event()

    async def follow(self, gate_id: str) -> AsyncGenerator[GateDocument]:
        await self.may_end.wait()
        async for gate in super().follow(gate_id):
            yield gate


class Seen(Targets):
    """Says at each look what comes next, and ends the gate with the last one."""

    def __init__(self, daemon: Slow, *looks: Look) -> None:
        super().__init__("0.9")
        self._daemon, self._looks = daemon, list(looks)

    async def strayed(self, target: str, share: float = 1.0) -> Strayed | None:
        assert target == "blue"
        if not self._looks:
            self._daemon.may_end.set()
            return None
        look = self._looks.pop(0) if len(self._looks) > 1 else self._ended()
        if isinstance(look, Exception):
            raise look
        return look

    def _ended(self) -> Look:
        self._daemon.may_end.set()
        return self._looks[0]


async def told(daemon: Slow, *looks: Look) -> str:
    """The last line of a deploy."""
    code, session = await ended(Seen(daemon, *looks), daemon)
    return session.report.sentence(code)


async def ended(platform: Platform, daemon: Daemon, retire_after: float | None = None) -> tuple[int, GateSession]:
    config = DeployConfig.model_validate({"service": "shop", "gates": {"before": []}, "rollback_patience": "0s"})
    steps = Steps(undo_within=0)
    session = GateSession(cast("GateClient", daemon), config, "run-1", steps)
    session.report.version = "2.0"
    deploy = BlueGreen(platform, session, steps, config.gates, retire_after)
    async with asyncio.timeout(HANGS):
        return await carried_out(lambda: deploy.deploy("2.0"), session, steps), session


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("healthd_deploy.core.watched_traffic._EVERY", 0.001)
    monkeypatch.setattr("healthd_deploy.core.watched_traffic._AGAIN", 0.001)


async def test_where_the_traffic_is_elsewhere_is_said_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Once, however often it is seen, and again in the last line, with how long it had the traffic at most."""
    sentence = await told(Slow(Verdict.INCONCLUSIVE), GONE, GONE, GONE, GONE)
    lines = capsys.readouterr().err.splitlines()
    (said,) = (number for number, line in enumerate(lines) if line.endswith(f"✗ {GONE.what}"))
    assert said < next(number for number, line in enumerate(lines) if "put the traffic back" in line)
    assert f"({GONE.what})" in sentence
    assert "; it had the traffic for at most 0 s" in sentence


async def test_a_part_that_is_elsewhere_does_not_end_the_exposure() -> None:
    """The other proxy gives the version everything until the way back."""
    sentence = await told(Slow(Verdict.INCONCLUSIVE), HALF, HALF, HALF, HALF)
    assert f"({HALF.what})" in sentence
    assert "; it had the traffic for at most 0 s, from the switch until it was put back" in sentence


@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.INCONCLUSIVE])
async def test_a_proxy_that_says_nothing_is_said_too(verdict: Verdict, capsys: pytest.CaptureFixture[str]) -> None:
    """Where a second look fails too, once and by what it is: nothing is known to have gone, and nothing came back."""
    refused = NoAnswer("a.sock: Connection refused"), NoAnswer("it: refused"), PermissionError("no"), None
    sentence = await told(Slow(verdict), *refused)
    err = capsys.readouterr().err
    assert err.count("✗ whether blue has the traffic could not be looked at: it: refused") == 1
    assert "a.sock" not in err
    assert "PermissionError" not in err
    assert "· blue can be looked at again: it has all of the traffic" in err
    assert "again\n" not in err
    assert ("until it was put back" in sentence) is (verdict is Verdict.INCONCLUSIVE)


async def test_what_cannot_be_looked_at_any_more_is_no_loss() -> None:
    """A failed deploy whose proxy was silent had the traffic until the way back, as far as is known."""
    sentence = await told(Slow(Verdict.INCONCLUSIVE), *[NoAnswer("it: refused")] * 4)
    assert "; it had the traffic for at most 0 s, from the switch until it was put back" in sentence
    assert "refused" not in sentence


@pytest.mark.parametrize("looks", [(GONE, None, None), (None, None)], ids=["for a moment", "it has it"])
async def test_a_reload_that_is_under_way_is_not_said(
    looks: tuple[Look, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """It refuses for a moment."""
    assert (await told(Slow(Verdict.PASS), *looks)).startswith("2.0: promoted")
    assert "HAProxy" not in capsys.readouterr().err


async def test_what_healthd_rolls_back_is_no_reload(capsys: pytest.CaptureFixture[str]) -> None:
    """The weights go with its verdict, which the tool hears of a moment later."""
    daemon = Slow(Verdict.FAIL)

    async def judged(gate_id: str) -> GateDocument:
        return GateDocument.of(replace(daemon.end, id=gate_id))

    daemon.gate = judged  # type: ignore[method-assign]
    assert "(HAProxy" not in await told(daemon, GONE, GONE, GONE, GONE)
    assert "HAProxy" not in capsys.readouterr().err


@pytest.mark.parametrize("reason", [Reason.NOT_SWITCHED, Reason.NO_TRAFFIC])
async def test_a_switch_of_which_nothing_was_seen_gave_no_traffic(reason: Reason) -> None:
    """A proxy was told so, and no more is known."""
    daemon = Slow(Verdict.INCONCLUSIVE)
    daemon.end = replace(daemon.end, standing=replace(STANDING, reason=reason))
    sentence = await told(daemon, None)
    assert "it had the traffic" not in sentence
    assert "the switch to it stood for 0 s, and healthd saw none of the traffic there" in sentence


class AtTheEnd(Targets):
    """Has all of the traffic while the gate judges; from then on the last of its looks stands."""

    def __init__(self, judged: asyncio.Event, *looks: Look) -> None:
        super().__init__("0.9")
        self._judged, self._looks = judged, list(looks)

    async def strayed(self, target: str, share: float = 1.0) -> Strayed | None:
        if not self._judged.is_set():
            self._judged.set()
            return None
        look = self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]
        if isinstance(look, Exception):
            raise look
        return look


@pytest.mark.parametrize("looks", [(HALF,), (HALF, NoAnswer("b.sock: refused"))], ids=["seen", "seen, then silent"])
async def test_a_pass_without_all_of_the_traffic_is_no_promotion(looks: tuple[Look, ...]) -> None:
    """A person must look: nothing is undone, and what had the traffic before is not retired."""
    platform = AtTheEnd((daemon := Slow(Verdict.PASS)).may_end, *looks)
    code, session = await ended(platform, daemon, retire_after=0.0)
    told = session.report.sentence(code)
    assert (code, told) == (4, f"2.0: not undone: its gate passed, but {HALF.what}")
    document = session.report.document(code)
    assert (document["ending"], document["strayed"]) == ("not undone", HALF.what)
    assert platform.changed == ["release 2.0 to blue", "switch to blue"]


async def test_the_traffic_is_looked_at_again_once_the_old_target_is_retired() -> None:
    platform = AtTheEnd((daemon := Slow(Verdict.PASS)).may_end, None, GONE)
    code, session = await ended(platform, daemon, retire_after=0.0)
    assert (code, platform.changed[-1]) == (4, "retire green")
    assert session.report.sentence(code).endswith(GONE.what)


async def test_a_moment_after_a_pass_is_no_loss() -> None:
    platform = AtTheEnd((daemon := Slow(Verdict.PASS)).may_end, GONE, NoAnswer("refused"), None)
    code, session = await ended(platform, daemon)
    assert code == 0
    assert session.report.document(code)["strayed"] is None


async def test_a_pass_that_nobody_can_look_behind_is_said_beside_promoted() -> None:
    """A look that fails is no finding."""
    platform = AtTheEnd((daemon := Slow(Verdict.PASS)).may_end, NoAnswer("b.sock: refused"))
    code, session = await ended(platform, daemon)
    remark = "whether blue has the traffic could not be looked at: b.sock: refused"
    assert code == 0
    assert session.report.sentence(code).startswith("2.0: promoted")
    assert f"; {remark}" in session.report.sentence(code)
    assert session.report.document(code)["remark"] == remark


async def test_what_healthd_has_rolled_back_since_its_pass_is_told_as_that() -> None:
    """Its weights are not a reload."""
    daemon = Ordered(RollbackState.ROLLED_BACK, passed=True)
    (judged := asyncio.Event()).set()
    code, session = await ended(AtTheEnd(judged, GONE), daemon)
    assert (code, session.report.strayed) == (1, None)
    assert "ana called for it" in session.report.sentence(code)


async def test_the_looks_after_a_pass_end_at_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    """The verdict stands: nothing is undone."""
    monkeypatch.setattr("healthd_deploy.core.watched_traffic._AGAIN", 3600.0)
    looking = asyncio.Event()

    class Silent(AtTheEnd):
        async def strayed(self, target: str, share: float = 1.0) -> Strayed | None:
            if self._judged.is_set():
                looking.set()
            return await super().strayed(target, share)

    platform = Silent((daemon := Slow(Verdict.PASS)).may_end, NoAnswer("b.sock: refused"))
    deploying = asyncio.ensure_future(ended(platform, daemon))
    await looking.wait()
    os.kill(os.getpid(), signal.SIGINT)
    code, session = await deploying
    assert (code, session.report.remark) == (0, "whether blue has the traffic could not be looked at: b.sock: refused")
    assert platform.changed[-1] == "switch to blue"


@pytest.mark.parametrize(
    ("parts", "what"),
    [
        ({"blue": 0.0, "green": 1.0}, "green has 100 % of the traffic again"),
        ({"blue": 1.0, "green": 0.25}, "green has 25 % of the traffic again"),
        ({"blue": 1.0, "green": 0.0}, None),
    ],
    ids=["all", "by one rule", "none"],
)
async def test_a_platform_that_is_only_asked_for_shares_is_looked_at_too(
    parts: Mapping[str, float], what: str | None
) -> None:
    """As a Service whose selector somebody applied again while the gate judged."""

    class Divided(Targets):
        async def share(self, target: str) -> float:
            return parts[target]

    (daemon := Slow(Verdict.PASS)).may_end.set()
    code, session = await ended(Divided("0.9"), daemon)
    assert code == (0 if what is None else 4)
    assert what is None or f"its gate passed, but {what}" in session.report.sentence(code)


async def test_a_fault_of_the_looks_is_no_verdict(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What passed stays where it is."""
    daemon = Slow(Verdict.PASS)

    async def broken(_: FollowedGate, share: float) -> bool:
        daemon.may_end.set()
        raise RuntimeError("a bug")

    monkeypatch.setattr(FollowedGate, "has_moved_on", broken)
    targets = Seen(daemon, GONE, GONE, None)
    code, _ = await ended(targets, daemon)
    assert (code, targets.traffic) == (0, "blue")
    assert "✗ the traffic was not looked at to the end: RuntimeError: a bug" in capsys.readouterr().err
