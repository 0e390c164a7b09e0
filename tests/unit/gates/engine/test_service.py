"""What callers may ask, and when the answer is no."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from healthd.config.window import Window
from healthd.journal import tables
from healthd.journal.windows import WindowStore
from healthd.monitoring.board import Board
from healthd.monitoring.windows import Windows
from healthd_gates.domain import errors as refusals
from healthd_gates.domain.gate import Gate, GateState
from healthd_gates.domain.request import Deployment, Override, PushedCounts, PushedEvidence, Version
from healthd_gates.domain.standing import Verdict
from healthd_gates.store import tables as gate_tables
from healthd_gates.store.admission import Admission
from tests.fakes.gates import Replica, Script, broken, config, failing, replica, request, silent
from tests.fakes.monitoring import MIDNIGHT, LoopClock

PUSHED = PushedEvidence(id="1", candidate=PushedCounts(requests=10, errors=0))
BOTH = {"compare": {"to": "concurrent"}, "kind": "error_rate"}


async def start(running: Replica, service: str = "api", version: str = "2.0", **asked: object) -> Gate:
    return await running.keeper.start(request(service, version, **asked), caller="ci")


async def audited(running: Replica) -> list[tuple[str, str, str]]:
    """Who did what to what, in order."""
    async with running.database.read() as connection:
        table = tables.audit
        rows = await connection.execute(sa.select(table.c.caller, table.c.action, table.c.subject).order_by(table.c.id))
        return [(row.caller, row.action, row.subject) for row in rows]


async def test_what_is_not_configured_is_refused(file: Path) -> None:
    """With what there is instead."""
    async with replica(file) as running:
        with pytest.raises(refusals.UnknownService, match=r"'shop'; there are: api, web"):
            await start(running, "shop")
        with pytest.raises(refusals.UnknownPolicy, match="'none'; there are: analysis, batch"):
            await start(running, policy="none")
        with pytest.raises(refusals.InvalidRequest, match=r"candidate\.target: no target is called 'green'"):
            await running.keeper.start(
                request().model_copy(update={"candidate": Version(version="2", target="green")}), caller="ci"
            )
        with pytest.raises(refusals.UnknownGate):
            await running.keeper.get("0" * 32)


async def test_a_policy_that_compares_needs_a_baseline(file: Path) -> None:
    """Named before anything is started."""
    async with replica(file, config(policy={"criteria": [BOTH]})) as running:
        with pytest.raises(refusals.InvalidRequest, match="baseline: policy quick compares"):
            await start(running)
        assert (await start(running, baseline=Version(version="1.9"))).baseline is not None


async def test_a_target_is_asked_for_where_there_are_several(file: Path) -> None:
    """Smoke requests must go to the candidate and to nobody else."""
    smoke = {"kind": "smoke", "requests": [{"get": "/health"}]}
    two = config(policy={"criteria": [smoke]}, service={"targets": {"blue": "http://a", "green": "http://b"}})
    async with replica(file, two) as running:
        with pytest.raises(
            refusals.InvalidRequest, match=r"candidate\.target: say which target .* one of: blue, green"
        ):
            await start(running)


async def test_one_gate_a_service(file: Path) -> None:
    """The second caller learns who holds the service and until when; another service is free."""
    async with replica(file) as running:
        first = await start(running)
        with pytest.raises(refusals.ServiceBusy) as refused:
            await start(running, version="3.0")
        assert refused.value.fields["gate_id"] == first.id
        assert refused.value.fields["until"] == first.decides_by
        assert (await start(running, "web")).service == "web"
        await running.keeper.wait(first.id, 600)
        assert (await start(running, version="3.0")).service == "api"


async def test_callers_at_the_same_moment_get_one_gate_between_them(file: Path) -> None:
    """All but one are refused."""
    async with replica(file) as running:
        asked = [start(running, version=f"{n}.0") for n in range(8)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(isinstance(answer, Gate) for answer in answers) == 1
        assert sum(isinstance(answer, refusals.ServiceBusy) for answer in answers) == 7


async def test_the_same_key_gives_the_same_gate(file: Path) -> None:
    """Also at the same moment, after the verdict, and after a restart; the keys of two callers are not the same."""
    asked = request(deployment=Deployment(id="42"))
    async with replica(file) as running:
        first, again = await asyncio.gather(
            running.keeper.start(asked, caller="ci", idempotency_key="run-42"),
            running.keeper.start(asked, caller="ci", idempotency_key="run-42"),
        )
        assert first.id == again.id
        with pytest.raises(refusals.ServiceBusy):
            await running.keeper.start(asked, caller="someone", idempotency_key="run-42")
        await running.keeper.wait(first.id, 600)
    async with replica(file) as running:
        again = await running.keeper.start(asked, caller="ci", idempotency_key="run-42")
        assert again.id == first.id
        assert again.decision is not None
        with pytest.raises(refusals.IdempotencyMismatch):
            await running.keeper.start(request(version="9"), caller="ci", idempotency_key="run-42")


async def test_a_deploy_lock_lets_its_holder_through_and_nobody_else(file: Path) -> None:
    """Until it is given back, or its time is up."""
    async with replica(file) as running:
        lock = await running.keeper.locks.take("api", holder="deploy-7", seconds=60, reason="release", caller="ci")
        assert lock.until == running.keeper._clock.now() + timedelta(seconds=60)
        with pytest.raises(refusals.Locked, match="deploy-7 holds the deploy lock of api until"):
            await start(running)
        with pytest.raises(refusals.Locked):
            await running.keeper.locks.take("api", holder="deploy-8", seconds=60, reason="me too", caller="ci")
        with pytest.raises(refusals.LockNotHeld):
            await running.keeper.locks.release("api", holder="deploy-8", caller="ci")
        gate = await start(running, lock="deploy-7")
        await running.keeper.interventions.cancel(gate.id, caller="ann", reason="test")
        again = await running.keeper.locks.take("api", holder="deploy-7", seconds=600, reason="longer", caller="ci")
        assert [held.until for held in await running.keeper.locks.held()] == [again.until]
        await running.keeper.locks.release("api", holder="deploy-7", caller="ci")
        assert await running.keeper.locks.held() == []
        await running.keeper.locks.take("web", holder="deploy-9", seconds=60, reason="x", caller="ci")
        await asyncio.sleep(61)
        assert (await start(running, "web")).service == "web"


async def test_a_deploy_lock_of_a_service_that_a_reload_removed(file: Path) -> None:
    """Its holder's deploy goes on, and prolongs and gives back its lock; nobody else takes one."""
    async with replica(file) as running:
        locks = running.keeper.locks
        first = await locks.take("api", holder="deploy-7", seconds=60, reason="release", caller="ci")
        running.configure(config(services={}))
        again = await locks.take("api", holder="deploy-7", seconds=600, reason="release", caller="ci")
        assert again.until > first.until
        with pytest.raises(refusals.UnknownService):
            await locks.take("api", holder="deploy-8", seconds=60, reason="me too", caller="ci")
        await locks.release("api", holder="deploy-7", caller="ci")
        assert await locks.held() == []
        with pytest.raises(refusals.UnknownService):
            await locks.take("api", holder="deploy-7", seconds=60, reason="release", caller="ci")


