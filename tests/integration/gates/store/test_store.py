"""The ledger on SQLite and on PostgreSQL: two replicas, each with connections of its own, on one database."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from healthd.journal import tables
from healthd.journal.database import Database
from healthd.runtime.clock import SystemClock
from healthd_gates.config.settings import Config
from healthd_gates.domain.action_order import Occasion, OrderState
from healthd_gates.domain.errors import Locked, ServiceBusy
from healthd_gates.domain.evidence import Counts, Evidence, Histogram
from healthd_gates.domain.gate import EventKind, Gate, GateEvent, GateState, QuarantinedVersion
from healthd_gates.domain.request import Deployment, PushedCounts, PushedEvidence
from healthd_gates.engine.validation import validate
from healthd_gates.store import tables as gate_tables
from healthd_gates.store.admission import Admission
from healthd_gates.store.gate_store import GateStore
from healthd_gates.store.gate_update import Change, LeaseLost, SeenEvidence
from healthd_gates.store.leases import Leases, Owned
from healthd_gates.store.locks import LockStore
from healthd_gates.store.outbox import Outbox
from tests.fakes.gates import config, request
from tests.integration.gates.conftest import BRANCHES

pytestmark = pytest.mark.usefixtures("_scripted")
CLOCK = SystemClock()
LEASE = 120.0  # longer than any test takes; one that is to be over is set to have ended
OVER = -1.0


@dataclass
class Side:
    """One replica."""

    database: Database
    name: str

    def __post_init__(self) -> None:
        self.gate_store = GateStore(self.database, CLOCK)
        self.leases = Leases(self.database, self.name, LEASE)
        self.outbox = Outbox(self.database, self.name)
        self.lock_store = LockStore(self.database)

    async def start(self, service: str = "api", version: str = "2.0", configuration: Config | None = None) -> Owned:
        started = await self.gate_store.start(self.admission(service, version, configuration))
        assert isinstance(started, Owned)
        return started

    def admission(self, service: str, version: str, configuration: Config | None = None) -> Admission:
        asked = request(service, version)
        moment = CLOCK.now()
        known = configuration or config()
        return validate(asked, known, caller="ci", key=None, replica=self.name, moment=moment)[0]


@pytest.fixture
async def sides(url_with_tables: str) -> AsyncIterator[tuple[Side, Side]]:
    databases = [Database(url_with_tables, CLOCK, BRANCHES) for _ in range(2)]
    for database in databases:  # one makes the tables: who waits for SQLite meanwhile gives up on a busy machine
        await database.open()
    yield Side(databases[0], "left"), Side(databases[1], "right")
    for database in databases:
        await database.close()


def change(owned: Owned, state: GateState = GateState.OBSERVING, **more: object) -> Change:
    """The gate's next step."""
    gate = replace(owned.gate, state=state, sequence=owned.gate.sequence + 1)
    if state.is_over:
        gate = replace(gate, finished_at=CLOCK.now())
    event = GateEvent(gate.id, gate.sequence, CLOCK.now(), EventKind.STATE, {"state": state.value})
    return Change(gate, owned.token, (event,), cursor={"at": 1}, **more)  # type: ignore[arg-type]


async def test_migrations_lead_to_the_tables_of_the_code(database: Database) -> None:
    """On this database as on the other."""

    def differences(connection: sa.Connection, version_table: str, metadata: sa.MetaData) -> list[object]:
        def mine(_object: object, name: str | None, kind: str, *_: object) -> bool:
            return kind != "table" or name in metadata.tables

        options = {"version_table": version_table, "include_object": mine}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    async with database.read() as connection:
        for branch, metadata in zip(BRANCHES, (tables.metadata, gate_tables.metadata), strict=True):
            assert await connection.run_sync(differences, branch.version_table, metadata) == []


async def test_of_many_who_start_a_gate_at_once_one_succeeds(sides: tuple[Side, Side]) -> None:
    """The others learn who was faster."""
    starts = [side.start(version=f"{n}") for n in range(5) for side in sides]
    answers = await asyncio.gather(*starts, return_exceptions=True)
    won = [answer for answer in answers if isinstance(answer, Owned)]
    assert len(won) == 1
    refused = [answer for answer in answers if isinstance(answer, ServiceBusy)]
    assert len(refused) == 9
    assert {refusal.fields["gate_id"] for refusal in refused} == {won[0].gate.id}


