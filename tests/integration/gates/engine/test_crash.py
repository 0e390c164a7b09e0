"""kill -9 at random moments: every acknowledged gate comes to a verdict, and none to two.

`HEALTHD_CRASH_RUNS` says how often to kill, 10 times unless given.
"""

import asyncio
import os
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
import sqlalchemy as sa

from healthd.journal.database import Database
from healthd.runtime.clock import SystemClock
from healthd_gates.domain.action_order import OrderState
from healthd_gates.domain.gate import EventKind, GateState
from healthd_gates.store import tables
from healthd_gates.store.gate_store import GateStore
from healthd_gates.store.outbox import Outbox
from tests.integration.gates.engine.crash_worker import ORDERED, VERDICTS, kind_of, main
from tests.integration.gates.engine.forks import FORKS
from tests.servers.waiting import until

RUNS = int(os.environ.get("HEALTHD_CRASH_RUNS", "10"))
_SECONDS_A_RUN = (0.0, 2.0)
_WHILE_STARTING = 4  # every fourth kill comes whenever it comes, the others after a gate was acknowledged
_WORST_SECONDS = 150.0


@dataclass
class Workers:
    """Replicas on one journal, killed and started again; what they said is kept."""

    url: str
    folder: Path
    alive: list[ForkServerProcess] = field(default_factory=list)
    started: int = 0

    def start(self, *, drain: bool = False) -> None:
        self.started += 1
        said = self.folder / f"said-{self.started}"
        said.touch()
        worker = FORKS.Process(target=main, args=(self.url, said), kwargs={"drain": drain})
        worker.start()
        self.alive.append(worker)

    def kill(self, index: int) -> None:
        worker = self.alive.pop(index)
        assert worker.exitcode is None, "a worker ended by itself: see the log"
        worker.kill()
        worker.join()

    async def acknowledge(self) -> None:
        """Wait until one of those that live has acknowledged a gate."""

        def acknowledged() -> bool:
            newest = [self.folder / f"said-{self.started - n}" for n in range(len(self.alive))]
            return any(b"ack " in said.read_bytes() for said in newest)

        await until(acknowledged, "a gate is acknowledged", timeout=_WORST_SECONDS)

    def said(self) -> Iterator[list[str]]:
        for file in sorted(self.folder.glob("said-*")):
            if not file.suffix:
                whole, _, _cut_off = file.read_text().rpartition("\n")
                yield from (line.split() for line in whole.splitlines())


@pytest.mark.timeout(300 + 15 * RUNS)
@pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)
async def test_every_acknowledged_gate_comes_to_one_verdict(url: str, tmp_path: Path, database: Database) -> None:
    """One process on SQLite, two replicas on PostgreSQL; the verdict is the one that the traffic calls for."""
    replicas = 2 if url.startswith("postgresql") else 1
    workers = Workers(url, tmp_path)
    try:
        for run in range(RUNS):
            while len(workers.alive) < replicas:
                workers.start()
            if run % _WHILE_STARTING:
                await workers.acknowledge()
            await asyncio.sleep(random.uniform(*_SECONDS_A_RUN))
            workers.kill(random.randrange(replicas))
        while workers.alive:
            workers.kill(0)
        workers.start(drain=True)
        await all_over(database)
    finally:
        while workers.alive:
            workers.kill(0)
    lines = list(workers.said())
    acknowledged = {line[1]: line[2] for line in lines if line[0] == "ack"}
    announced = Counter(line[1] for line in lines if line[0] == "verdict")
    assert len(acknowledged) >= RUNS / 2
    assert not [gate for gate, times in announced.items() if times > 1]
    await check(database, acknowledged)
    print(f"{RUNS} kills, {len(acknowledged)} gates acknowledged")


async def all_over(database: Database) -> None:
    """Wait until no gate is left that is not over."""
    active = sa.select(sa.func.count()).where(tables.gates.c.state != GateState.FINISHED.value)
    for _ in range(int(_WORST_SECONDS / 0.2)):
        async with database.read() as connection:
            if (await connection.execute(active)).scalar_one() == 0:
                return
        await asyncio.sleep(0.2)
    raise AssertionError(f"gates are left without an end after {_WORST_SECONDS} s")


async def check(database: Database, acknowledged: dict[str, str]) -> None:
    """What is stored of each gate, acknowledged or not."""
    gate_store, outbox = GateStore(database, SystemClock()), Outbox(database, "check")
    events = defaultdict(list)
    async with database.read() as connection:
        rows = await connection.execute(sa.select(tables.gate_events).order_by(tables.gate_events.c.sequence))
        for row in rows:
            events[row.gate_id].append(row)
    assert acknowledged.keys() <= events.keys()
    for gate_id, log in events.items():
        gate = await gate_store.find(gate_id)
        assert gate is not None
        assert gate.decision is not None
        expected = VERDICTS[kind_of(gate.service)]
        assert gate.decision.verdict.value == expected, (gate.service, gate.decision)
        assert [event.sequence for event in log] == list(range(1, gate.sequence + 1))
        assert sum(event.kind == EventKind.DECISION for event in log) == 1
        orders = await outbox.of_gate(gate_id)
        assert [order.action for order in orders] == (list(ORDERED) if expected == "fail" else [])
        assert all(order.state is OrderState.DONE for order in orders)
