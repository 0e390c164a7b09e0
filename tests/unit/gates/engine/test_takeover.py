"""Gates that change hands: restarts, crashes, replicas that only seemed dead, a journal that is away."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from healthd.journal.errors import JournalError, JournalGoneError
from healthd_gates.actions.contract import ActionResult, Ending
from healthd_gates.domain import errors as refusals
from healthd_gates.domain.action_order import OrderState
from healthd_gates.domain.evidence import Counts, Evidence
from healthd_gates.domain.gate import EventKind, Gate, GateState, RollbackState
from healthd_gates.domain.request import PushedEvidence
from healthd_gates.domain.standing import Verdict
from healthd_gates.store.gate_update import Change
from tests.fakes import gates
from tests.fakes.gates import (
    Note,
    Replica,
    Script,
    broken,
    config,
    failing,
    healthy,
    later,
    over,
    replica,
    request,
    start_replica,
)
from tests.fakes.monitoring import MIDNIGHT


@pytest.fixture(autouse=True)
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """A take-over within seconds."""
    monkeypatch.setattr(gates, "LEASE", "10s")


async def looks(running: Replica, gate: Gate) -> list[float]:
    """When the gate was looked at, in seconds since its start."""
    events = [event async for event in running.keeper.events(gate.id) if event.kind is EventKind.LOOK]
    return [(event.at - gate.created_at).total_seconds() for event in events]


@contextmanager
def locked_away(file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody can write to the journal meanwhile."""
    monkeypatch.setattr("healthd.journal.engines.BUSY_SECONDS", 0.05)
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        holder.execute("ROLLBACK")
        holder.close()


async def test_a_restart_goes_on_at_once_where_the_gate_stood(file: Path) -> None:
    """What was released on shutdown is taken up without waiting for a lease, and no look is lost."""
    async with replica(file) as running:
        gate = await running.keeper.start(request(), caller="ci")
        await running.keeper.wait(gate.id, 42)
    async with replica(file) as running:
        decided = await running.keeper.wait(gate.id, 600)
        assert decided.decision is not None
        assert decided.decision.verdict is Verdict.PASS
        assert (decided.decision.at - gate.created_at).total_seconds() <= 100
        times = await looks(running, gate)
        assert times == sorted(times)
        assert max(later - sooner for sooner, later in pairwise(times)) <= 10.1


async def test_after_a_crash_a_gate_is_taken_over_within_the_lease(file: Path) -> None:
    """By whoever runs, and the judge knows what was seen before."""
    Script.act = later(45, healthy, broken)
    first = await start_replica(file, config())
    gate = await first.keeper.start(request(), caller="ci")
    await first.keeper.wait(gate.id, 42)
    await first.crash()
    async with replica(file) as second:
        taken = await second.keeper.get(gate.id)
        assert taken.holder != second.gates.replica
        await asyncio.sleep(13)
        assert (await second.keeper.get(gate.id)).holder == second.gates.replica
        decided = await second.keeper.wait(gate.id, 600)
        assert decided.decision is not None
        assert decided.decision.verdict is Verdict.FAIL


async def test_a_gate_that_is_not_in_the_journal_any_more(file: Path) -> None:
    """A backup from before it was brought back: nobody has taken the gate over, and nobody runs it."""
    async with replica(file) as running:
        gate = await running.keeper.start(request(), caller="ci")
        await running.keeper.wait(gate.id, 12)
        with capture_logs() as logged:
            with sqlite3.connect(file) as other:
                other.execute("DELETE FROM healthd_gates WHERE id = ?", (gate.id,))
            other.close()
            await asyncio.sleep(60)
        told = [entry["event"] for entry in logged if entry.get("gate") == gate.id]
    assert told == ["gate not in the journal, no longer run: start it again, or roll back by hand"]