async def test_the_same_key_at_both_replicas_at_once_gives_one_gate(sides: tuple[Side, Side]) -> None:
    """A deploy tool that retries against another replica gets the gate that it has."""
    admissions = [replace(side.admission("api", "2.0"), idempotency_key="run-1") for side in sides for _ in range(4)]
    answers = await asyncio.gather(
        *(side.gate_store.start(admission) for side, admission in zip(sides * 4, admissions, strict=True))
    )
    gates = [answer.gate if isinstance(answer, Owned) else answer for answer in answers]
    assert len({gate.id for gate in gates}) == 1
    assert sum(isinstance(answer, Owned) for answer in answers) == 1


async def test_evidence_comes_back_exactly(sides: tuple[Side, Side]) -> None:
    """To the last bit, with infinite bucket edges: the judge that is brought back must say the same."""
    left, right = sides
    owned = await left.start()
    histogram = Histogram((0.1, 0.30000000000000004, float("inf")), (1.5, 2.0, 0.1), 1 / 3)
    evidence = Evidence(CLOCK.now(), 4.999999999, Counts(3.6, 0.1, histogram), Counts(1e15, 0))
    await left.gate_store.store(change(owned, seen=SeenEvidence("gate", [evidence])))
    assert await right.gate_store.evidence(owned.gate.id, "gate") == [evidence]
    assert await right.gate_store.evidence(owned.gate.id, "watch") == []


async def test_who_lost_the_lease_writes_nothing(sides: tuple[Side, Side]) -> None:
    """Neither state nor events, evidence, orders or quarantine."""
    left, right = sides
    old = await left.start()
    new = await right.leases.seize(old.gate.id)
    assert new is not None
    quarantined = QuarantinedVersion("api", "2.0", old.gate.id, CLOCK.now(), "x")
    stale = change(old, GateState.FINISHED, orders=((Occasion.FAIL, "back"),), quarantine=quarantined)
    with pytest.raises(LeaseLost):
        await left.gate_store.store(stale)
    assert await right.gate_store.find(old.gate.id) == new.gate
    assert len(await right.gate_store.events(old.gate.id, 0)) == 1
    assert not await right.outbox.of_gate(old.gate.id)
    assert not await right.lock_store.quarantined()
    await right.gate_store.store(change(new))


async def test_a_change_that_was_written_before_counts_as_written(sides: tuple[Side, Side]) -> None:
    """A commit whose answer was lost is tried again, and happens once."""
    left, _ = sides
    owned = await left.start()
    decided = change(owned, GateState.ACTING, orders=((Occasion.FAIL, "back"),))
    await left.gate_store.store(decided)
    await left.gate_store.store(decided)
    assert len(await left.gate_store.events(owned.gate.id, 0)) == 2
    assert len(await left.outbox.of_gate(owned.gate.id)) == 1


async def test_changes_of_many_gates_share_commits_and_fail_apart(sides: tuple[Side, Side]) -> None:
    """One that lost its lease, or that the database refuses, takes none of the others with it."""
    left, right = sides
    many = config(services={f"s{n}": {"source": {"kind": "scripted"}, "policy": "quick"} for n in range(30)})
    owned = [await left.start(f"s{n}", configuration=many) for n in range(30)]
    await right.leases.seize(owned[3].gate.id)
    changes = [change(one) for one in owned]
    bad = GateEvent(owned[4].gate.id, 1, CLOCK.now(), EventKind.STATE, {})  # its number is taken
    changes[4] = replace(changes[4], events=(bad,))
    answers = await asyncio.gather(*map(left.gate_store.store, changes), return_exceptions=True)
    assert isinstance(answers[3], LeaseLost)
    assert isinstance(answers[4], sa.exc.IntegrityError)
    assert [answer for n, answer in enumerate(answers) if n not in (3, 4)] == [2] * 28
    assert all([(await right.gate_store.find(one.gate.id)) for one in owned])


async def test_a_write_that_was_given_up_takes_no_other_with_it(sides: tuple[Side, Side]) -> None:
    """Whoever wrote for all and was cancelled leaves the rest to the next."""
    left, _ = sides
    one, two = await left.start("api"), await left.start("web")
    first = asyncio.create_task(left.gate_store.store(change(one)))
    second = asyncio.create_task(left.gate_store.store(change(two)))
    await asyncio.sleep(0)
    first.cancel()
    await second
    found = await left.gate_store.find(two.gate.id)
    assert found is not None
    assert found.state is GateState.OBSERVING


