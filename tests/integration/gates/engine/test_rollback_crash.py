"""kill -9 between any two steps of a rollback, decide → store → act → confirm: whatever kind of action puts the version
back, it is put back, and once.

`HEALTHD_CRASH_RUNS` says how often to kill for each kind of action on each database; with 2, the least, every step is
come to by some kind, with 16 by each.
"""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
import sqlalchemy as sa

from healthd.journal.database import Database
from healthd.runtime.clock import SystemClock
from healthd_gates.domain.action_order import OrderState
from healthd_gates.domain.gate import EventKind, Gate, RollbackState
from healthd_gates.store import tables
from healthd_gates.store.gate_store import GateStore
from healthd_gates.store.outbox import Outbox
from tests.integration.gates.conftest import BRANCHES
from tests.integration.gates.engine import rollback_places as places
from tests.integration.gates.engine.forks import FORKS
from tests.integration.gates.engine.rollback_places import Effect, Place
from tests.integration.gates.engine.rollback_worker import STEPS, Task, main
from tests.integration.gates.engine.test_crash import all_over
from tests.servers import moto, peers, postgresql
from tests.servers.peers import Answer, Peer, Received
from tests.servers.waiting import until

KINDS = ("webhook", "command", "aws_elbv2", "kubernetes")
RUNS = int(os.environ.get("HEALTHD_CRASH_RUNS", "2"))
_DIES_WITHIN = 180.0  # for leases of two seconds change hands often where the machine is busy


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in moto.CREDENTIALS.items():
        monkeypatch.setenv(name, value)


class Theatre:
    """Replicas on one journal, each with a step at which it dies, and the places where their rollbacks take effect."""

    def __init__(self, url: str, folder: Path, places: dict[str, Place], deploy: Peer) -> None:
        self.url, self.replicas = url, 2 if url.startswith("postgresql") else 1
        self.died: Counter[str] = Counter()
        self._folder, self._places, self._started = folder, places, 0
        self._alive: dict[ForkServerProcess, str] = {}
        self._deploy = f"{deploy.url}/deploy"
        deploy.answer("GET", "/deploy", self._deployed)

    async def _deployed(self, received: Received) -> Answer:
        service = received.query["service"]
        await self._places[service.partition("-")[0]].deploy(service, received.query["version"])
        return Answer(200)

    def start(self, kind: str, step: str | None = None, count: int = 1) -> None:
        self._started += 1
        actions = {name: action for place in self._places.values() for name, action in place.actions.items()}
        task = Task(self.url, actions, self._deploy, kind, step, count)
        worker = FORKS.Process(target=main, args=(task, self._folder / f"log-{self._started}"))
        worker.start()
        self._alive[worker] = step or ""

    async def one_dies(self) -> None:
        """Wait until one has killed itself."""
        steps = f"a replica dies {' or '.join(self._alive.values())}"
        await until(lambda: any(worker.exitcode is not None for worker in self._alive), steps, _DIES_WITHIN)
        for worker in [worker for worker in self._alive if worker.exitcode is not None]:
            assert worker.exitcode == -signal.SIGKILL, "a worker ended by itself: see its log"
            self.died[self._alive.pop(worker)] += 1

    async def play(self, kind: str, steps: list[str]) -> None:
        for step in steps:
            self.start(kind, step, random.randint(1, 2))
            while len(self._alive) >= self.replicas:
                await self.one_dies()
        while self._alive:
            await self.one_dies()

    async def bring_to_an_end(self, database: Database) -> None:
        self.start("")
        await all_over(database)

    def kill_all(self) -> None:
        for worker in self._alive:
            worker.kill()
            worker.join()


@asynccontextmanager
async def theatre(kind: str, url: str, folder: Path, aws: moto.Moto) -> AsyncIterator[tuple[Theatre, list[Effect]]]:
    """A theatre for one kind of action; the effects are all there once it has been left."""
    folder.mkdir()
    effects: list[Effect] = []
    opened = {"webhook": places.receiver()}
    if kind != "webhook":
        at = {"command": places.host(folder), "kubernetes": places.cluster(folder)}
        opened[kind] = at.get(kind) or places.balancers(aws.url)
    async with peers.peer() as deploy:
        async with AsyncExitStack() as stack:
            built = {name: await stack.enter_async_context(place) for name, place in opened.items()}
            played = Theatre(url, folder, built, deploy)
            stack.callback(played.kill_all)
            yield played, effects
        effects += sorted(effect for place in built.values() for effect in place.effects)