async def test_nobody_takes_a_gate_from_himself(file: Path) -> None:
    """A lease that ended while the journal was slow is no reason to begin all of one's gates anew, again and again."""
    async with replica(file) as running:
        gate = await running.keeper.start(request(), caller="ci")
        running.gates._supervisor._leases._seconds = 0.0
        await running.keeper.wait(gate.id, 42)
        assert running.registry.get_sample_value("healthd_gate_takeovers_total") == 0
        assert await looks_so_far(running, gate) >= 4


async def test_the_end_of_a_rollback_is_told_though_its_replica_died_at_that_moment(file: Path) -> None:
    """By one of those that are left, and once; what a newer gate has made history is not told."""
    Script.act, Note.act = failing, lambda _order: ActionResult(Ending.REFUSED, "403")
    first = await start_replica(file, config())
    for service in ("api", "web"):
        gate = await first.keeper.start(request(service), caller="ci")
        while not (await first.keeper.get(gate.id)).state.is_over:
            await asyncio.sleep(1)
    Script.act = healthy
    await first.keeper.start(request("web", "3.0"), caller="ci")
    await first.crash()
    async with replica(file) as second:
        await asyncio.sleep(60)
        ends = [(before.rollback, after) for before, after in second.steps if after.rollback is not None]
        ((before, told),) = ends
        assert before is None
        assert (told.service, told.rollback and told.rollback.state) == ("api", RollbackState.FAILED)
        labels = {"service": "api", "state": "rollback_failed"}
        at = second.registry.get_sample_value("healthd_gate_last_rollback_timestamp_seconds", labels)
        assert told.finished_at is not None
        assert at == told.finished_at.timestamp()
        assert (
            second.registry.get_sample_value("healthd_gate_rollbacks_total", {**labels, "trigger": "decision"}) is None
        )
        async with replica(file) as third:
            await asyncio.sleep(60)
            assert not third.steps


async def looks_so_far(running: Replica, gate: Gate) -> int:
    events = await running.gates.gate_store.events(gate.id, 0)
    return sum(event.kind is EventKind.LOOK for event in events)


async def test_a_step_that_is_being_stored_is_told_of_though_its_gate_changes_hands(file: Path) -> None:
    """A person who comes at the very moment of a verdict takes the gate over as decided, and people hear of both."""
    async with replica(file) as running:
        gate = await running.keeper.start(request(), caller="ci")
        store, decided = running.gates.gate_store.store, asyncio.Event()

        async def slowly(change: Change) -> int:
            if change.gate.decision is not None and not decided.is_set():
                decided.set()
                await asyncio.sleep(1)
            return await store(change)

        running.gates.gate_store.store = slowly  # type: ignore[method-assign]
        await decided.wait()
        await running.keeper.interventions.cancel(gate.id, caller="ann", reason="enough")
        await asyncio.sleep(5)
        stored = await running.keeper.get(gate.id)
        told = [after for before, after in running.steps if before.decision is None and after.decision is not None]
        assert len(told) == (stored.decision is not None)


async def test_any_replica_answers_for_any_gate(file: Path) -> None:
    """Waiting, the log, cancelling and the cord work on a replica that does not run the gate."""
    async with replica(file) as first, replica(file) as second:
        gate = await first.keeper.start(request(), caller="ci")
        other = await first.keeper.start(request("web"), caller="ci")
        waiting = asyncio.create_task(second.keeper.wait(gate.id, 600))
        following = asyncio.create_task(looks(second, gate))
        cancelled = await second.keeper.interventions.cancel(other.id, caller="ann", reason="x")
        assert cancelled.state is GateState.CANCELLED
        assert (await waiting).decision is not None
        assert len(await following) >= 12
        assert (await first.keeper.wait(other.id, 60)).state is GateState.CANCELLED
        with pytest.raises(refusals.ServiceBusy):
            await asyncio.gather(
                first.keeper.start(request(version="3"), caller="ci"),
                second.keeper.start(request(version="4"), caller="ci"),
            )