async def test_a_freeze_refuses_and_an_override_is_audited(file: Path) -> None:
    """Whoever passes by a freeze leaves a name and a reason."""
    window = {"from": MIDNIGHT, "to": MIDNIGHT + timedelta(days=2), "reason": "weekend", "services": ["api"]}
    async with replica(file, config(freeze=[window])) as running:
        with pytest.raises(refusals.Frozen, match="frozen until 2026-03-31 00:00:00 UTC: weekend"):
            await start(running)
        assert (await start(running, "web")).service == "web"
        await start(running, override=Override(of=frozenset({"freeze"}), reason="the site is down"))
        assert await audited(running) == [
            ("ci", "gate.start", "web"),
            ("ci", "gate.start", "api"),
            ("ci", "override", "api"),
        ]


async def test_a_freeze_that_another_replica_was_told_a_moment_ago_refuses(file: Path) -> None:
    """The journal is asked when a gate starts; while it cannot be read, no gate starts anyway."""
    async with replica(file) as running:
        clock = LoopClock()
        mine, others = (Windows(Board(clock), WindowStore(running.database, clock), clock) for _ in "12")
        running.keeper.freezes = mine.freezes
        assert (await start(running, "web")).service == "web"
        times = {"from": clock.now(), "to": clock.now() + timedelta(hours=1)}
        freeze = {"id": "a", "kind": "freeze", "services": ["api"], "reason": "audit", "author": "ada", **times}
        await others.add(Window.model_validate(freeze))
        for ask in (running.keeper.start, running.keeper.could_start):
            with pytest.raises(refusals.Frozen, match=r"frozen until .*: audit"):
                await ask(request("api", "2.0"), caller="ci")