@pytest.mark.timeout(300 + 60 * RUNS)
@pytest.mark.parametrize("journal", ["sqlite", "postgresql"])
async def test_a_version_is_put_back_once_wherever_a_replica_dies(
    journal: str, tmp_path: Path, aws: moto.Moto, postgresql_server: postgresql.PostgreSQL
) -> None:
    """One process on SQLite, two replicas on PostgreSQL; all kinds side by side, each on a journal of its own."""
    plan = dict(zip(KINDS, steps_of(journal), strict=True))
    async with AsyncExitStack() as stack:
        databases = {}
        for kind in KINDS:  # one after the other: of migrations a process bears no two at once
            url = f"sqlite:///{tmp_path}/{kind}.db"
            if journal == "postgresql":
                url = await stack.enter_async_context(postgresql_server.database())
            databases[kind] = url, await opened(url, stack)
        plays = [play(kind, *databases[kind], tmp_path / kind, aws, plan[kind]) for kind in KINDS]
        died = dict(zip(KINDS, await asyncio.gather(*plays), strict=True))
    for kind, wanted in plan.items():
        assert died[kind] == Counter(wanted)
    if len(STEPS) <= RUNS:
        assert all(died[kind].keys() == STEPS.keys() for kind in KINDS)


async def opened(url: str, stack: AsyncExitStack) -> Database:
    database = Database(url, SystemClock(), BRANCHES)
    await database.open()
    stack.push_async_callback(database.close)
    return database


def steps_of(journal: str) -> list[list[str]]:
    """For each kind where its replicas die: all steps in turn, so that few runs come to each of them with some kind."""
    names = list(STEPS)
    shift = 0 if journal == "sqlite" else len(names) // 2
    each = [[names[(shift + RUNS * kind + run) % len(names)] for run in range(RUNS)] for kind in range(len(KINDS))]
    return [random.sample(steps, len(steps)) for steps in each]


async def play(kind: str, url: str, database: Database, folder: Path, aws: moto.Moto, steps: list[str]) -> Counter[str]:
    """Kill at each step, let the last replica bring everything to its end, and count."""
    async with theatre(kind, url, folder, aws) as (played, effects):
        await played.play(kind, steps)
        await played.bring_to_an_end(database)
    gates = await check(database, effects)
    assert len(gates) >= len(steps) / 3
    print(f"{kind} on {url.partition(':')[0]}: {len(steps)} kills, {len(gates)} rollbacks, {len(effects)} effects")
    return played.died


async def check(database: Database, effects: list[Effect]) -> list[Gate]:
    """Every gate failed and was rolled back: the effect of each of its actions is there once, in their order."""
    gate_store, outbox = GateStore(database, SystemClock()), Outbox(database, "check")
    async with database.read() as connection:
        ids = (await connection.execute(sa.select(tables.gates.c.id))).scalars().all()
    gates = [gate for gate_id in ids if (gate := await gate_store.find(gate_id))]
    for gate in gates:
        ordered = [gate.service, "tell"]
        assert gate.rollback is not None
        assert gate.rollback.state is RollbackState.UNCONFIRMED, gate.rollback
        orders = await outbox.of_gate(gate.id)
        assert [order.action for order in orders] == ordered
        assert {order.state for order in orders} <= {OrderState.DONE, OrderState.SEEN}
        mine = [each for each in effects if (each.service, each.version) == (gate.service, gate.candidate.version)]
        assert [each.action for each in mine] == ordered, (gate, mine)
        events = await gate_store.events(gate.id, 0)
        assert [event.sequence for event in events] == list(range(1, gate.sequence + 1))
        done = [e.body["key"] for e in events if e.kind is EventKind.ACTION and e.body["state"] in ("done", "seen")]
        assert done == [order.key for order in orders]
    assert len(effects) == 2 * len(gates)
    return gates