async def test_a_replica_that_only_seemed_dead_writes_nothing_more(file: Path) -> None:
    """Its token is outdated: there is one verdict, and one order for the rollback."""
    Script.act = later(60, healthy, broken)
    async with replica(file) as first, replica(file) as second:
        gate = await first.keeper.start(request(), caller="ci")
        first.task.cancel()  # it renews its lease no more, as when its event loop blocked
        await asyncio.sleep(30)
        assert (await second.keeper.get(gate.id)).holder == second.gates.replica
        decided = await second.keeper.wait(gate.id, 600)
        assert gate.id not in first.gates._supervisor
        assert decided.decision is not None
        decisions = [
            event
            for event in await second.gates.gate_store.events(gate.id, after=0)
            if event.kind in (EventKind.DECISION, EventKind.ROLLBACK)
        ]
        assert [event.kind for event in decisions] == [EventKind.DECISION, EventKind.ROLLBACK]
        assert len(await second.gates.outbox.of_gate(gate.id)) == 1


async def test_two_people_at_two_replicas_cancel_and_pull_at_once(file: Path) -> None:
    """One of them is first; the gate has one end."""
    async with replica(file) as first, replica(file) as second:
        gate = await first.keeper.start(request(), caller="ci")
        await asyncio.gather(
            first.keeper.interventions.cancel(gate.id, caller="ann", reason="x"),
            second.keeper.interventions.cancel(gate.id, caller="bob", reason="y"),
            first.keeper.interventions.cancel(gate.id, caller="eve", reason="z"),
        )
        events = await first.gates.gate_store.events(gate.id, after=0)
        assert sum(event.kind is EventKind.STATE for event in events) == 1


