"""The worker of the outbox where the journal fails it at one call, or a gate is not what it was."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from healthd.journal.errors import JournalError
from healthd_gates.actions.contract import ActionRequest, ActionResult
from healthd_gates.domain.action_order import ActionRun, OrderState
from healthd_gates.domain.gate import Gate
from healthd_gates.store.serialization import UnreadableGate
from tests.fakes import gates
from tests.fakes.gates import Note, Replica, Script, config, failing, replica, request, start_replica
from tests.unit.gates.engine.test_rollback import DONE, always


@pytest.fixture(autouse=True)
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """A take-over within seconds; each gate fails at once, and its action works."""
    monkeypatch.setattr(gates, "LEASE", "10s")
    monkeypatch.setattr(Note, "act", always(DONE))
    Script.act = failing


async def failed(running: Replica) -> Gate:
    """A gate whose rollback is ordered."""
    started = await running.keeper.start(request(), caller="ci")
    return await running.keeper.wait(started.id, 600)


async def order_of(running: Replica, gate: Gate) -> ActionRun:
    (order,) = await running.gates.outbox.of_gate(gate.id)
    return order


def told_to_the_worker(running: Replica, monkeypatch: pytest.MonkeyPatch, said: Callable[[Gate | None], Any]) -> None:
    """What the worker finds when it looks for the gate of an order; all others find the gate."""
    find = running.gates.gate_store.find

    async def found(gate_id: str) -> Gate | None:
        gate, task = await find(gate_id), asyncio.current_task()
        answer: Gate | None = said(gate) if task is not None and task.get_name().startswith("order:") else gate
        return answer

    monkeypatch.setattr(running.gates.gate_store, "find", found)


async def test_a_rollback_waits_for_a_journal_that_is_away_between_the_claim_and_the_look(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = iter([True, True])

    def at_times(gate: Gate | None) -> Gate | None:
        if next(away, False):
            raise JournalError("connection refused")
        return gate

    async with replica(file) as running:
        told_to_the_worker(running, monkeypatch, at_times)
        gate = await failed(running)
        await asyncio.sleep(1.9)
        assert not Note.tried
        await asyncio.sleep(2)
        assert (await order_of(running, gate)).state is OrderState.DONE
        assert len(Note.tried) == 1


async def test_a_replica_that_cannot_read_a_gate_leaves_its_rollback_to_one_that_can(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As during an upgrade: it kept its claim for as long as it ran, and nobody put the traffic back."""

    def newer(gate: Gate | None) -> Gate | None:
        raise UnreadableGate(gate.id if gate else "", ValueError("of a newer release"))

    async with replica(file) as first:
        told_to_the_worker(first, monkeypatch, newer)
        gate = await failed(first)
        await asyncio.sleep(5)
        order = await order_of(first, gate)
        assert (order.state, Note.tried) == (OrderState.DUE, [])
        assert f"{gate.id} cannot be read by this release" in order.detail
        async with replica(file) as second:
            while (await order_of(second, gate)).state is OrderState.DUE:
                await asyncio.sleep(1)
        assert len(Note.tried) == 1


async def test_a_gate_that_was_deleted_after_the_claim_has_no_action(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replica(file) as running:
        told_to_the_worker(running, monkeypatch, lambda _gate: None)
        await failed(running)
        await asyncio.sleep(5)
        assert (Note.tried, running.gates._action_worker._jobs) == ([], {})


async def test_a_bug_at_a_result_is_logged_and_the_action_tried_again_after_the_lease(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replica(file) as running:
        settle, bugs = running.gates.outbox.settle, iter([True])

        async def with_a_bug(*asked: Any, **more: Any) -> None:
            if next(bugs, False):
                raise ZeroDivisionError
            await settle(*asked, **more)

        monkeypatch.setattr(running.gates.outbox, "settle", with_a_bug)
        with capture_logs() as logged:
            gate = await failed(running)
            await asyncio.sleep(5)
            assert len(Note.tried) == 1
            await asyncio.sleep(25)
        order = await order_of(running, gate)
        assert (order.state, len(Note.tried)) == (OrderState.DONE, 2)
        bug = [line for line in logged if line["event"] == "action result not stored, internal error"]
        assert [(line["key"], line["error"]) for line in bug] == [(order.key, "ZeroDivisionError()")]


async def test_an_action_that_nobody_carried_out_in_its_time_is_given_up(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rollback hours later would hit whatever was deployed since."""
    monkeypatch.setattr(Note, "act", lambda _order: asyncio.Event().wait())
    settings = config(actions={"back": {"kind": "note", "retry_for": "10m"}})
    first = await start_replica(file, settings)
    gate = await failed(first)
    await first.crash()
    await asyncio.sleep(700)
    tried = len(Note.tried)
    monkeypatch.setattr(Note, "act", always(DONE))
    async with replica(file, settings) as second:
        await asyncio.sleep(30)
        order = await order_of(second, gate)
        assert (order.state, len(Note.tried)) == (OrderState.GIVEN_UP, tried)
        assert order.detail.startswith("too late to begin: ")


async def test_a_stop_while_the_journal_is_away_leaves_an_attempt_to_the_lease(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon ends all the same, says so, and another one makes the attempt."""

    async def away(*_: object) -> None:
        raise JournalError("connection refused")

    monkeypatch.setattr(Note, "act", lambda _order: asyncio.Event().wait())
    first = await start_replica(file, config())
    gate = await failed(first)
    await asyncio.sleep(1)
    monkeypatch.setattr(first.gates.outbox, "let_go", away)
    with capture_logs() as logged:
        await first.stop()
    told = [line for line in logged if line["event"].startswith("actions not released")]
    assert [line["problem"] for line in told] == ["connection refused"]
    monkeypatch.setattr(Note, "act", always(DONE))
    async with replica(file) as second:
        await asyncio.sleep(30)
        assert (await order_of(second, gate)).state is OrderState.DONE
        assert len(Note.tried) == 2


async def test_a_result_comes_to_nothing_where_another_replica_has_claimed_the_action(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a lease that ended while the process was stopped: the other one's result counts, and it is not waited
    with."""

    async def overtaken(_order: ActionRequest) -> ActionResult:
        with sqlite3.connect(file) as other:
            other.execute("UPDATE healthd_orders SET owner = 'other', token = token + 1")
        other.close()
        return DONE

    monkeypatch.setattr(Note, "act", overtaken)
    async with replica(file) as running:
        with capture_logs() as logged:
            gate = await failed(running)
            await asyncio.sleep(3)
        order = await order_of(running, gate)
        assert (order.state, order.tries, len(Note.tried)) == (OrderState.DUE, 0, 1)
        assert running.gates._action_worker._jobs == {}
        told = [line["event"] for line in logged if line.get("key") == order.key]
        assert told == ["action completed by another replica"]
