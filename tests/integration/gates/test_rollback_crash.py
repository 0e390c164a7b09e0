"""kill -9 between any two steps of a rollback, decide → store → act → confirm: it is carried out, and once.

`HEALTHD_CRASH_RUNS` says how often to kill, once at each step unless given.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa

from gates.gate import EventKind, RollbackState
from gates.ledger import tables
from gates.ledger.ledger import Ledger
from gates.ledger.outbox import OrderState, Outbox
from healthd.clock import SystemClock
from healthd.journal.database import Database
from tests.integration.gates.rollback_worker import ORDERED, STEPS
from tests.integration.gates.test_crash import all_over
from tests.servers.peers import Answer, Peer, Received

RUNS = int(os.environ.get("HEALTHD_CRASH_RUNS", len(STEPS)))
_DIES_WITHIN = 60.0


class Receiver:
    """Idempotent: what comes under a key has its effect the first time. Now and then it is slow, or out of order."""

    def __init__(self, peer: Peer) -> None:
        self.effects: list[str] = []
        self.calls: Counter[str] = Counter()
        peer.answer("POST", "/", self._answer)
        self.url = f"{peer.url}/"

    def _answer(self, received: Received) -> Answer:
        if random.random() < 0.15:
            return Answer(503)
        key = received.headers["Idempotency-Key"]
        self.calls[key] += 1
        if self.calls[key] == 1:
            self.effects.append(key)
        return Answer(200, delay=random.choice((0.0, 0.0, 0.2)))


class Workers:
    """Replicas on one journal, each with a step at which it dies."""

    def __init__(self, url: str, receiver: str, folder: Path) -> None:
        self._argv = [sys.executable, "-m", "tests.integration.gates.rollback_worker", url, receiver]
        self._folder, self._started = folder, 0
        self.alive: list[subprocess.Popen[bytes]] = []

    def start(self, *words: str) -> None:
        self._started += 1
        log = self._folder / f"log-{self._started}"
        with log.open("wb") as out:
            worker = subprocess.Popen([*self._argv, *words], stdout=out, stderr=out, cwd=Path(__file__).parents[3])
        self.alive.append(worker)

    async def one_dies(self) -> None:
        """Wait until one has killed itself, and let go of it."""
        for _ in range(int(_DIES_WITHIN / 0.05)):
            for worker in self.alive:
                if worker.poll() is not None:
                    assert worker.returncode == -signal.SIGKILL, "a worker ended by itself: see its log"
                    self.alive.remove(worker)
                    return
            await asyncio.sleep(0.05)
        raise AssertionError(f"no worker came to its step within {_DIES_WITHIN} s")

    def kill_all(self) -> None:
        while self.alive:
            worker = self.alive.pop()
            worker.kill()
            worker.wait()


@pytest.mark.timeout(90 + 15 * RUNS)
@pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)
async def test_a_rollback_is_carried_out_once_wherever_a_replica_dies(
    url: str, tmp_path: Path, database: Database, peer: Peer
) -> None:
    """One process on SQLite, two replicas on PostgreSQL."""
    receiver = Receiver(peer)
    workers = Workers(url, receiver.url, tmp_path)
    steps = [step for _ in range(RUNS // len(STEPS) + 1) for step in random.sample(list(STEPS), len(STEPS))][:RUNS]
    try:
        for step in steps:
            workers.start(step, str(random.randint(1, 4)))
            if len(workers.alive) > (1 if url.startswith("postgresql") else 0):
                await workers.one_dies()
        workers.kill_all()
        workers.start()
        await all_over(database)
    finally:
        workers.kill_all()
    gates = await check(database, receiver)
    repeated = sum(calls > 1 for calls in receiver.calls.values())
    print(f"{RUNS} kills, {gates} rollbacks, {len(receiver.effects)} effects, {repeated} keys came more than once")


async def check(database: Database, receiver: Receiver) -> int:
    """Every gate failed and was rolled back: each action's effect is there once, in the order of its gate."""
    ledger, outbox = Ledger(database, SystemClock()), Outbox(database, "check")
    async with database.read() as connection:
        ids = (await connection.execute(sa.select(tables.gates.c.id))).scalars().all()
    assert len(ids) >= RUNS / 3
    for gate_id in ids:
        gate = await ledger.find(gate_id)
        assert gate is not None
        assert gate.rollback is not None
        assert gate.rollback.state is RollbackState.UNCONFIRMED
        orders = await outbox.of_gate(gate_id)
        assert [(order.action, order.state) for order in orders] == [(name, OrderState.DONE) for name in ORDERED]
        assert [key for key in receiver.effects if key.startswith(gate_id)] == [order.key for order in orders]
        events = await ledger.events(gate_id, 0)
        assert [event.sequence for event in events] == list(range(1, gate.sequence + 1))
        done = [e.body["key"] for e in events if e.kind is EventKind.ACTION and e.body["state"] == "done"]
        assert done == [order.key for order in orders]
    assert len(receiver.effects) == len(ids) * len(ORDERED)
    return len(ids)