async def test_nothing_is_started_while_the_journal_is_away(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal says why, and afterwards there is no trace of the gate."""
    monkeypatch.setattr("healthd.journal.engines.BUSY_SECONDS", 0.05)
    async with replica(file) as running:
        with locked_away(file, monkeypatch), pytest.raises(refusals.JournalUnavailable, match="database is locked"):
            await running.keeper.start(request(), caller="ci")
        assert (await running.keeper.list()).gates == ()
        assert len(running.gates._supervisor) == 0


async def test_a_gate_outlasts_a_journal_that_is_away(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says nothing that is not stored; once the journal is back, what it saw meanwhile counts."""
    monkeypatch.setattr("healthd.journal.engines.BUSY_SECONDS", 0.05)
    Script.act = later(50, healthy, broken)
    async with replica(file) as running:
        gate = await running.keeper.start(request(), caller="ci")
        await running.keeper.wait(gate.id, 48)
        with locked_away(file, monkeypatch):
            assert (await running.keeper.wait(gate.id, 60)).decision is None
        decided = await running.keeper.wait(gate.id, 60)
        assert decided.decision is not None
        assert decided.decision.verdict is Verdict.FAIL


class Counting:
    """A version whose requests are counted by its process: a late look finds all of those since the one before."""

    def __init__(self, rate: float, errors: float, last: float = 0.0) -> None:
        self._rate, self._errors, self._last = rate, errors, last

    def __call__(self, seconds: float) -> Evidence:
        since, self._last = seconds - self._last, seconds
        return Evidence(MIDNIGHT, since, Counts(self._rate * since, self._rate * self._errors * since))


@pytest.mark.usefixtures("short_lease")
async def test_what_ended_while_the_journal_was_away_is_not_done_again(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its replica, which could prolong no claim, stores the result once it can; another one leaves it the time."""
    monkeypatch.setattr("healthd_gates.engine.action_worker._JOURNAL_PAUSE", 5.0)

    async def away(*_: object) -> frozenset[str]:
        raise JournalError("connection refused")

    async def slow() -> ActionResult:
        await asyncio.sleep(8)
        return ActionResult(Ending.DONE, "put back")

    Script.act, Note.act = broken, lambda _order: slow()
    async with replica(file) as first, replica(file) as second:
        gate = await first.keeper.start(request(), caller="ci")
        while not Note.tried:
            await asyncio.sleep(0.1)
        (owner,) = [each for each in (first, second) if each.gates._action_worker._jobs]
        monkeypatch.setattr(owner.gates.outbox, "hold", away)  # the other one reaches the journal first
        with locked_away(file, monkeypatch):
            await asyncio.sleep(37)
        await over(second, gate)
        assert len(Note.tried) == 1
        (order,) = await second.gates.outbox.of_gate(gate.id)
        assert (order.state, order.cut_off) == (OrderState.DONE, 0)


@pytest.mark.parametrize("away", [20, 50, 100])
async def test_harm_is_proven_however_long_the_journal_is_away(
    file: Path, monkeypatch: pytest.MonkeyPatch, away: float
) -> None:
    """It looks on meanwhile, and what it saw is stored look by look once the journal is back."""
    monkeypatch.setattr("healthd.journal.engines.BUSY_SECONDS", 0.05)
    Script.act = Counting(47, 0.293)
    quick = {"initial_delay": "5s", "observe": {"min": "30s", "max": "1m"}}
    async with replica(file, config(policy=quick)) as running:
        gate = await running.keeper.start(request(), caller="ci")
        await running.keeper.wait(gate.id, 7)
        asked = Script.asked
        with locked_away(file, monkeypatch):
            await asyncio.sleep(away)
        assert Script.asked >= asked + 3
        decided = await running.keeper.wait(gate.id, 60)
        assert decided.decision is not None
        assert decided.decision.verdict is Verdict.FAIL, decided.decision.sentence
        assert decided.decision.at <= gate.created_at + timedelta(seconds=30), "with what it saw meanwhile"
        kept = await running.gates.gate_store.evidence(gate.id, "gate")
        assert max(each.seconds for each in kept) < 10


async def test_a_person_who_is_refused_while_the_journal_is_away_costs_no_evidence(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gate goes on with what it has seen: the order to cancel it, which could not be stored, had ended it here."""
    monkeypatch.setattr("healthd.journal.engines.BUSY_SECONDS", 0.05)
    Script.act = Counting(47, 0.293)
    quick = {"initial_delay": "5s", "observe": {"min": "30s", "max": "1m"}}
    async with replica(file, config(policy=quick)) as running:
        gate = await running.keeper.start(request(), caller="ci")
        await running.keeper.wait(gate.id, 7)
        with locked_away(file, monkeypatch):
            await asyncio.sleep(20)
            with pytest.raises(refusals.JournalUnavailable):
                await running.keeper.interventions.cancel(gate.id, caller="ann", reason="it takes so long")
            assert gate.id in running.gates._supervisor
            await asyncio.sleep(5)
        decided = await running.keeper.wait(gate.id, 60)
        assert decided.decision is not None
        assert decided.decision.verdict is Verdict.FAIL, decided.decision.sentence
        assert decided.decision.at <= gate.created_at + timedelta(seconds=35), "with what it saw meanwhile"


async def test_a_healthy_version_passes_as_if_the_journal_had_not_been_away(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("healthd.journal.engines.BUSY_SECONDS", 0.05)
    Script.act = Counting(200, 0.0)
    async with replica(file) as running:
        gate = await running.keeper.start(request(), caller="ci")
        await running.keeper.wait(gate.id, 18)
        with locked_away(file, monkeypatch):
            await asyncio.sleep(50)
        decided = await running.keeper.wait(gate.id, 60)
        assert decided.decision is not None
        assert decided.decision.verdict is Verdict.PASS
        kept = await running.gates.gate_store.evidence(gate.id, "gate")
        seen, lasted = sum(each.seconds for each in kept), (decided.decision.at - gate.created_at).total_seconds()
        assert seen == pytest.approx(lasted, abs=6), "no time is missing, and none counted twice"


async def test_what_was_seen_of_a_gate_that_changed_hands_meanwhile_is_thrown_away(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica that is cut off from the journal proves harm, which the other one has decided by then: nothing is
    decided or ordered twice, and the one that was cut off drops the gate."""
    Script.act = later(30, healthy, broken)
    async with replica(file) as first, replica(file) as second:
        gate = await first.keeper.start(request(), caller="ci")
        await first.keeper.wait(gate.id, 33)
        store = first.gates.gate_store.store
        cut_off = True

        async def unreachable(change: Change) -> int:
            if cut_off:
                raise JournalError("connection refused")
            return await store(change)

        monkeypatch.setattr(first.gates.gate_store, "store", unreachable)
        first.task.cancel()
        decided = await second.keeper.wait(gate.id, 600)
        assert (decided.holder, decided.decision and decided.decision.verdict) == (second.gates.replica, Verdict.FAIL)
        await asyncio.sleep(60)
        assert gate.id in first.gates._supervisor
        cut_off = False
        await asyncio.sleep(10)
        assert gate.id not in first.gates._supervisor
        assert not [after for before, after in first.steps if before.decision != after.decision]
        events = await second.gates.gate_store.events(gate.id, after=0)
        assert [event.kind for event in events if event.kind is EventKind.DECISION] == [EventKind.DECISION]
        assert len(await second.gates.outbox.of_gate(gate.id)) == 1


async def test_a_journal_that_is_away_for_long_costs_no_more_memory(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many looks are kept; what comes after them is one report, and its time is given back."""
    monkeypatch.setattr("healthd.journal.engines.BUSY_SECONDS", 0.05)
    monkeypatch.setattr("healthd_gates.engine.backlog.MOST", 4)
    Script.act = Counting(1000, 0.0)
    async with replica(file) as running:
        gate = await running.keeper.start(request(), caller="ci")
        await running.keeper.wait(gate.id, 17)
        asked = Script.asked
        with locked_away(file, monkeypatch):
            await asyncio.sleep(100)
        assert Script.asked <= asked + 6
        Script.act = Counting(47, 0.293, 117)
        decided = await running.keeper.wait(gate.id, 120)
        assert decided.decision is not None
        assert decided.decision.verdict is Verdict.FAIL, decided.decision.sentence
        kept = await running.gates.gate_store.evidence(gate.id, "gate")
        assert sum(each.seconds > 10 for each in kept) == 1


async def test_a_watch_is_not_over_before_what_it_saw_is_stored(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Harm that begins while the journal is away, at the end of the watch, is rolled back."""
    monkeypatch.setattr("healthd.journal.engines.BUSY_SECONDS", 0.05)
    async with replica(file, config(policy={"watch": "1m"})) as running:
        gate = await running.keeper.start(request(), caller="ci")
        passed = await running.keeper.wait(gate.id, 300)
        assert passed.watch_until is not None
        Script.act = healthy
        await asyncio.sleep((passed.watch_until - passed.decision.at).total_seconds() - 12 if passed.decision else 0)
        with locked_away(file, monkeypatch):
            await asyncio.sleep(3)
            Script.act = failing
            await asyncio.sleep(30)
        await asyncio.sleep(10)
        ended = await running.keeper.get(gate.id)
        assert ended.rollback is not None


async def test_a_gate_of_pushes_waits_for_the_journal_that_takes_them(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No push is taken meanwhile, so that there is nothing to look at: silence of the journal's is none of the
    candidate's."""
    monkeypatch.setattr("healthd.journal.engines.BUSY_SECONDS", 0.05)
    async with replica(file, config(service={"source": {"kind": "push"}})) as running:
        gate = await running.keeper.start(request(), caller="ci")

        async def push(number: int) -> None:
            pushed = {"id": str(number), "candidate": {"requests": 1000, "errors": 0}}
            await running.keeper.push(gate.id, PushedEvidence.model_validate(pushed), caller="lb")

        for number in range(6):
            await push(number)
            await asyncio.sleep(5)
        with locked_away(file, monkeypatch):
            await asyncio.sleep(100)
        assert await looks_so_far(running, gate) <= 9
        for number in range(6, 60):
            if (decided := await running.keeper.get(gate.id)).decision is not None:
                break
            await push(number)
            await asyncio.sleep(5)
        assert decided.decision is not None
        assert decided.decision.verdict is Verdict.PASS, decided.decision.sentence


async def test_a_daemon_that_stops_while_its_journal_is_away_judges_on_at_its_next_start(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon stops while a write waits; the next start judges from what was stored."""
    monkeypatch.setattr("healthd.journal.engines.BUSY_SECONDS", 0.05)
    Script.act = Counting(47, 0.293)
    quick = config(policy={"initial_delay": "5s", "observe": {"min": "30s", "max": "1m"}})
    first = await start_replica(file, quick)
    gate = await first.keeper.start(request(), caller="ci")
    await first.keeper.wait(gate.id, 7)
    with locked_away(file, monkeypatch):
        await asyncio.sleep(12)
        await first.stop()
    await asyncio.sleep(50)
    async with replica(file, quick) as second:
        decided = await second.keeper.wait(gate.id, 120)
        assert decided.decision is not None
        assert decided.decision.verdict is Verdict.FAIL, decided.decision.sentence


async def test_the_daemon_can_start_before_its_journal(tmp_path: Path) -> None:
    """Until it is there gates are refused; then they are taken."""
    folder = tmp_path / "later"
    folder.write_text("in the way")
    running = await start_replica(folder / "journal.db", config(), opened=False)
    with pytest.raises(refusals.JournalUnavailable):
        await running.keeper.start(request(), caller="ci")
    folder.unlink()
    await asyncio.sleep(31)  # and not at the moment at which it is tried again
    assert (await running.keeper.start(request(), caller="ci")).sequence == 1
    await running.stop()


async def test_a_replica_takes_over_no_more_gates_than_it_may_run(file: Path) -> None:
    """The others are left to other replicas, or until there is room."""
    first = await start_replica(file, config())
    for service in ("api", "web"):
        await first.keeper.start(request(service), caller="ci")
    await first.crash()
    async with replica(file, config(gates={"lease_duration": "10s", "max_running": 1})) as second:
        await asyncio.sleep(30)
        (taken,) = second.gates._supervisor.gates()
        await second.keeper.interventions.cancel(taken.id, caller="ann", reason="make room")
        await asyncio.sleep(30)
        (other,) = second.gates._supervisor.gates()
        assert {taken.service, other.service} == {"api", "web"}


@pytest.mark.parametrize(("silence", "told"), [(60, 1), (600, 0)])
async def test_good_news_of_a_replica_that_died_are_told_for_a_moment_alone(
    file: Path, silence: float, told: int
) -> None:
    """A rollback that worked ten minutes ago is no news; one that failed is for a day."""
    Script.act, Note.act = failing, lambda _order: ActionResult(Ending.RETRY, "503")
    first = await start_replica(file, config())
    gate = await first.keeper.start(request(), caller="ci")
    await first.keeper.wait(gate.id, 600)
    await first.keeper.interventions.give_up(gate.id, caller="ann", reason="by hand", done=True)
    await first.crash()
    await asyncio.sleep(silence)
    async with replica(file) as second:
        await asyncio.sleep(40)
        ends = [after.rollback.state for _, after in second.steps if after.rollback is not None]
        assert ends == [RollbackState.ROLLED_BACK] * told


async def test_a_journal_whose_file_is_gone_is_counted_and_not_told_again(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal itself has logged that; that it is back is told."""
    async with replica(file) as running:
        await asyncio.sleep(1)
        leases = running.gates._supervisor._leases
        renew = leases.renew

        async def gone() -> bool:
            raise JournalGoneError("the journal was taken away")

        monkeypatch.setattr(leases, "renew", gone)
        with capture_logs() as logged:
            await asyncio.sleep(8)
            monkeypatch.setattr(leases, "renew", renew)
            await asyncio.sleep(8)
        assert running.registry.get_sample_value("healthd_journal_errors_total") == 3
        assert [line["event"] for line in logged if "journal" in line["event"]] == ["gate journal available again"]
