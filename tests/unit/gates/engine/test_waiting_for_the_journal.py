"""A gate whose runner the journal fails at one call: it goes on as stored, or leaves the gate to whoever has it."""

import asyncio
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from healthd.journal.errors import JournalError
from healthd_gates.actions.contract import ActionResult, Ending
from healthd_gates.domain.evidence import Counts
from healthd_gates.domain.gate import Gate, GateState, RollbackState
from healthd_gates.domain.request import Version
from healthd_gates.domain.standing import Verdict
from healthd_gates.sources.contract import Cursor, Look
from tests.fakes.gates import Note, Replica, Script, Scripted, config, failing, over, replica, request, unreachable
from tests.unit.gates.engine.test_ramp import World, live, ramping
from tests.unit.gates.engine.test_ramp import request as with_a_baseline
from tests.unit.gates.engine.test_rollback import DONE, always
from tests.unit.gates.engine.test_takeover import locked_away

NOTE = {"kind": "note"}


async def rolling_back(running: Replica) -> Gate:
    """A gate whose action is tried again and again."""
    Script.act, Note.act = failing, always(ActionResult(Ending.RETRY, "503"))
    started = await running.keeper.start(request(), caller="ci")
    gate = await running.keeper.wait(started.id, 600)
    await asyncio.sleep(1)
    return gate


