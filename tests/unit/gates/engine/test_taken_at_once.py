"""Two callers at one replica who take a gate over at the same moment."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from healthd.journal.errors import JournalError
from healthd_gates.domain.errors import JournalUnavailable
from healthd_gates.domain.gate import RollbackState
from healthd_gates.store.gate_update import Change, LeaseLost
from tests.fakes.gates import Replica, replica, request


def tasks_of(gate_id: str) -> int:
    """Return how many tasks run the gate."""
    return sum(task.get_name() == f"gate:{gate_id}" for task in asyncio.all_tasks())


def hold_up_the_first(running: Replica, *, fails: bool) -> None:
    """Let the first rollback reach the journal a second later than the next one, or not at all."""
    store, first = running.gates.gate_store.store, iter([True])

    async def slowly(change: Change) -> int:
        if change.gate.rollback is not None and next(first, False):
            await asyncio.sleep(1)
            if fails:
                raise JournalError("connection refused")
        return await store(change)

    running.gates.gate_store.store = slowly  # type: ignore[method-assign]


@pytest.mark.parametrize("fails", [False, True], ids=["too late", "its connection broke"])
async def test_the_gate_runs_once_as_the_last_one_left_it(file: Path, *, fails: bool) -> None:
    """Whoever lost it leaves what runs by now alone, whatever became of the step."""
    async with replica(file) as running:
        gate = await running.keeper.start(request(), caller="ci")
        await running.keeper.wait(gate.id, 12)
        hold_up_the_first(running, fails=fails)
        calls = (running.keeper.interventions.rollback(gate.id, caller=who, reason="x") for who in ("ann", "bob"))
        await asyncio.gather(*calls, return_exceptions=True)
        runs = running.gates._supervisor.gate(gate.id)
        assert runs is not None
        assert runs.rollback is not None
        assert runs.rollback.by == "bob"
        assert tasks_of(gate.id) == 1


def refuse_with(running: Replica, error: Exception, times: int) -> list[Change]:
    """Refuse so many changes; return those that were tried."""
    store, tried = running.gates.gate_store.store, list[Change]()

    async def refused(change: Change) -> int:
        tried.append(change)
        if len(tried) <= times:
            raise error
        return await store(change)

    running.gates.gate_store.store = refused  # type: ignore[method-assign]
    return tried


async def test_a_service_that_is_free_again_by_now_is_rolled_back(file: Path) -> None:
    """The gate that held it as this one was to hold it again has ended before anybody could name it."""
    async with replica(file) as running:
        gate = await running.keeper.start(request(), caller="ci")
        await running.keeper.wait(gate.id, 600)
        refuse_with(running, IntegrityError("UPDATE", {}, sqlite3.IntegrityError("UNIQUE constraint failed")), 1)
        pulled = await running.keeper.interventions.rollback(gate.id, caller="ann", reason="customers call")
        assert pulled.rollback is not None
        assert pulled.rollback.state is RollbackState.DUE
        assert tasks_of(gate.id) == 1


async def test_who_loses_a_gate_again_and_again_is_refused(file: Path) -> None:
    """Instead of tugging at it for ever."""
    async with replica(file) as running:
        gate = await running.keeper.start(request(), caller="ci")
        await running.keeper.wait(gate.id, 600)
        tried = refuse_with(running, LeaseLost(), 99)
        with pytest.raises(JournalUnavailable, match="too many callers change this gate at once"):
            await running.keeper.interventions.rollback(gate.id, caller="ann", reason="customers call")
        assert len(tried) == 5