async def test_no_gate_starts_while_nobody_knows_whether_there_is_a_freeze(file: Path) -> None:
    """A journal may be too slow for the question and take the gate all the same; who asks again is answered."""
    async with replica(file) as running:
        before = await running.keeper.start(request("api", "1.0"), caller="ci", idempotency_key="k")
        clock = LoopClock()
        windows = Windows(Board(clock), Unanswering(running.database, clock), clock)
        running.keeper.freezes = windows.freezes
        for ask in (running.keeper.start, running.keeper.could_start):
            with pytest.raises(refusals.JournalUnavailable, match="does not answer whether there is a freeze"):
                await ask(request("web", "2.0"), caller="ci")
        again = await running.keeper.start(request("api", "1.0"), caller="ci", idempotency_key="k")
        assert again.id == before.id


class Unanswering(WindowStore):
    async def load(self) -> dict[str, Window]:
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_version_that_failed_stays_out_until_it_is_released(file: Path) -> None:
    """Another version may be tried; an override of something else does not help."""
    Script.act = broken
    unrolled = config(service={"on_fail": []})
    async with replica(file, unrolled) as running:
        failed = await start(running)
        await running.keeper.wait(failed.id, 600)
        with pytest.raises(refusals.Quarantined) as refused:
            await start(running, override=Override(of=frozenset({"lock"}), reason="x"))
        assert refused.value.fields["gate_id"] == failed.id
        other = await start(running, version="2.1")
        await running.keeper.interventions.cancel(other.id, caller="ann", reason="test")
        await running.keeper.locks.let_out("api", "2.0", caller="ann", reason="it was the database")
        with pytest.raises(refusals.NotQuarantined):
            await running.keeper.locks.let_out("api", "2.0", caller="ann", reason="again")
        assert (await start(running)).service == "api"
        assert ("ann", "version.unquarantine", "api") in await audited(running)


async def test_waiting_ends_with_the_time_or_with_the_verdict(file: Path) -> None:
    """Whichever comes first."""
    async with replica(file) as running:
        gate = await start(running)
        begun = running.keeper._clock.steady()
        assert (await running.keeper.wait(gate.id, 7)).decision is None
        assert running.keeper._clock.steady() - begun == pytest.approx(7, abs=0.01)
        assert (await running.keeper.wait(gate.id, 600)).decision is not None
        assert running.keeper._clock.steady() - begun < 110


async def test_a_cancelled_gate_frees_its_service_and_has_no_verdict(file: Path) -> None:
    """Cancelling again changes nothing; a decided gate cannot be cancelled."""
    async with replica(file) as running:
        gate = await start(running)
        await running.keeper.wait(gate.id, 20)
        cancelled = await running.keeper.interventions.cancel(gate.id, caller="ann", reason="wrong version")
        assert cancelled.state is GateState.CANCELLED
        assert cancelled.decision is None
        assert await running.keeper.interventions.cancel(gate.id, caller="ann", reason="again") == cancelled
        decided = await start(running)
        await running.keeper.wait(decided.id, 600)
        with pytest.raises(refusals.AlreadyDecided, match="is finished"):
            await running.keeper.interventions.cancel(decided.id, caller="ann", reason="too late")
        assert [entry for entry in await audited(running) if entry[1] == "gate.cancel"] == [
            ("ann", "gate.cancel", gate.id)
        ]


async def test_a_person_pulls_the_cord_once(file: Path) -> None:
    """An undecided gate has failed by it; pulling again orders nothing more."""
    async with replica(file) as running:
        gate = await start(running)
        pulled = await running.keeper.interventions.rollback(gate.id, caller="ann", reason="customers call")
        assert pulled.state is GateState.ACTING
        assert pulled.decision is not None
        assert (pulled.decision.verdict, pulled.decision.by) == (Verdict.FAIL, "ann")
        assert (
            await running.keeper.interventions.rollback(gate.id, caller="bob", reason="me too")
        ).rollback == pulled.rollback
        assert len(await running.gates.outbox.of_gate(gate.id)) == 1


async def test_a_finished_gate_can_be_rolled_back_by_a_person(file: Path) -> None:
    """Its pass stands; the service is held while the traffic goes back."""
    async with replica(file) as running:
        gate = await running.keeper.wait((await start(running)).id, 600)
        pulled = await running.keeper.interventions.rollback(gate.id, caller="ann", reason="customers call")
        assert pulled.decision == gate.decision
        assert pulled.rollback is not None
        assert pulled.rollback.trigger == "person"
        with pytest.raises(refusals.ServiceBusy):
            await start(running, version="3.0")