async def test_gates_of_a_silent_replica_are_taken_over_by_one(sides: tuple[Side, Side], url_with_tables: str) -> None:
    """Not before its lease ends, and by no two at once."""
    left, right = sides
    owned = await left.start()
    assert not await left.leases.renew()
    assert not await right.leases.renew()
    assert not (await right.leases.take_over(10))[0]
    await Leases(left.database, left.name, OVER).renew()
    third = Side(Database(url_with_tables, CLOCK, BRANCHES), "third")
    await third.database.open()
    assert await right.leases.renew(), "there is something to take over"
    assert await third.leases.renew()
    taken = [gates for gates, _ in await asyncio.gather(*(side.leases.take_over(10) for side in (right, third)))]
    assert sorted(len(each) for each in taken) == [0, 1]
    ((new,),) = [each for each in taken if each]
    assert (new.gate.id, new.token) == (owned.gate.id, owned.token + 1)
    assert await left.leases.recall(owned.gate.id, owned.token) is None
    await third.database.close()


async def test_gates_that_were_let_go_are_taken_at_once(sides: tuple[Side, Side]) -> None:
    """A replica that stops in good order leaves nobody waiting."""
    left, right = sides
    await left.leases.renew()
    owned = await left.start()
    await left.leases.let_go()
    assert [each.gate.id for each in (await right.leases.take_over(10))[0]] == [owned.gate.id]


async def test_an_order_is_worked_on_by_one_at_a_time(sides: tuple[Side, Side]) -> None:
    """A worker that fell silent loses it, and its late answer counts for nothing. A gate's orders come in turn."""
    left, right = sides
    owned = await left.start()
    orders = ((Occasion.FAIL, "first"), (Occasion.FAIL, "second"))
    await left.gate_store.store(change(owned, GateState.ACTING, orders=orders))
    claims = await asyncio.gather(left.outbox.claim(LEASE), right.outbox.claim(LEASE))
    claimant, claimed = next((side, claim[0]) for side, claim in zip(sides, claims, strict=True) if claim)
    assert (claimed.action, sum(map(len, claims))) == ("first", 1)
    assert await claimant.outbox.hold([claimed], OVER) == {claimed.key}
    (again,) = await right.outbox.claim(30)
    assert again.action == "first"
    with pytest.raises(LeaseLost):
        await left.outbox.settle(claimed, OrderState.DONE, "late")
    assert not await left.outbox.hold([claimed], 30)
    assert await right.outbox.hold([again], 30) == {again.key}
    await right.outbox.settle(again, OrderState.DONE, "done")
    (second,) = await right.outbox.claim(30)
    await right.outbox.settle(second, OrderState.DUE, "503", again_in=60)
    assert not await left.outbox.claim(30)
    states = [(order.action, order.state, order.tries) for order in await left.outbox.of_gate(owned.gate.id)]
    assert states == [("first", OrderState.DONE, 1), ("second", OrderState.DUE, 1)]


@pytest.mark.parametrize("wrong", [timedelta(hours=1), timedelta(hours=-1)], ids=["ahead", "behind"])
async def test_an_order_is_due_at_once_whatever_its_owners_clock_says(
    sides: tuple[Side, Side], wrong: timedelta
) -> None:
    """It goes by the clock that leases go by."""
    left, right = sides
    owned = await left.start()
    acting = change(owned, GateState.ACTING, orders=((Occasion.FAIL, "back"),))
    moved = replace(acting, events=tuple(replace(event, at=event.at + wrong) for event in acting.events))
    await left.gate_store.store(moved)
    (claimed,) = await right.outbox.claim(30)
    assert abs((claimed.created_at - CLOCK.now()).total_seconds()) < 60


async def test_a_clock_that_is_set_back_puts_no_try_off(sides: tuple[Side, Side]) -> None:
    """A next try that lies further away than any pause was written by a clock that was wrong."""
    left, _ = sides
    await left.gate_store.store(change(await left.start(), GateState.ACTING, orders=((Occasion.FAIL, "back"),)))
    async with left.database.write() as connection:
        wrong = CLOCK.now() + timedelta(hours=2)
        await connection.execute(sa.update(gate_tables.orders).values(next_try_at=wrong))
    assert (await left.outbox.backlog()).is_claimable
    assert await left.outbox.claim(30)