def fail_once(running: Replica, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Refuse the next look at the outbox; the event is set then."""
    of_gate, failed = running.gates.outbox.of_gate, asyncio.Event()

    async def refused(gate_id: str) -> Any:
        if not failed.is_set():
            failed.set()
            raise JournalError("connection refused")
        return await of_gate(gate_id)

    monkeypatch.setattr(running.gates.outbox, "of_gate", refused)
    return failed


async def test_a_journal_that_stays_away_is_told_once_and_the_gate_goes_on(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replica(file) as running:
        gate = await rolling_back(running)
        leases, again = running.gates._supervisor._leases, iter([True, True])
        recall = leases.recall

        async def at_times(*asked: Any) -> Any:
            if next(again, False):
                raise JournalError("connection refused")
            return await recall(*asked)

        monkeypatch.setattr(leases, "recall", at_times)
        with capture_logs() as logged:
            await fail_once(running, monkeypatch).wait()
            await asyncio.sleep(20)
        told = [line for line in logged if line["event"] == "gate waiting for the journal"]
        assert [(line["gate"], line["problem"]) for line in told] == [(gate.id, "connection refused")]
        assert running.registry.get_sample_value("healthd_journal_errors_total") == 3
        Note.act = always(DONE)
        ended = await over(running, gate)
        assert ended.rollback is not None
        assert ended.rollback.state is RollbackState.UNCONFIRMED


async def test_a_gate_that_is_gone_once_the_journal_is_back_is_run_no_longer(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup from before it was brought back."""
    async with replica(file) as running:
        gate = await rolling_back(running)
        with capture_logs() as logged:
            await fail_once(running, monkeypatch).wait()
            with sqlite3.connect(file) as other:
                other.execute("DELETE FROM healthd_gates WHERE id = ?", (gate.id,))
            other.close()
            await asyncio.sleep(10)
        assert gate.id not in running.gates._supervisor
        told = [line["event"] for line in logged if line["log_level"] == "error" and line.get("gate") == gate.id]
        assert told == ["gate not in the journal, no longer run: start it again, or roll back by hand"]


async def test_a_gate_that_another_replica_has_by_then_is_left_to_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replica(file) as first, replica(file) as second:
        gate = await rolling_back(first)
        with capture_logs() as logged:
            await fail_once(first, monkeypatch).wait()
            await second.keeper.interventions.put_back(gate.id, caller="ann", reason="by hand")
            await asyncio.sleep(10)
        assert gate.id not in first.gates._supervisor
        assert [line for line in logged if line["log_level"] == "error"] == []
        stored = await second.keeper.get(gate.id)
        assert (stored.holder, stored.state) == (second.gates.replica, GateState.FINISHED)


async def test_a_source_that_comes_while_the_journal_is_away_costs_no_look_before_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its starting point, which says nothing of the candidate, does not take the place of what waits to be stored."""
    observe, looks = Scripted.observe, list[datetime]()

    async def at_last(source: Scripted, since: Cursor | None) -> Look:
        looks.append(source._clock.now())
        if len(looks) <= 5:
            unreachable(0.0)
        return await observe(source, since)

    monkeypatch.setattr(Scripted, "observe", at_last)
    async with replica(file) as running:
        gate = await running.keeper.start(request(), caller="ci")
        await running.keeper.wait(gate.id, 7)
        with locked_away(file, monkeypatch):
            await asyncio.sleep(35)
        decided = await running.keeper.wait(gate.id, 300)
        assert decided.decision is not None
        assert decided.decision.verdict is Verdict.PASS
        kept = await running.gates.gate_store.evidence(gate.id, "gate")
        assert [each.at for each in kept] == [*looks[:5], *looks[6:]]


async def test_no_weight_follows_one_of_which_the_journal_does_not_say_whether_it_is_done(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is judged meanwhile, and widened once that is known."""
    world = World()
    live(world, monkeypatch)
    async with replica(file, ramping()) as running:
        gate = await running.keeper.start(with_a_baseline(), caller="ci")
        while not world.set:
            await asyncio.sleep(0.1)
        of_gate = running.gates.outbox.of_gate

        async def away(_gate_id: str) -> Any:
            raise JournalError("connection refused")

        monkeypatch.setattr(running.gates.outbox, "of_gate", away)
        await asyncio.sleep(12)
        weights, asked = list(world.set), Script.asked
        await asyncio.sleep(30)
        assert world.set == weights
        assert Script.asked >= asked + 5
        monkeypatch.setattr(running.gates.outbox, "of_gate", of_gate)
        decided = await running.keeper.wait(gate.id, 7200)
        assert decided.decision is not None
        assert decided.decision.verdict is Verdict.PASS
        assert world.set[-1] == 1.0


@pytest.mark.parametrize("goes_back", [True, False])
async def test_no_gate_passes_by_what_was_before_the_journal_went_away(
    file: Path, monkeypatch: pytest.MonkeyPatch, goes_back: bool
) -> None:
    """Its verdict waited for the journal, and its deploy tool, which could not tell it, has put the traffic back."""
    moved = False

    def divided(_seconds: float) -> tuple[Counts, Counts]:
        return (Counts(0, 0), Counts(1000, 0)) if moved else (Counts(1000, 0), Counts(5, 0))

    Script.act, Note.act = divided, always(DONE)
    configuration = config(
        policy={"exposure": "all"}, service={"on_pass": ["promote"]}, actions={"back": NOTE, "promote": NOTE}
    )
    async with replica(file, configuration) as running:
        gate = await running.keeper.start(request(baseline=Version(version="1.0")), caller="ci")
        await running.keeper.wait(gate.id, 62)
        with locked_away(file, monkeypatch):
            await asyncio.sleep(150)
            moved = goes_back
            await asyncio.sleep(30)
        decided = await running.keeper.wait(gate.id, 600)
        assert decided.decision is not None
        assert (decided.decision.verdict is Verdict.PASS) is not goes_back, decided.decision.sentence
        await over(running, gate)
        await asyncio.sleep(10)
        promoted = any(tried.action == "promote" for tried in Note.tried)
        assert promoted is not goes_back


async def test_a_pass_that_could_not_be_stored_in_time_is_looked_at_anew(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal went away between the look and the write of its verdict."""
    Script.act, Note.act = (lambda _: (Counts(1000, 0), Counts(0, 0))), always(DONE)
    async with replica(file, config(policy={"exposure": "all"})) as running:
        store, refused = running.gates.gate_store.store, list[float]()

        async def away(change: Any) -> int:
            now = asyncio.get_running_loop().time()
            if change.gate.decision is not None and (not refused or now - refused[0] < 60):
                refused.append(now)
                raise JournalError("connection refused")
            return await store(change)

        monkeypatch.setattr(running.gates.gate_store, "store", away)
        gate = await running.keeper.start(with_a_baseline(), caller="ci")
        while not refused:
            assert not (await running.keeper.wait(gate.id, 1)).is_answered
        Script.act = lambda _: (Counts(0, 0), Counts(1000, 0))
        decided = await running.keeper.wait(gate.id, 3600)
        assert decided.decision is not None
        assert decided.decision.verdict is Verdict.INCONCLUSIVE
        assert len(refused) > 1


async def test_no_gate_passes_by_a_verdict_that_waited_for_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which went away just before it, with everything from before stored; its deploy tool has put the traffic back."""
    moved = False

    def divided(_seconds: float) -> tuple[Counts, Counts]:
        return (Counts(0, 0), Counts(1000, 0)) if moved else (Counts(1000, 0), Counts(5, 0))

    Script.act, Note.act = divided, always(DONE)
    configuration = config(
        policy={"exposure": "all"}, service={"on_pass": ["promote"]}, actions={"back": NOTE, "promote": NOTE}
    )
    asked = request(baseline=Version(version="1.0"))
    async with replica(tmp_path / "well.db", configuration) as running:
        gate = await running.keeper.start(asked, caller="ci")
        decided = (await running.keeper.wait(gate.id, 600)).decision
        assert decided is not None
        assert decided.verdict is Verdict.PASS
        takes = (decided.at - gate.created_at).total_seconds()
        await over(running, gate)
    Note.tried.clear()
    async with replica(tmp_path / "away.db", configuration) as running:
        gate = await running.keeper.start(asked, caller="ci")
        await running.keeper.wait(gate.id, takes - 2.5)  # between the last two looks
        with locked_away(tmp_path / "away.db", monkeypatch):
            await asyncio.sleep(10)
            moved = True
            await asyncio.sleep(60)
        decided = (await running.keeper.wait(gate.id, 600)).decision
        assert decided is not None
        assert decided.verdict is not Verdict.PASS, decided.sentence
        await over(running, gate)
        await asyncio.sleep(10)
        assert [tried.action for tried in Note.tried] == ["back"]
