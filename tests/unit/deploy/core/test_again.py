"""A deploy that is run again with its key, such as by a job that is retried: what it deploys anew is judged anew."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from healthd_deploy.core.blue_green import BlueGreen
from healthd_deploy.core.outcome import carried_out
from healthd_deploy.core.session import GateSession
from healthd_deploy.core.settings import DeployConfig
from healthd_deploy.core.steps import Steps
from healthd_gates.client.client import GateClient
from healthd_gates.client.transport import Refused
from healthd_gates.domain.gate import Gate, GateState
from healthd_gates.domain.request import Version
from healthd_gates.domain.standing import Verdict
from healthd_gates.schema.gate import GateDocument
from tests.unit.deploy.core.test_live_again import FAILED, PASSED, RUNNING, Daemon, decided, of
from tests.unit.deploy.core.test_put_back import DONE, Targets

BLUE = Version(version="2.0", target="blue")
CANCELLED = replace(RUNNING, state=GateState.CANCELLED, notes=("Cancelled by ana: look into it",))


class Interrupted(Daemon):
    """The first gate is waited for until the tool gets SIGTERM."""

    async def follow(self, gate_id: str) -> AsyncGenerator[GateDocument]:
        if gate_id == "new-1":
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
        async for gate in super().follow(gate_id):
            yield gate


async def run(daemon: Daemon, platform: Targets, *, dry_run: bool = False) -> tuple[int, GateSession]:
    config = DeployConfig.model_validate({"service": "shop", "gates": {"before": []}, "rollback_patience": "0s"})
    steps = Steps(dry_run=dry_run, quiet=True)
    session = GateSession(cast("GateClient", daemon), config, "run-1", steps)
    deploy = BlueGreen(platform, session, steps, config.gates, None)
    return await carried_out(lambda: deploy.deploy("2.0"), session, steps), session


def attempted(gate: Gate) -> Gate:
    """The gate of an attempt of this deploy, whose version was on blue."""
    return replace(of(gate, "run-1"), candidate=BLUE)


@pytest.mark.parametrize(
    ("verdict", "code", "changed"), [(Verdict.PASS, 0, DONE), (Verdict.FAIL, 1, [*DONE, "switch to green"])]
)
@pytest.mark.parametrize(
    "before",
    [
        replace(CANCELLED, notes=("Cancelled by ci: the deploy run-1 is being undone",)),
        CANCELLED,
        replace(decided(Verdict.INCONCLUSIVE), id="open"),
        FAILED,
        PASSED,
    ],
    ids=["undone", "cancelled", "inconclusive", "failed", "passed"],
)
async def test_the_gate_of_an_attempt_that_was_undone_says_nothing(
    before: Gate, verdict: Verdict, code: int, changed: list[str]
) -> None:
    """Whatever it said: its version has no traffic any more."""
    daemon, platform = Daemon(verdict, attempted(before)), Targets("0.9")
    assert (await run(daemon, platform))[0] == code
    assert platform.changed == changed
    assert [asked["key"] for asked in daemon.asked] == ["run-1:post-switch", "run-1:post-switch:2"]


async def test_after_an_interrupt_it_is_judged() -> None:
    """It was left with all of the traffic and no gate: the one that its own undo had cancelled was taken for a person's
    order to let it be."""
    daemon, platform = Interrupted(Verdict.FAIL), Targets("0.9")
    assert (await run(daemon, platform))[0] == 130
    assert platform.traffic == "green"
    assert (await run(daemon, platform))[0] == 1
    assert platform.traffic == "green"
    assert daemon.cancelled == ["new-1"]


class Killed(Targets):
    """Version 2.0 has the traffic on blue: the tool was killed after its switch."""

    def __init__(self) -> None:
        super().__init__("2.0")
        self.traffic = "blue"

    async def idle(self) -> str:
        return "green"


@pytest.mark.parametrize(
    ("left", "code", "asked"),
    [
        (RUNNING, 0, 0),
        (FAILED, 1, 0),
        (CANCELLED, 4, 0),
        (replace(CANCELLED, notes=("Cancelled by ci: the deploy run-1 is being undone",)), 0, 2),
    ],
    ids=["runs", "failed", "cancelled by a person", "the undo was cut off"],
)
async def test_a_version_that_is_in_place_keeps_its_gate(left: Gate, code: int, asked: int) -> None:
    """But for one that its own undo had cancelled, before it was killed too."""
    daemon, platform = Daemon(Verdict.PASS, attempted(left)), Killed()
    assert (await run(daemon, platform))[0] == code
    assert len(daemon.asked) == asked
    assert platform.traffic == ("green" if code == 1 else "blue")


class Stale(Daemon):
    """Refuses the first key, whose verdict is long ago, as the daemon does."""

    def __init__(self, verdict: Verdict, *gates: Gate, followed_by: str | None = None) -> None:
        super().__init__(verdict, *gates)
        self._follower = {} if followed_by is None else {"followed_by": followed_by}

    async def verify(self, request: Mapping[str, Any], *, key: str) -> GateDocument:
        if key == "run-1:post-switch":
            stale = {"type": "urn:healthd:stale-verdict", "detail": "It is of yesterday.", "gate_id": "failed"}
            raise Refused(422, {**stale, **self._follower})
        return await super().verify(request, key=key)


async def test_a_verdict_of_long_ago_is_none_of_this_attempt() -> None:
    """Where no other deploy came in between; one that did may be what this one would take back by mistake."""
    own, others = attempted(FAILED), replace(of(PASSED, "run-7"), id="others")
    platform = Targets("0.9")
    assert (await run(Stale(Verdict.PASS, own), platform))[0] == 0
    assert (await run(Stale(Verdict.PASS, own, followed_by="failed"), Targets("0.9")))[0] == 0
    assert (await run(Daemon(Verdict.PASS, others, own), Killed()))[0] == 3


ANOTHER = Version(version="1.9", target="blue")


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(
    ("gates", "why"),
    [
        (
            [replace(of(PASSED, "run-7"), id="others"), attempted(FAILED)],
            "gate others of 2.0 came after gate failed of the deploy run-1: a new deploy needs a new key",
        ),
        (
            [replace(attempted(PASSED), candidate=ANOTHER)],
            "the key run-1 is that of 1.9 (gate passed): a new deploy needs a new key",
        ),
    ],
    ids=["another deploy followed", "another version"],
)
@pytest.mark.parametrize("others", [0, 60], ids=["lately", "many gates ago"])
async def test_a_key_that_its_gates_would_refuse_releases_nothing(
    gates: list[Gate], why: str, dry_run: bool, others: int
) -> None:
    """The idle target is the way back of the version that is live: it must not be lost to a deploy that cannot end."""
    elsewhere = [replace(of(PASSED, f"run-{n}"), id=f"later-{n}", policy="canary") for n in range(100, 100 + others)]
    platform, daemon = Targets("0.9"), Daemon(Verdict.PASS, *elsewhere, *gates)
    code, session = await run(daemon, platform, dry_run=dry_run)
    assert (code, session.report.reason) == (3, why)
    assert (platform.traffic, platform.changed, daemon.asked) == ("green", [], [])


class Busy(Daemon):
    """Refuses a new gate while one that runs has the service, as the daemon does."""

    async def verify(self, request: Mapping[str, Any], *, key: str) -> GateDocument:
        running = next((gate for gate in self._gates if not GateDocument.of(gate).is_answered), None)
        if running is not None and key not in self._keys:
            raise Refused(409, {"type": "urn:healthd:service-busy", "detail": "It is busy.", "gate_id": running.id})
        return await super().verify(request, key=key)


@pytest.mark.parametrize(("key", "code"), [("run-1", 0), ("run-7", 3)])
async def test_a_pass_stands_while_a_later_gate_of_the_deploy_runs(key: str, code: int) -> None:
    """The tool was killed at its gate: what it asked before the switch is not asked again. Another deploy's gate is in
    the way, whatever passed before."""
    passed = replace(attempted(PASSED), id="first", policy="preflight")
    daemon = Busy(Verdict.PASS, replace(of(RUNNING, key), candidate=BLUE), passed)
    config = DeployConfig.model_validate({"service": "shop", "rollback_patience": "0s"})
    steps, platform = Steps(quiet=True), Targets("0.9")
    session = GateSession(cast("GateClient", daemon), config, "run-1", steps)
    deploy = BlueGreen(platform, session, steps, config.gates, None)
    assert await carried_out(lambda: deploy.deploy("2.0"), session, steps) == code
    assert platform.traffic == ("blue" if code == 0 else "green")
