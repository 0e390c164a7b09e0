"""Reports of jobs while the daemon runs. They count here at once, and on every replica that shares the journal within
seconds; a journal that cannot be used only delays the others."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import structlog

from healthd.checks.heartbeat_record import Record, Records, Report
from healthd.journal.errors import JournalError
from healthd.runtime.clock import Clock
from healthd.runtime.events import set_within

_log = structlog.get_logger(__name__)
_LOOK = 3.0  # seconds between two reads of the journal
_SOON = 0.5  # seconds between two attempts before the first success
_PATIENCE = 1.0  # seconds for which a caller waits for the journal
_MOST_WAITING = 100  # reports of one job kept while the journal is away; of more, the oldest are lost to the others


class Store(Protocol):
    """Store of records. Both methods raise JournalError."""

    async def load(self) -> dict[str, Record]: ...

    async def save(self, reports: Sequence[Report], expected: Iterable[tuple[str, Record]]) -> dict[str, Record]: ...


class Heartbeats:
    """Exchange of the records of `names()` with the store."""

    def __init__(self, records: Records, store: Store, clock: Clock, names: Callable[[], Iterable[str]]) -> None:
        self._records, self._store, self._clock, self._names = records, store, clock, names
        self._waiting: dict[str, deque[Report]] = {}
        self._stored: set[str] = set()
        self._news, self._exchanged = asyncio.Event(), asyncio.Event()
        self._works = False

    @property
    def unsaved(self) -> int:
        """Number of reports that the journal does not have yet, and that count on this replica alone."""
        return sum(map(len, self._waiting.values()))

    async def add(self, report: Report) -> None:
        """Count a report, and wait briefly until it is stored."""
        now = self._clock.now()
        self._records.known[report.check] = self._records.get(report.check, now).after(report, now)
        waiting = self._waiting.setdefault(report.check, deque(maxlen=_MOST_WAITING))
        if len(waiting) == _MOST_WAITING:
            _log.warning("heartbeat lost to other replicas, the journal is away for too long", check=report.check)
        waiting.append(report)
        exchanged = self._exchanged
        self._news.set()
        if self._works:
            await set_within(_PATIENCE, exchanged)

    def look(self) -> None:
        """Read the journal now: there may be new checks."""
        self._news.set()

    async def run(self) -> None:
        """Exchange reports with the journal until cancelled."""
        while True:
            self._news.clear()
            exchanged, self._exchanged = self._exchanged, asyncio.Event()
            try:
                await self._exchange()
                self._works = True
            except JournalError:  # which the journal itself logs
                self._works = False
            except Exception:  # health does not depend on it
                self._works = False
                _log.exception("heartbeats not exchanged with the journal")
            finally:
                exchanged.set()
            if not self._works:
                await asyncio.sleep(_LOOK if self._records.read_at is not None else _SOON)
                continue
            await set_within(_LOOK, self._news)

    async def flush(self) -> None:
        """Write what is left, at the end. Raises JournalError."""
        await self._save()

    async def _exchange(self) -> None:
        if not (names := set(self._names())):
            return
        asked = self._clock.now()
        for name, record in (await self._store.load()).items():
            self._stored.add(name)
            self._take(name, record)
        self._records.has_read(asked)
        for name in names:
            self._records.get(name, asked)
        await self._save()

    async def _save(self) -> None:
        reports = [report for waiting in self._waiting.values() for report in waiting]
        new = {name: self._records.known[name] for name in self._names() if name in self._records.known}
        expected = [(name, Record(since=record.since)) for name, record in new.items() if name not in self._stored]
        if not reports and not expected:
            return
        saved = await self._store.save(reports, expected)
        self._stored |= saved.keys() | {name for name, _ in expected}
        for report in reports:
            waiting = self._waiting[report.check]
            if waiting and waiting[0] is report:  # else it was pushed out meanwhile
                waiting.popleft()
        self._waiting = {name: waiting for name, waiting in self._waiting.items() if waiting}
        for name, record in saved.items():
            self._take(name, record)

    def _take(self, name: str, record: Record) -> None:
        """Take a stored record, with the reports that are not in it yet."""
        now = self._clock.now()
        for report in self._waiting.get(name, ()):
            record = record.after(report, now)
        self._records.known[name] = record
