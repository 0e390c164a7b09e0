"""Replicas that run checks for each other, in one process and in virtual time, with one journal."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

from healthd.checks.contract import CheckConfig, CheckContext
from healthd.config.settings import Settings
from healthd.journal.errors import JournalError
from healthd.journal.findings import Exchange, Finding, Runner
from healthd.journal.leases import LEASE, Identity, is_valid
from healthd.model import Result
from healthd.monitoring.schedule import Schedule
from healthd.monitoring.spread import Spread
from healthd.monitoring.suite import Suite
from tests.fakes.monitoring import UP, LoopClock, Stage


@dataclass
class _Row:
    runner: Runner
    environment: str
    ends: datetime
    written: datetime
    findings: dict[str, tuple[int, Finding]] = field(default_factory=dict)


@dataclass
class FindingsJournal:
    """The tables as `FindingStore` uses them; `test_findings` holds both to the same rules. Every call is one
    transaction, and takes `takes` seconds. `down` refuses, `hung` never answers."""

    clock: Any
    rows: dict[str, _Row] = field(default_factory=dict)
    takes: float = 0.01
    down: bool = False
    hung: bool = False

    async def visit(self) -> None:
        if self.hung:
            await asyncio.sleep(3600)
        if self.takes:
            await asyncio.sleep(self.takes)
        if self.down:
            raise JournalError("it is down")


class Desk:
    """What one replica's store does there."""

    def __init__(self, journal: FindingsJournal, identity: Identity) -> None:
        self.journal, self.me = journal, identity
        self.reachable = True
        self.written = 0  # findings, ever
        self._number = 0
        self._read_to: dict[str, int] = {}

    async def exchange(
        self, offers: Mapping[str, str], ages: Mapping[str, float], changed: Mapping[str, Finding]
    ) -> Exchange:
        await self._visit()
        self._number += 1
        self.written += len(changed)
        now, rows = self.journal.clock.now(), self.journal.rows
        anew = self.me.id not in rows
        before = rows[self.me.id].findings if not anew else {}
        runner = Runner(self.me.id, self.me.address, self.me.host, offers, {k: round(v, 1) for k, v in ages.items()})
        findings = {**before, **{name: (self._number, it) for name, it in changed.items()}}
        rows[self.me.id] = _Row(runner, self.me.environment(), now + timedelta(seconds=LEASE), now, findings)
        near = [it for it in rows.values() if it.environment == self.me.environment() and it.runner.id != self.me.id]
        living = [it for it in near if is_valid(it.ends, now)]
        found = {
            (it.runner.id, name): finding
            for it in living
            for name, (number, finding) in it.findings.items()
            if number > self._read_to.get(it.runner.id, 0)
        }
        for it in living:
            self._read_to[it.runner.id] = max((number for number, _ in it.findings.values()), default=0)
        return Exchange(tuple(_aged(it, now) for it in living), found, anew)

    async def leave(self) -> None:
        await self._visit()
        self.journal.rows.pop(self.me.id, None)

    async def _visit(self) -> None:
        if not self.reachable:
            raise JournalError("no route to host")
        await self.journal.visit()


def _aged(row: _Row, now: datetime) -> Runner:
    passed = (now - row.written).total_seconds()
    it = row.runner
    return Runner(it.id, it.address, it.host, it.offers, {name: age + passed for name, age in it.ages.items()})


class PlayedConfig(CheckConfig):
    act: str = "up"


class Played:
    """A check that finds what `world` says of it, and tells who asked when."""

    config_model = PlayedConfig
    world: ClassVar[dict[str, Result | Callable[[], Awaitable[Any]]]] = {}
    asked: ClassVar[list[tuple[float, str, str]]] = []

    def __init__(self, config: PlayedConfig, context: CheckContext) -> None:
        self._name, self._host = context.name, context.environ["HOST"]

    async def probe(self) -> Result:
        self.asked.append((asyncio.get_running_loop().time(), self._host, self._name))
        act = self.world.get(f"{self._name}@{self._host}") or self.world.get(self._name, UP)
        if isinstance(act, Result):
            return act
        found: Result = await act()
        return found

    async def close(self) -> None: ...


class Replica:
    """One daemon's checks; they run by the clock of the loop."""

    _starts = 0

    def __init__(self, journal: FindingsJournal, host: str, settings: Settings) -> None:
        Replica._starts += 1
        self.host, self.settings = host, settings
        self.stage = Stage(LoopClock())
        self.board = self.stage.board
        self.schedule = Schedule(lambda *_: None)
        self.suite = Suite(
            board=self.board,
            schedule=self.schedule,
            clock=self.stage.clock,
            redact=self.stage.redact,
            listener=self.stage.listener,
            environ={"HOST": host},
        )
        identity = Identity(f"{host}-{Replica._starts}", f"{host} :8080", host, lambda: self.settings.environment)
        self.desk = Desk(journal, identity)
        self.spread = Spread(
            self.suite, self.board, self.desk, self.stage.clock, identity, lambda: self.settings.spread_checks
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> "Replica":
        await self.suite.arrange(self.settings)
        self.spread.arrange()
        self._tasks = [asyncio.create_task(self.spread.run()), asyncio.create_task(self._tick())]
        return self

    async def _tick(self) -> None:
        """Hand out what is due, as the schedule does by APScheduler, which counts by the wall clock."""
        while True:
            await self.schedule._hand_out()
            await asyncio.sleep(1)

    async def reload(self, settings: Settings) -> None:
        self.settings = settings
        await self.suite.arrange(settings)
        self.spread.arrange()

    async def kill(self) -> None:
        """End it as SIGKILL does: nothing is written any more."""
        self.desk.reachable = False
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await self.suite.close()

    async def stop(self) -> None:
        """End it as SIGTERM does."""
        await self.spread.leave()
        await self.kill()