async def test_an_older_gate_is_not_rolled_back_under_a_newer_one(file: Path) -> None:
    """The caller learns which gate to roll back instead."""
    async with replica(file) as running:
        old = await running.keeper.wait((await start(running)).id, 600)
        new = await start(running, version="3.0")
        with pytest.raises(refusals.ServiceBusy) as refused:
            await running.keeper.interventions.rollback(old.id, caller="ann", reason="x")
        assert refused.value.fields["gate_id"] == new.id
        assert (await running.keeper.get(old.id)).rollback is None
        assert (await running.keeper.wait(new.id, 600)).decision is not None


async def test_no_rollback_without_an_action(file: Path) -> None:
    """The caller learns what to configure, and the gate runs on."""
    async with replica(file, config(service={"on_fail": []})) as running:
        gate = await start(running)
        with pytest.raises(refusals.NothingToRollBack, match=r"services\.api\.on_fail"):
            await running.keeper.interventions.rollback(gate.id, caller="ann", reason="x")
        assert (await running.keeper.wait(gate.id, 600)).decision is not None


@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.FAIL])
async def test_a_person_decides_a_held_gate(file: Path, verdict: Verdict) -> None:
    """And no other."""
    Script.act = silent
    async with replica(file, config(policy={"inconclusive": "hold"})) as running:
        gate = await start(running)
        with pytest.raises(refusals.NotHeld, match=r"is settling and waits for nobody yet.*healthd gate cancel"):
            await running.keeper.interventions.decide(gate.id, verdict, caller="ann", reason="x")
        await running.keeper.wait(gate.id, 600)
        resolved = await running.keeper.interventions.decide(gate.id, verdict, caller="ann", reason="looked at it")
        assert resolved.decision is not None
        assert (resolved.decision.verdict, resolved.decision.by) == (verdict, "ann")
        assert ("ann", {"pass": "gate.approve", "fail": "gate.reject"}[verdict.value], gate.id) in await audited(
            running
        )


async def test_pushes_are_for_services_that_are_pushed_to(file: Path) -> None:
    """Others are told where their numbers come from."""
    async with replica(file) as running:
        gate = await start(running)
        with pytest.raises(refusals.NotPushed, match="its source is scripted"):
            await running.keeper.push(gate.id, PUSHED, caller="lb")


async def test_gates_are_listed_newest_first_and_page_by_page(file: Path) -> None:
    """By service and state, with nothing twice and nothing left out."""
    async with replica(file) as running:
        started = []
        for version in range(5):
            gate = await start(running, version=f"1.{version}")
            started.append(gate.id)
            await running.keeper.interventions.cancel(gate.id, caller="ci", reason="next")
            await asyncio.sleep(1)
        await start(running, "web")
        first = await running.keeper.list(service="api", limit=3)
        second = await running.keeper.list(service="api", limit=3, before=first.next)
        assert [gate.id for gate in (*first.gates, *second.gates)] == started[::-1]
        assert second.next is None
        active = await running.keeper.list(states=[GateState.SETTLING, GateState.OBSERVING])
        assert [gate.service for gate in active.gates] == ["web"]


async def test_a_replica_that_drains_takes_no_more_gates(file: Path) -> None:
    """What it started before is still found by its key."""
    async with replica(file) as running:
        gate = await running.keeper.start(request(), caller="ci", idempotency_key="k")
        running.gates.drain()
        with pytest.raises(refusals.Draining):
            await start(running, "web")
        assert (await running.keeper.start(request(), caller="ci", idempotency_key="k")).id == gate.id


async def test_a_replica_runs_only_so_many_gates(file: Path) -> None:
    """Beyond that it says so instead of doing all of them badly."""
    async with replica(file, config(gates={"max_running": 1})) as running:
        await start(running)
        with pytest.raises(refusals.TooManyGates):
            await start(running, "web")


