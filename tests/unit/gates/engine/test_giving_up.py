"""A rollback whose action never works: a person ends it, and the service is free for the fix."""

import asyncio
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from healthd_gates.actions.contract import ActionResult, Ending
from healthd_gates.config.settings import Config
from healthd_gates.domain.action_order import OrderState
from healthd_gates.domain.errors import AlreadyDecided, NotRollingBack, ServiceBusy
from healthd_gates.domain.evidence import Counts
from healthd_gates.domain.gate import EventKind, Gate, GateState, RollbackState
from healthd_gates.domain.request import Version
from tests.fakes.gates import Note, Replica, Script, broken, config, healthy, over, replica, request, start_replica
from tests.unit.gates.engine.test_service import audited


def short() -> Config:
    return config(
        policy={"initial_delay": "5s", "observe": {"min": "10s", "max": "60s"}}, gates={"lease_duration": "60s"}
    )


async def stuck(running: Replica) -> Gate:
    """A gate of a bad version, after the time by which it was to decide: its action exits with 1 again and again."""
    Script.act, Note.act = broken, lambda _order: ActionResult(Ending.RETRY, "exit code 1")
    gate = await running.keeper.start(request(baseline=Version(version="1.0")), caller="ci")
    await running.keeper.wait(gate.id, 600)
    await asyncio.sleep(120)
    return await running.keeper.get(gate.id)


async def test_the_refusal_says_when_and_how(file: Path) -> None:
    """And why the rollback is not over. No time in it is past: the one by which the gate was to decide is."""
    async with replica(file, short()) as running:
        gate = await stuck(running)
        with pytest.raises(ServiceBusy, match=f"healthd gate give-up {gate.id}") as busy:
            await running.keeper.start(request(version="2.1"), caller="ci")
        assert re.search(
            r"UTC: back was tried \d+ times and is not done yet: exit code 1; healthd gate watch .*; to end it by hand",
            str(busy.value),
        )
        assert "until" not in busy.value.fields
        assert gate.decision is not None
        assert busy.value.fields["gives_up_at"] - gate.decision.at == timedelta(days=1)
        with pytest.raises(AlreadyDecided, match="healthd gate give-up"):
            await running.keeper.interventions.cancel(gate.id, caller="ann", reason="enough")


@pytest.mark.parametrize(
    ("done", "state", "detail"),
    [
        (True, RollbackState.ROLLED_BACK, "ann did it by hand: the old way"),
        (False, RollbackState.FAILED, "ann gave it up: the old way; not done: back"),
    ],
)
async def test_a_person_ends_it(file: Path, *, done: bool, state: RollbackState, detail: str) -> None:
    """At once, with the reason in the gate and in the audit; the action is tried no more, and the fix may come."""
    async with replica(file, short()) as running:
        gate = await stuck(running)
        tries = len(Note.tried)
        ended = await running.keeper.interventions.give_up(gate.id, caller="ann", reason="the old way", done=done)
        assert ended.rollback is not None
        assert (ended.state, ended.rollback.state, ended.rollback.detail) == (GateState.FINISHED, state, detail)
        (order,) = await running.keeper.orders(gate.id)
        assert (order.state, order.detail) == (OrderState.GIVEN_UP, detail.partition(";")[0])
        Script.act = healthy
        assert (await running.keeper.start(request(version="2.1"), caller="ci")).state is GateState.SETTLING
        await asyncio.sleep(100)
        assert len(Note.tried) == tries
        assert ("ann", "gate.give_up", gate.id) in await audited(running)
        log = [event.body["state"] for event in await running.gates.gate_store.events(gate.id, 0, limit=10_000)
               if event.kind is EventKind.ROLLBACK]  # fmt: skip
        assert log[-1] == state.value


