"""A gate about the version that is live already, such as that of a pipeline that is run again, moves no traffic."""

from pathlib import Path
from typing import Any

import pytest

from healthd_gates.domain import errors as refusals
from healthd_gates.domain.gate import Gate
from healthd_gates.domain.request import Deployment, Version
from healthd_gates.domain.standing import Verdict
from tests.fakes.gates import Note, Replica, Script, broken, config, replica, request, silent


async def verified(running: Replica, version: str = "2.0", key: str | None = None, **asked: Any) -> Gate:
    gate = await running.keeper.start(
        request(version=version, **asked), caller="ci", idempotency_key=key, guards_live=True
    )
    return await running.keeper.wait(gate.id, 600)


async def test_it_is_only_judged_where_a_fail_would_move_the_traffic(file: Path) -> None:
    """A good one passes again, as often as its pipeline runs; a bad one is told, and nothing is carried out. Each says
    why, and how to have it otherwise; a request that is sent again joins its gate."""
    async with replica(file) as running:
        passed = await verified(running, key="run-1")
        assert (passed.may_stay, passed.rollback_mode) == (True, "auto")
        again = f"2.0 has passed gate {passed.id}, and no deploy came after it: it is live, so that it is only judged"
        dry = await running.keeper.could_start(request(), caller="ci")
        assert dry.notes[0].startswith(again)
        good = await verified(running, key="run-2")
        assert (good.may_stay, good.rollback_mode) == (True, "off")
        started = await anext(running.keeper.events(good.id))
        assert started.body["why"].startswith(again)
        assert (await verified(running, key="run-2")).id == good.id
        Script.act = broken
        bad = await verified(running, key="run-3")
        assert bad.decision is not None
        assert (bad.decision.verdict, bad.rollback, Note.tried) == (Verdict.FAIL, None, [])


@pytest.mark.parametrize(
    "asked",
    [{"rollback": "off"}, {"baseline": Version(version="1.9")}, {"version": "3.0"}],
    ids=["judged only", "a baseline", "another version"],
)
async def test_what_may_start(file: Path, asked: dict[str, Any]) -> None:
    """Nothing is moved, or it is said where to, or something else is deployed."""
    async with replica(file) as running:
        await verified(running)
        assert (await verified(running, **asked)).decision is not None


async def test_another_step_of_the_same_deploy(file: Path) -> None:
    """A canary that grows is asked about several times."""
    async with replica(file) as running:
        step = await verified(running, deployment=Deployment(id="run-1"))
        assert (await verified(running, deployment=Deployment(id="run-1"))).id != step.id


async def test_where_no_action_would_be_ordered(file: Path) -> None:
    """There is nothing to spare."""
    async with replica(file, config(service={"on_fail": []})) as running:
        await verified(running)
        assert (await verified(running)).decision is not None


async def test_a_version_that_was_replaced_since(file: Path) -> None:
    """It is a deploy like any other; and one that has not passed is not live for certain."""
    async with replica(file) as running:
        await verified(running)
        await verified(running, "3.0")
        assert (await verified(running)).decision is not None
        Script.act = silent
        assert not (await verified(running, "4.0")).may_stay
        assert (await verified(running, "4.0")).decision is not None
        assert Note.tried == []


async def test_a_dry_run_says_what_a_start_would(file: Path) -> None:
    """And stores nothing: no gate, no lock, no quarantine."""
    async with replica(file) as running:
        dry = await running.keeper.could_start(request(), caller="ci")
        assert (dry.policy, (await running.keeper.list()).gates) == ("quick", ())
        with pytest.raises(refusals.UnknownService, match="Did you mean web"):
            await running.keeper.could_start(request("wep"), caller="ci")
        Script.act = broken
        failed = await verified(running)
        with pytest.raises((refusals.Quarantined, refusals.ServiceBusy), match=failed.id):
            await running.keeper.could_start(request(), caller="ci")
        await running.keeper.locks.take("web", holder="ci-7", seconds=60, reason="a migration", caller="ci")
        with pytest.raises(refusals.Locked, match="ci-7 holds"):
            await running.keeper.could_start(request("web"), caller="ci")
