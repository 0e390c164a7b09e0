"""Replicas in one process and in virtual time: each with its own board, one journal, one receiver."""

import asyncio
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from healthd.config.settings import Settings
from healthd.config.window import Window
from healthd.journal.errors import JournalError
from healthd.journal.journal import AuditEntry
from healthd.journal.leases import is_valid
from healthd.journal.windows import what_both_left
from healthd.metrics import Metrics
from healthd.model import Probe, Result, Transition
from healthd.monitoring.windows import Windows
from healthd.notifiers import NOTIFIERS
from healthd.notifiers.notice import Notice
from healthd.notify.notifications import Notifications
from healthd.notify.replica_store import Exchanged
from healthd.notify.replicas import Replicas
from healthd.notify.told import Answer, Change, Key, Memory, Told
from healthd.notify.told_store import Claim, decided, left_by_the_dead
from healthd.notify.view import View, in_order
from tests.fakes.monitoring import Stage

KINDS = ("slack", "webhook", "pagerduty", "alertmanager")


@dataclass
class SharedJournal:
    """The tables of the journal as `JournalStore` and `ReplicaStore` use them, with the same rules (`decided`,
    `is_valid`); every call is one transaction, and takes `takes` seconds. `down` refuses, `hung` never answers."""

    clock: Any
    told: dict[Key, Told] = field(default_factory=dict)
    claims: dict[Key, Claim] = field(default_factory=dict)
    replicas: dict[str, tuple[str, str, datetime, View]] = field(default_factory=dict)
    windows: dict[str, Window] = field(default_factory=dict)
    takes: float = 0.01
    down: bool = False
    hung: bool = False

    async def visit(self) -> None:
        patience = 10.0  # as that of the journal's connections
        while self.hung and patience > 0:
            await asyncio.sleep(0.5)
            patience -= 0.5
        await asyncio.sleep(self.takes)
        if self.down or self.hung:
            raise JournalError("it is down")


class Seat:
    """What one replica's stores do there."""

    is_sqlite = False

    def __init__(self, journal: SharedJournal, name: str, address: str, environment: str) -> None:
        self.journal, self.name, self.address, self.environment = journal, name, address, environment
        self.reachable = True

    async def visit(self) -> SharedJournal:
        if not self.reachable:
            raise JournalError("no route to host")
        await self.journal.visit()
        return self.journal

    async def load(self) -> Mapping[Key, Told]:
        return dict((await self.visit()).told)

    async def save(self, changes: Mapping[Key, Change], released: Collection[Key]) -> None:
        journal = await self.visit()
        for key, change in changes.items():
            if key in journal.told and journal.told[key].at <= change.until:
                del journal.told[key]
            if change.told is not None:
                journal.told.setdefault(key, change.told)
        for key in {*changes, *released}:
            if key in journal.claims and journal.claims[key].holder == self.name:
                del journal.claims[key]

    async def claim(self, receiver: str, wanted: Mapping[str, tuple[Notice, Told | None]], seconds: float) -> Answer:
        journal = await self.visit()
        now = journal.clock.now()
        told = {subject: it for (name, subject), it in journal.told.items() if name == receiver}
        claims = {subject: it for (name, subject), it in journal.claims.items() if name == receiver}
        answer = decided(wanted, told, claims, self._living(now), now, self.name)
        for subject in answer.adopted:
            journal.claims.pop((receiver, subject))
            journal.told.pop((receiver, subject), None)
            if (adopted := answer.changed[subject]) is not None:
                journal.told[receiver, subject] = adopted
        for subject, since in answer.mine.items():
            ends = now + timedelta(seconds=seconds)
            journal.claims[receiver, subject] = Claim(
                self.name, ends, wanted[subject][0].standing, since, wanted[subject][0]
            )
        return answer

    def _living(self, now: datetime) -> set[str]:
        held = {name for name, (*_, ends, _view) in self.journal.replicas.items() if is_valid(ends, now)}
        return held | {self.name}

    async def exchange(self, view: View, known: Mapping[Key, datetime], seconds: float) -> Exchanged:
        journal = await self.visit()
        now = journal.clock.now()
        journal.replicas[self.name] = self.address, self.environment, now + timedelta(seconds=seconds), view
        living = [it for name, it in journal.replicas.items() if name != self.name and is_valid(it[2], now)]
        near = sorted((it for it in living if it[1] == self.environment), key=lambda it: it[2])
        others = in_order([replace(view, address=address) for address, _, _, view in near], self.address)
        changed = {key: told for key, told in journal.told.items() if known.get(key) != told.at}
        lapses = min(((it[2] - now).total_seconds() for it in near), default=math.inf)
        left = {key: left_by_the_dead(claim, self._living(now)) for key, claim in journal.claims.items()}
        doubtful = {key: notice for key, notice in left.items() if notice is not None}
        foreign = {it[1] for it in living} - {self.environment}
        return Exchanged(others, foreign, changed, set(journal.told), doubtful, lapses)

    async def leave(self, *, at_once: bool) -> None:
        journal = await self.visit()
        if at_once:
            journal.replicas.pop(self.name, None)