async def test_a_lease_from_a_clock_that_was_ahead_holds_nothing(sides: tuple[Side, Side]) -> None:
    """It ends later than any lease can last: gates and claims are free at once."""
    left, right = sides
    await left.leases.renew()
    owned = await left.start()
    await left.gate_store.store(change(owned, GateState.ACTING, orders=((Occasion.FAIL, "back"),)))
    assert await left.outbox.claim(30)
    assert not (await right.leases.take_over(10))[0]
    assert not await right.outbox.claim(30)
    async with left.database.write() as connection:
        now = CLOCK.now()
        times = {"renewed_at": now + timedelta(minutes=2), "expires_at": now + timedelta(minutes=2, seconds=2)}
        await connection.execute(sa.update(gate_tables.replicas).values(times))
        await connection.execute(sa.update(gate_tables.orders).values(leased_until=now + timedelta(minutes=2)))
    assert [each.gate.id for each in (await right.leases.take_over(10))[0]] == [owned.gate.id]
    assert await right.outbox.claim(30)


async def test_what_was_never_tried_comes_first(sides: tuple[Side, Side]) -> None:
    """And what a worker has in hand it does not get again."""
    left, right = sides
    for service in ("api", "web"):
        await left.gate_store.store(
            change(await left.start(service), GateState.ACTING, orders=((Occasion.FAIL, "back"),))
        )
    (older,) = await left.outbox.claim(30, 1)
    await left.outbox.settle(older, OrderState.DUE, "503")
    (newer,) = await left.outbox.claim(0.0, 1)
    assert newer.key != older.key
    assert [order.key for order in await right.outbox.claim(30, but={newer.key})] == [older.key]


async def test_attempts_that_a_kill_cuts_off_are_counted_apart_and_have_an_end(sides: tuple[Side, Side]) -> None:
    """An action that takes the daemon down with it is told, leaves it more and more time to serve health, and is given
    up in the end; what comes to an end in between begins the count anew, and is the only thing that is a try."""
    left, right = sides
    owned = await left.start()
    orders = ((Occasion.FAIL, "back"), (Occasion.FAIL, "after"))
    await left.gate_store.store(change(owned, GateState.ACTING, orders=orders))

    async def rested() -> None:
        async with left.database.write() as connection:
            await connection.execute(sa.update(gate_tables.orders).values(next_try_at=CLOCK.now()))

    async def killed(times: int) -> None:
        for _ in range(times):
            if not (claimed := await left.outbox.claim(0.0)):
                await rested()
                claimed = await left.outbox.claim(0.0)
            assert [order.action for order in claimed] == ["back"]

    async def seen() -> tuple[OrderState, int, int]:
        order = (await right.outbox.of_gate(owned.gate.id))[0]
        return order.state, order.tries, order.cut_off

    await killed(3)
    assert not await right.outbox.claim(30), "it rests"
    assert await seen() == (OrderState.DUE, 0, 3)
    await rested()
    (claimed,) = await right.outbox.claim(30)
    assert "cut off in the middle of an attempt, 3 times in a row" in claimed.detail
    await right.outbox.settle(claimed, OrderState.DUE, "503")
    assert await seen() == (OrderState.DUE, 1, 0)
    await killed(10)
    assert not await right.outbox.claim(30)
    assert await seen() == (OrderState.GIVEN_UP, 1, 10)
    states = [order.state for order in await right.outbox.of_gate(owned.gate.id)]
    assert states == [OrderState.GIVEN_UP, OrderState.GIVEN_UP]
    told = [event.body["detail"] for event in await right.gate_store.events(owned.gate.id, 0) if "try" in event.body]
    assert len(told) == 14
    assert "10 times in a row" in told[-1]