async def test_a_try_that_hangs_is_ended_with_it(file: Path) -> None:
    """What it comes to after that counts for nothing."""
    ended: list[str] = []

    async def hang(_order: Any) -> ActionResult:
        try:
            await asyncio.sleep(25)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return ActionResult(Ending.DONE)

    async with replica(file) as running:
        Script.act, Note.act = broken, hang
        gate = await running.keeper.start(request(), caller="ci")
        await running.keeper.wait(gate.id, 600)
        await asyncio.sleep(1)
        await running.keeper.interventions.give_up(gate.id, caller="ann", reason="it hangs")
        await asyncio.sleep(30)
        assert ended == ["cancelled"]
        (order,) = await running.keeper.orders(gate.id)
        assert order.state is OrderState.GIVEN_UP


async def test_what_failed_already_can_be_called_done(file: Path) -> None:
    """So that the alert ends once the traffic was put back by hand; a gate without a rollback has none to end."""
    Script.act, Note.act = broken, lambda _order: ActionResult(Ending.REFUSED, "403")
    async with replica(file) as running:
        gate = await running.keeper.start(request(), caller="ci")
        with pytest.raises(NotRollingBack, match=f"{gate.id} is settling"):
            await running.keeper.interventions.give_up(gate.id, caller="ann", reason="now")
        await over(running, gate)
        with pytest.raises(NotRollingBack, match="is rollback failed"):
            await running.keeper.interventions.give_up(gate.id, caller="ann", reason="now")
        ended = await running.keeper.interventions.give_up(gate.id, caller="ann", reason="by hand", done=True)
        assert ended.rollback is not None
        assert ended.rollback.state is RollbackState.ROLLED_BACK


async def test_a_gate_of_a_crashed_replica_can_be_ended(file: Path) -> None:
    """Whoever has it; a restart does not bring it back."""
    first = await start_replica(file, short())
    gate = await stuck(first)
    await first.crash()
    async with replica(file, short()) as second:
        await second.keeper.interventions.give_up(gate.id, caller="ann", reason="by hand", done=True)
        await asyncio.sleep(120)
        assert (await second.keeper.get(gate.id)).state is GateState.FINISHED


async def test_an_action_that_works_again_is_tried_soon(file: Path) -> None:
    """However often it failed before: the bad version has the traffic all the while."""
    async with replica(file, short()) as running:
        gate = await stuck(running)
        await asyncio.sleep(240)
        Note.act = lambda _order: ActionResult(Ending.DONE, "")
        await asyncio.sleep(25)
        (order,) = await running.keeper.orders(gate.id)
        assert order.state is OrderState.DONE


async def test_a_tool_that_put_the_traffic_back_is_believed_as_an_action_is(file: Path) -> None:
    """The action is tried no more, and the numbers say what came of it; to say it twice changes nothing."""
    async with replica(file, short()) as running:
        gate = await stuck(running)
        tries = len(Note.tried)
        Script.act = lambda _seconds: (Counts(0, 0), healthy(0.0))
        told = await running.keeper.interventions.put_back(gate.id, caller="ci", reason="deploy 7 undid its switch")
        assert told.rollback is not None
        assert (told.state, told.rollback.state) == (GateState.ACTING, RollbackState.CONFIRMING)
        await running.keeper.interventions.put_back(gate.id, caller="ci", reason="deploy 7 undid its switch")
        ended = await over(running, gate)
        assert ended.rollback is not None
        assert (ended.state, ended.rollback.state) == (GateState.FINISHED, RollbackState.ROLLED_BACK)
        assert len(Note.tried) == tries
        (order,) = await running.keeper.orders(gate.id)
        assert (order.state, order.detail) == (
            OrderState.GIVEN_UP, "ci has put the traffic back: deploy 7 undid its switch"
        )  # fmt: skip
        assert ("ci", "gate.put_back", gate.id) in await audited(running)
        assert await running.keeper.interventions.put_back(gate.id, caller="ci", reason="late") == ended


async def test_where_no_rollback_was_called_for_none_was_done(file: Path) -> None:
    async with replica(file, short()) as running:
        Script.act = healthy
        gate = await running.keeper.start(request(), caller="ci")
        with pytest.raises(NotRollingBack, match="is settling"):
            await running.keeper.interventions.put_back(gate.id, caller="ci", reason="now")