class WindowSeat:
    """What one replica's store of windows does there."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat

    async def load(self) -> dict[str, Window]:
        return dict((await self._seat.visit()).windows)

    async def save(
        self, changes: Mapping[str, Window | None], entries: list[AuditEntry]
    ) -> Mapping[str, Window | None]:
        windows = (await self._seat.visit()).windows
        narrowed = {it.subject for it in entries if it.action == "window.narrow"}
        stored = {
            key: what_both_left(windows.get(key), window) if window is not None and key in narrowed else window
            for key, window in changes.items()
        }
        for key, window in stored.items():
            windows.pop(key, None)
            if window is not None:
                windows[key] = window
        return stored


class Receiver:
    """Takes what every replica sends, each message in `takes` seconds: it is told in the middle of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[Notice] = []
        self.messages: list[Notice] = []
        self.at: list[float] = []
        self.takes = 0.2
        self.refuse: Callable[[Sequence[Notice]], bool] = lambda _: False

        async def send(_notifier: Any, notices: Sequence[Notice]) -> None:
            await asyncio.sleep(self.takes / 2)
            if self.refuse(notices):
                raise ConnectionError("refused")
            self.messages += notices
            self.told += [part for notice in notices for part in (notice.parts or [notice])]
            self.at += [asyncio.get_running_loop().time()] * (len(self.told) - len(self.at))
            await asyncio.sleep(self.takes / 2)

        for kind in KINDS:
            monkeypatch.setattr(NOTIFIERS.find(kind), "send", send)

    @property
    def words(self) -> list[str]:
        return [f"{notice.name} {notice.standing}" for notice in self.told]

    @property
    def ids(self) -> list[str]:
        return [notice.id for notice in self.told]


class Replica:
    """One daemon's notifications; its board is filled by hand."""

    _starts = 0

    def __init__(self, journal: SharedJournal, host: str, settings: Settings, address: str | None = None) -> None:
        """`address` is the host itself unless several replicas run there."""
        Replica._starts += 1
        address = address or host
        self.stage = Stage()
        self.stage.arrange(dict(settings.active_checks), dict(settings.active_groups), settings.windows)
        self.seat = Seat(journal, f"{host}-{Replica._starts}", address, settings.environment)
        memory = Memory(self.seat)
        board, clock = self.stage.board, self.stage.clock
        self.windows = Windows(board, WindowSeat(self.seat), clock)
        self.metrics = Metrics(board, "1", settings.environment)
        self.notifications = Notifications(
            settings,
            board=board,
            clock=clock,
            redact=self.stage.redact,
            metrics=self.metrics,
            memory=memory,
            replicas=(replicas := Replicas(host, memory, clock, self.seat, address=address)),
            read_windows=self.windows.read,
        )
        self.notifications.recovered = self.windows.recovered
        self.windows.acknowledgements.others = replicas
        self._tasks = [asyncio.create_task(it) for it in (self.notifications.run(), self.windows.run())]

    def put(self, name: str, result: Result) -> None:
        board, clock = self.stage.board, self.stage.clock
        before, now = board.check(name), clock.now()
        since = before.since if before.status is result.status and before.since else now
        state = replace(
            before, status=result.status, since=since, probe=Probe(now, 0.01, result), good_until=clock.steady() + 7200
        )
        board.put(state)
        if before.status is not result.status:
            self.windows.changed(Transition(name, before.status, result.status, now, None))
        self.notifications.changed()

    async def kill(self) -> None:
        """End it as SIGKILL does: nothing is written any more."""
        tasks = [*self._tasks, *self.notifications._tasks.values()]
        self.seat.reachable = False
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await self.notifications._session.close()

    async def stop(self) -> None:
        """End it as SIGTERM does."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await self.notifications.close()