async def test_a_caller_who_hangs_up_leaves_no_gate_behind_that_runs_nowhere(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the gate is stored: then it is stored, so it comes to a verdict."""
    async with replica(file) as running:
        store = running.keeper._gate_store
        stores = store.start

        async def hung_up(admission: Admission) -> object:
            asking.cancel()
            return await stores(admission)

        monkeypatch.setattr(store, "start", hung_up)
        asking = asyncio.create_task(start(running))
        await asyncio.wait({asking})
        assert asking.cancelled()
        await asyncio.sleep(1)
        (gate,) = (await running.keeper.list()).gates
        assert (await running.keeper.wait(gate.id, 600)).decision is not None


async def test_the_beginning_of_an_id_will_do(file: Path) -> None:
    """While it is one gate's alone; what is too short, or a pattern, is nobody's."""
    async with replica(file) as running:
        first, second = await start(running), await start(running, "web")
        length = next(n for n in range(len(first.id)) if first.id[: n + 1] != second.id[: n + 1])
        common = first.id[:length]
        assert (await running.keeper.named(second.id[: length + 1])).id == second.id
        assert (await running.keeper.named(first.id)).id == first.id
        with pytest.raises(refusals.AmbiguousGate, match="Several gates begin with"):
            await running.keeper.named(common)
        for nothing in ("%%%%", "____", first.id[:3], first.id + "0"):
            with pytest.raises(refusals.UnknownGate):
                await running.keeper.named(nothing)
        assert await running.keeper._gate_store.rollbacks(MIDNIGHT - timedelta(days=1)) == []


async def test_a_key_starts_anew_once_its_version_is_released(file: Path) -> None:
    """The pipeline that is run again deploys the version again: the old fail is not the answer to that."""
    Script.act = failing
    async with replica(file, config(policy={"initial_delay": "0s"})) as running:
        asked = request(rollback="off")
        first = await running.keeper.start(asked, caller="ci", idempotency_key="run-7")
        assert not (await running.keeper.wait(first.id, 600)).may_stay
        assert (await running.keeper.start(asked, caller="ci", idempotency_key="run-7")).id == first.id
        await running.keeper.locks.let_out("api", "2.0", caller="kim", reason="it was the network")
        second = await running.keeper.start(asked, caller="ci", idempotency_key="run-7")
        assert (second.id != first.id, second.is_answered) == (True, False)
        assert (await running.keeper.start(asked, caller="ci", idempotency_key="run-7")).id == second.id


async def test_no_deadline_that_is_past_is_shown(file: Path) -> None:
    """A service that is held by a rollback is held until that is over."""
    Script.act = failing
    async with replica(file, config(policy={"initial_delay": "0s"})) as running:
        first = await running.keeper.start(request(), caller="ci")
        with pytest.raises(refusals.ServiceBusy, match=r"until \d{4}-.* UTC at the latest") as refused:
            await running.keeper.start(request(version="3.0"), caller="ci")
        assert refused.value.fields["until"] > first.created_at
        await running.keeper.wait(first.id, 600)
        with pytest.raises(refusals.ServiceBusy, match="until its rollback is over") as refused:
            await running.keeper.start(request(version="3.0"), caller="ci")
        assert "until" not in refused.value.fields


async def test_a_dry_run_is_told_as_its_start_when_the_service_is_free(file: Path) -> None:
    """With the time at which the rollback that holds it is given up."""
    Script.act = failing
    async with replica(file, config(policy={"initial_delay": "0s"})) as running:
        gate = await running.keeper.wait((await start(running)).id, 600)
        told = []
        for asks in (running.keeper.could_start, running.keeper.start):
            with pytest.raises(refusals.ServiceBusy, match="or given up at") as busy:
                await asks(request(version="3.0"), caller="ci")
            told.append(busy.value.fields)
        assert told[0] == told[1]
        assert told[0]["gate_id"] == gate.id


async def test_a_gate_that_is_deleted_meanwhile_is_unknown(file: Path) -> None:
    """Whatever is asked of it, though its task still runs here for a moment; and who was refused for it is told so."""
    async with replica(file) as running:
        gate = await start(running)
        await running.keeper.wait(gate.id, 3)
        async with running.database.write() as connection:
            await connection.execute(sa.delete(gate_tables.gates).where(gate_tables.gates.c.id == gate.id))
        assert gate.id in running.gates._supervisor
        with pytest.raises(refusals.UnknownGate):
            await running.keeper.rehearse(gate.id)
        with pytest.raises(refusals.UnknownGate):
            await running.keeper.interventions.cancel(gate.id, caller="ann", reason="x")
        refusal = refusals.ServiceBusy.by(gate, MIDNIGHT)
        assert await running.keeper._busy.told(refusal) is refusal


async def test_what_is_sent_here_is_received_for_the_gates_that_run_here(file: Path) -> None:
    async with replica(file) as running:
        assert running.keeper.receiver is running.gates._supervisor.observer_context.receiver
