"""Gates that nobody would run: a row that cannot be read, a task that is gone, a lease from a clock that was ahead."""

import asyncio
import json
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from healthd_gates.actions.contract import ActionResult, Ending
from healthd_gates.domain import errors as refusals
from healthd_gates.domain.gate import RollbackState
from healthd_gates.domain.standing import Verdict
from tests.fakes import gates
from tests.fakes.gates import Note, Script, broken, config, healthy, replica, request, start_replica
from tests.fakes.monitoring import LoopClock


@pytest.fixture(autouse=True)
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """A take-over within seconds."""
    monkeypatch.setattr(gates, "LEASE", "10s")


def read(file: Path, sql: str, *values: object) -> Any:
    """The first value; what the statement changes is kept."""
    with sqlite3.connect(file) as other:
        row = other.execute(sql, values).fetchone()
    other.close()
    return row and row[0]


def with_a_field_more(file: Path, gate_id: str, column: str) -> str:
    document = json.loads(read(file, f"SELECT {column} FROM healthd_gates WHERE id = ?", gate_id))
    return json.dumps({**document, "of_a_newer_release": 1})


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        ("state", "pausing", False),
        ("request", None, True),
        ("policy_body", None, True),
        ("standing", '{"it": {"criteria": [{"finding": "unheard of"}]}}', False),
        ("cursor", "{broken", True),
        ("created_at", "yesterday", False),
    ],
)
async def test_a_row_of_another_release_costs_its_own_gate_alone(
    file: Path, column: str, value: str | None, shown: bool
) -> None:
    """It is left as it is, told once and counted; all others are judged, listed and started."""
    first = await start_replica(file, config())
    gate = await first.keeper.start(request("api"), caller="ci")
    other = await first.keeper.start(request("web"), caller="ci")
    await first.keeper.wait(other.id, 42)
    await first.crash()
    value = value or with_a_field_more(file, gate.id, column)
    read(file, f"UPDATE healthd_gates SET {column} = ? WHERE id = ?", value, gate.id)
    owner = read(file, "SELECT owner FROM healthd_gates WHERE id = ?", gate.id)
    with capture_logs() as logged:
        async with replica(file) as second:
            decided = await second.keeper.wait(other.id, 600)
            assert decided.decision is not None
            assert decided.decision.verdict is Verdict.PASS
            page = await second.keeper.list()
            assert page.unreadable == (() if shown else (gate.id,))
            assert {each.id for each in page.gates} == ({other.id, gate.id} if shown else {other.id})
            if not shown:
                with pytest.raises(refusals.JournalUnavailable, match=gate.id):
                    await second.keeper.get(gate.id)
            assert second.registry.get_sample_value("healthd_gates_unreadable") == 1
            await second.keeper.start(request("web", "3.0"), caller="ci")
            if column == "policy_body":
                with pytest.raises(refusals.ServiceBusy, match=gate.id):
                    await second.keeper.start(request("api", "3.0"), caller="ci")
                with pytest.raises(refusals.JournalUnavailable, match=gate.id):
                    await second.keeper.rehearse(gate.id)
    told = [line for line in logged if line["log_level"] == "error"]
    assert [line["gate"] for line in told] == [gate.id]
    assert "cannot be read by this release" in told[0]["problem"]
    assert read(file, "SELECT owner FROM healthd_gates WHERE id = ?", gate.id) == owner


async def test_a_gate_whose_task_is_gone_is_taken_back(file: Path) -> None:
    """The journal says that it runs here: within two leases it does."""
    async with replica(file) as running:
        gate = await running.keeper.start(request(), caller="ci")
        await running.keeper.wait(gate.id, 42)
        running.gates._supervisor._running[gate.id].task.cancel()
        await asyncio.sleep(1)
        assert gate.id not in running.gates._supervisor
        with capture_logs() as logged:
            await asyncio.sleep(20)
        assert gate.id in running.gates._supervisor
        assert [line["gate"] for line in logged if line["log_level"] == "error"] == [gate.id]
        decided = await running.keeper.wait(gate.id, 600)
        assert decided.decision is not None
        assert decided.decision.verdict is Verdict.PASS


async def test_a_table_that_is_away_for_a_while_leaves_nobody_alone(file: Path) -> None:
    """As after rights that were taken and given back: gates go on, and what was pushed meanwhile was refused."""
    Script.act = broken
    async with replica(file) as running:
        gate = await running.keeper.start(request(), caller="ci")
        await running.keeper.wait(gate.id, 32)
        read(file, "ALTER TABLE healthd_gates RENAME TO elsewhere")
        await asyncio.sleep(60)
        with pytest.raises(refusals.JournalUnavailable, match="no such table"):
            await running.keeper.get("0" * 32)
        read(file, "ALTER TABLE elsewhere RENAME TO healthd_gates")
        decided = await running.keeper.wait(gate.id, 120)
        assert decided.decision is not None
        assert decided.decision.verdict is Verdict.FAIL


async def test_what_a_clock_that_was_ahead_has_written_holds_nobody_up(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is killed with a rollback under way, the clock put right: within the lease all goes on."""
    ahead = LoopClock()
    ahead.wall = timedelta(hours=1)
    Script.act = broken
    first = await start_replica(file, config(), ahead)
    failed = await first.keeper.start(request("api"), caller="ci")
    decided = await first.keeper.wait(failed.id, 600)
    assert decided.decision is not None
    Script.act = healthy
    running = await first.keeper.start(request("web"), caller="ci")

    def tries() -> int:
        return sum(order.gate.id == failed.id for order in Note.tried)

    await first.keeper.wait(running.id, 40)
    await first.crash()
    tried = tries()
    assert tried
    monkeypatch.setattr(Note, "act", lambda _order: ActionResult(Ending.DONE, "done"))
    async with replica(file) as second:
        await asyncio.sleep(15)
        assert tries() == tried + 1
        assert running.id in second.gates._supervisor
        again = await second.keeper.wait(running.id, 600)
        assert again.decision is not None
        ended = await second.keeper.get(failed.id)
        assert ended.rollback is not None
        assert ended.rollback.state is not RollbackState.DUE


@pytest.mark.parametrize("column", ["state", "policy_body"])
async def test_a_gate_whose_task_is_gone_and_whose_row_cannot_be_read_is_left(file: Path, column: str) -> None:
    """It is told once, however often it is looked at, and not called restarted."""
    async with replica(file) as running:
        gate = await running.keeper.start(request(), caller="ci")
        await running.keeper.wait(gate.id, 42)
        running.gates._supervisor._running[gate.id].task.cancel()
        value = "pausing" if column == "state" else with_a_field_more(file, gate.id, column)
        read(file, f"UPDATE healthd_gates SET {column} = ? WHERE id = ?", value, gate.id)
        with capture_logs() as logged:
            await asyncio.sleep(40)
        told = [line["event"] for line in logged if line["log_level"] == "error"]
        assert told == ["gate unreadable, left unchanged"]
        assert running.gates._supervisor.unreadable == {gate.id}


async def test_a_gate_that_is_deleted_while_it_is_to_be_taken_back_was_not_restarted(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replica(file) as running:

        async def mine() -> set[str]:
            return {"gone"}

        monkeypatch.setattr(running.gates._supervisor._leases, "mine", mine)
        with capture_logs() as logged:
            await asyncio.sleep(40)
        assert [line for line in logged if line["log_level"] == "error"] == []
        assert len(running.gates._supervisor) == 0