async def test_what_was_not_pushed_is_not_stored(sides: tuple[Side, Side]) -> None:
    """During an upgrade the earlier release may run the gate: it refuses a push with a field that it does not know."""
    left, _ = sides
    gate = (await left.start()).gate
    counts = {"requests": 9, "errors": 1, "by": {"route": {"/": {"requests": 9, "errors": 1}}}}
    pushed = PushedEvidence.model_validate({"id": "1", "candidate": counts})
    assert await left.gate_store.push(gate.id, pushed, "lb")
    async with left.database.read() as connection:
        body = (
            await connection.execute(
                sa.select(gate_tables.gate_pushes.c.body).where(gate_tables.gate_pushes.c.gate_id == gate.id)
            )
        ).scalar_one()
    assert json.loads(body) == {"id": "1", "candidate": counts}
    assert await left.gate_store.pushes(gate.id, 0) == [(1, pushed)]


async def test_pushes_are_numbered_in_the_order_in_which_they_can_be_read(sides: tuple[Side, Side]) -> None:
    """From both replicas at once, without holes, each id once."""
    left, right = sides
    gate: Gate = (await left.start()).gate
    pushes = [PushedEvidence(id=str(n % 12), candidate=PushedCounts(requests=n, errors=0)) for n in range(24)]
    kept = await asyncio.gather(*(sides[n % 2].gate_store.push(gate.id, push, "lb") for n, push in enumerate(pushes)))
    assert sum(kept) == 12
    read = await right.gate_store.pushes(gate.id, 0)
    assert [position for position, _ in read] == list(range(1, 13))
    assert len({push.id for _, push in read}) == 12
    assert await right.gate_store.pushes(gate.id, 10) == read[10:]


async def test_a_lock_is_held_by_one(sides: tuple[Side, Side]) -> None:
    """Of many who ask at once."""
    asked = [side.lock_store.lock("api", f"deploy-{n}", 60, "x", "ci") for n in range(4) for side in sides[: 1 + n % 2]]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    holders = {answer.holder for answer in answers if not isinstance(answer, BaseException)}
    assert len(holders) == 1
    assert all(isinstance(answer, Locked) for answer in answers if isinstance(answer, BaseException))


async def test_what_is_old_is_deleted_with_all_that_is_its_own(sides: tuple[Side, Side]) -> None:
    """First the looks of a gate that is over, later the gate; a running one stays whole."""
    left, _ = sides
    over, running = await left.start("api"), await left.start("web")
    evidence = Evidence(CLOCK.now(), 5.0, Counts(1, 0))
    for owned, state in ((over, GateState.FINISHED), (running, GateState.OBSERVING)):
        await left.gate_store.store(change(owned, state, seen=SeenEvidence("gate", [evidence])))
    await left.gate_store.clean(timedelta(days=1).total_seconds(), 0)
    assert await left.gate_store.find(over.gate.id) is not None
    assert not await left.gate_store.evidence(over.gate.id, "gate")
    assert await left.gate_store.evidence(running.gate.id, "gate")
    await left.gate_store.clean(0, 0)
    assert await left.gate_store.find(over.gate.id) is None
    assert not await left.gate_store.events(over.gate.id, 0)
    assert await left.gate_store.find(running.gate.id) is not None


async def test_a_gate_of_a_living_replica_is_not_about_to_go_on_elsewhere(sides: tuple[Side, Side]) -> None:
    """A replica that starts knows one as living once it renews its lease: one killed just before has a lease too."""
    left, right = sides
    await left.leases.renew()
    await left.start("api")
    await right.leases.renew()
    assert await right.leases.under_way() == {"api"}
    await left.leases.renew()
    await left.start("web")
    assert await right.leases.under_way() == set()
    await left.leases.let_go()
    assert await right.leases.under_way() == {"api", "web"}, "it has none any more"


async def test_gates_are_found_by_their_deployment_to_the_letter(sides: tuple[Side, Side]) -> None:
    """Also one whose other texts are made to look like it."""
    left, _ = sides
    names = ["run-1", "Run-1", "run-10", 'a"b\\', "run_1", '"deployment":{"id":"run-1"', "größe%"]
    for number, name in enumerate(names):
        asked = request(f"s{number}", deployment=Deployment(id=name, actor='x","deployment":{"id":"run-1"'))
        known = config(services={asked.service: config().services["api"]})
        started = validate(asked, known, caller="ci", key=None, replica="left", moment=CLOCK.now())[0]
        await left.gate_store.start(started)
    for name in names:
        found = (await left.gate_store.page(None, (), 10, None, deployment=name)).gates
        assert [gate.deployment.id for gate in found] == [name]
    assert (await left.gate_store.page(None, (), 10, None, policy="other", deployment="run-1")).gates == ()
