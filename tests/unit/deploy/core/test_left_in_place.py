"""A deploy that stops without going back, such as after a migration that the version before cannot bear."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from healthd_deploy.core.blue_green import BlueGreen
from healthd_deploy.core.exit import StepFailed
from healthd_deploy.core.outcome import carried_out
from healthd_deploy.core.session import GateSession
from healthd_deploy.core.settings import DeployConfig
from healthd_deploy.core.steps import Steps
from healthd_deploy.host.folders import Unfinished
from healthd_deploy.host.host import Standing
from healthd_gates.client.client import GateClient
from healthd_gates.domain.gate import GateState
from healthd_gates.domain.standing import Verdict
from healthd_gates.schema.gate import GateDocument
from tests.fakes.gate_states import RUNNING
from tests.unit.deploy.core.test_live_again import Daemon
from tests.unit.deploy.core.test_put_back import DONE, Targets
from tests.unit.deploy.host.test_standing import host

CANCELLED = replace(RUNNING, state=GateState.CANCELLED, notes=("Cancelled by ana: the schema has gone on",))


class Ended(Daemon):
    """Its gates are cancelled by a person while they are waited for."""

    async def follow(self, gate_id: str) -> AsyncGenerator[GateDocument]:
        yield GateDocument.of(replace(CANCELLED, id=gate_id))


class Interrupted(Daemon):
    """The tool gets SIGTERM while it waits for the verdict."""

    async def follow(self, gate_id: str) -> AsyncGenerator[GateDocument]:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()
        yield GateDocument.of(RUNNING)


async def deployed(
    daemon: Daemon,
    *,
    no_rollback: bool,
    idle: bool = False,
    ramp: str | None = None,
    retire_after: float | None = None,
) -> tuple[int, list[str], GateSession]:
    """The exit code, what was changed, and the session; `idle`: with a gate before the switch."""
    gates = {"before": [], "idle": ["smoke"] if idle else []}
    config = DeployConfig.model_validate({"service": "shop", "gates": gates, "rollback_patience": "0s"})
    steps, platform = Steps(quiet=True), Targets("0.9")
    session = GateSession(cast("GateClient", daemon), config, "run-1", steps, no_rollback=no_rollback)
    session.report.version = "2.0"
    deploy = BlueGreen(platform, session, steps, config.gates, retire_after, ramp=ramp)
    return await carried_out(lambda: deploy.deploy("2.0"), session, steps), platform.changed, session


async def test_a_person_who_cancels_the_gate_leaves_the_traffic_where_it_is() -> None:
    """As the command, the page and the API say: nothing is promoted and nothing rolled back."""
    daemon = Ended(Verdict.PASS)
    code, changed, session = await deployed(daemon, no_rollback=False)
    assert (code, changed, daemon.cancelled) == (4, DONE, [])
    assert "the traffic stays where it is" in session.report.sentence(code)
    assert "Cancelled by ana: the schema has gone on" in session.report.sentence(code)


async def test_before_the_switch_a_cancelled_gate_ends_the_deploy() -> None:
    """The idle target has no traffic that could stay."""
    code, changed, _ = await deployed(Ended(Verdict.PASS), no_rollback=False, idle=True)
    assert (code, changed) == (2, DONE[:1])


@pytest.mark.parametrize(
    ("daemon", "why"),
    [
        (Daemon(Verdict.FAIL), "fail: "),
        (Daemon(Verdict.INCONCLUSIVE), "inconclusive: "),
        (Interrupted(Verdict.PASS), "interrupted; "),
    ],
    ids=["fail", "inconclusive", "SIGTERM"],
)
async def test_from_the_switch_on_nothing_goes_back(daemon: Daemon, why: str) -> None:
    """Neither by the tool nor by the actions of healthd; a gate that runs goes on."""
    code, changed, session = await deployed(daemon, no_rollback=True)
    assert (code, changed, daemon.cancelled) == (4, DONE, [])
    assert [asked["rollback"] for asked in daemon.asked] == ["off"]
    said = session.report.sentence(code)
    assert why in said
    assert "2.0 keeps the traffic (--no-rollback)" in said


async def test_before_the_switch_no_rollback_changes_nothing() -> None:
    assert (await deployed(Daemon(Verdict.FAIL), no_rollback=True, idle=True))[:2] == (1, DONE[:1])


async def test_a_ramp_is_refused_before_anything_is_released() -> None:
    code, changed, session = await deployed(Daemon(Verdict.PASS), no_rollback=True, ramp="gradual")
    assert (code, changed) == (3, [])
    assert "--strategy switch" in session.report.reason


async def test_what_is_to_be_noted_is_noted_and_nothing_undone() -> None:
    """In the order of the steps; a note that fails does not end the others."""
    steps, log = Steps(quiet=True), list[str]()

    async def broken() -> None:
        log.append("note one")
        raise StepFailed("no")

    async def note() -> None:
        log.append("note two")

    async def undo() -> None:
        log.append("undo")

    await steps.do("one", undo, undo=("undo", undo), keep=("note", broken))
    await steps.do("two", undo, undo=("undo", undo), keep=("note", note))
    log.clear()
    await steps.leave()
    assert not await steps.unwind()
    assert log == ["note one", "note two"]


async def test_the_next_release_of_a_host_begins_from_what_was_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not from the version before, which cannot go on with the migrated database."""
    begun = host(tmp_path, "2", "1")
    begun.folders.begin(Unfinished("run-7", "3", "2", "1"))

    async def remembered() -> None:
        pass

    monkeypatch.setattr(begun.processes, "remembered", remembered)
    await begun.left_in_place("3")
    assert begun.standing("4") == Standing("2", "1", begun.folders.unfinished()), "it was never switched to"
    begun.folders.point(current="3", previous="2")
    await begun.left_in_place("3")
    assert begun.standing("4") == Standing("3", "2")
