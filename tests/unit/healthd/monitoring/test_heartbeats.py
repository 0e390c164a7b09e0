"""Reports of jobs on replicas that share a journal, after a restart, and while it cannot be used."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from healthd.checks.heartbeat_record import Record, Records, Report, Signal
from healthd.journal import tables
from healthd.journal.database import Database
from healthd.journal.errors import JournalError
from healthd.journal.heartbeats import HeartbeatStore
from healthd.monitoring.heartbeats import Heartbeats, Store
from tests.fakes.monitoring import HandClock, LoopClock


class Replica:
    """What one daemon knows of the job `backup`."""

    def __init__(self, store: Store, clock: HandClock | LoopClock, *names: str) -> None:
        self.records, self.clock = Records(shared=True), clock
        self.heartbeats = Heartbeats(self.records, store, clock, lambda: names or ("backup",))

    async def says(self, signal: Signal, **more: str) -> None:
        await self.heartbeats.add(Report("backup", signal, self.clock.now(), **more))  # type: ignore[arg-type]

    async def exchange(self) -> Record:
        await self.heartbeats._exchange()
        return self.records.known["backup"]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(f"sqlite:///{tmp_path}/j.db", HandClock(), (tables.BRANCH,))
    yield opened
    await opened.close()


async def test_replicas_share_them(database: Database) -> None:
    """A run that begins by one and ends by the other has its length on both; a restart forgets neither it nor since
    when a job is expected that never reported."""
    clock = HandClock()
    one, two = (Replica(HeartbeatStore(database, clock), clock) for _ in range(2))
    began = (await one.exchange()).since
    clock.seconds += 100
    assert (await two.exchange()).since == began
    await one.says(Signal.START, run="r")
    await one.exchange()
    clock.seconds += 60
    await two.exchange()
    await two.says(Signal.SUCCESS, run="r")
    ended = await two.exchange()
    assert (ended.duration, ended.succeeded, ended.runs) == (60.0, clock.now(), {})
    assert await one.exchange() == ended
    clock.seconds += 86_400
    reborn = Replica(HeartbeatStore(database, clock), clock)
    assert await reborn.exchange() == ended


async def test_only_what_changed_is_read_again(database: Database) -> None:
    """Thousands of jobs that report once a day are not read every three seconds."""
    clock = database._clock
    assert isinstance(clock, HandClock)
    names = [f"job-{number}" for number in range(50)]
    store = HeartbeatStore(database, clock)
    replica = Replica(store, clock, *names)
    await replica.heartbeats._exchange()
    clock.seconds += 60
    await store.load()
    assert await store.load() == {}
    other = HeartbeatStore(database, clock)
    await other.load()
    await other.save([Report("job-7", Signal.SUCCESS, clock.now())], [])
    assert list(await store.load()) == ["job-7"]


async def test_reports_at_once_are_all_kept(database: Database) -> None:
    """Whatever the order in which two replicas write."""
    clock = HandClock()
    replicas = [Replica(HeartbeatStore(database, clock), clock) for _ in range(2)]
    for replica in replicas:
        await replica.exchange()
    for number in range(10):
        clock.seconds += 1
        await replicas[number % 2].says(Signal.START, run=str(number))
    await asyncio.gather(*(replica.heartbeats._exchange() for replica in replicas))
    for replica in replicas:
        assert len((await replica.exchange()).runs) == 10


class Broken:
    """A store that is down until it is not; `hangs` is one that does not answer."""

    def __init__(self) -> None:
        self.rows: dict[str, Record] = {}
        self.down, self.hangs = True, False
        self.saved: list[Report] = []

    async def load(self) -> dict[str, Record]:
        await self._look()
        return dict(self.rows)

    async def save(self, reports: Sequence[Report], expected: Iterable[tuple[str, Record]]) -> dict[str, Record]:
        await self._look()
        changed = {name: record for name, record in expected if name not in self.rows}
        for report in reports:
            before = changed.get(report.check) or self.rows.get(report.check) or Record(since=report.at)
            changed[report.check] = before.after(report, report.at)
        self.rows |= changed
        self.saved += reports
        return changed

    async def _look(self) -> None:
        while self.hangs:
            await asyncio.sleep(1)
        if self.down:
            raise JournalError("it is down")


@pytest.mark.looptime
@pytest.mark.parametrize("hangs", [False, True])
async def test_a_journal_that_cannot_be_used_delays_only_the_others(hangs: bool) -> None:
    """The caller hears within a second or so, the report counts here, and is stored once that is possible."""
    store, clock = Broken(), LoopClock()
    replica = Replica(store, clock)
    store.down = False
    running = asyncio.create_task(replica.heartbeats.run())
    await asyncio.sleep(1)
    store.down, store.hangs = not hangs, hangs
    await asyncio.sleep(5)
    start = asyncio.get_running_loop().time()
    await replica.says(Signal.FAILURE)
    assert asyncio.get_running_loop().time() - start <= 1.1
    assert (replica.records.known["backup"].failed, replica.heartbeats.unsaved, store.saved) == (True, 1, [])
    store.down = store.hangs = False
    await asyncio.sleep(5)
    assert (replica.heartbeats.unsaved, store.rows["backup"].failed) == (0, True)
    running.cancel()


@pytest.mark.looptime
async def test_many_reports_while_it_is_away_cost_no_memory() -> None:
    """A hundred of a job are kept for the others; here all count."""
    store, clock = Broken(), LoopClock()
    replica = Replica(store, clock)
    running = asyncio.create_task(replica.heartbeats.run())
    for _ in range(1000):
        await replica.says(Signal.SUCCESS)
        await asyncio.sleep(0.1)
    last = clock.now() - timedelta(seconds=0.1)
    assert replica.heartbeats.unsaved == 100
    assert replica.records.known["backup"].succeeded == last
    store.down = False
    await asyncio.sleep(4)
    assert (replica.heartbeats.unsaved, store.rows["backup"].succeeded) == (0, last)
    running.cancel()


@pytest.mark.looptime
async def test_a_caller_hears_once_it_is_stored() -> None:
    store, clock = Broken(), LoopClock()
    store.down = False
    replica = Replica(store, clock)
    running = asyncio.create_task(replica.heartbeats.run())
    await asyncio.sleep(1)
    await replica.says(Signal.SUCCESS)
    assert len(store.saved) == 1
    running.cancel()
