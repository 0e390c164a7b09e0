"""Two callers at one replica who take a gate over at the same moment."""

import asyncio
from pathlib import Path

import pytest

from healthd.journal.errors import JournalError
from healthd_gates.store.gate_update import Change
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
