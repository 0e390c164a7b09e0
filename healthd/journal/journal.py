"""Journal of the daemon: stores transitions and audit, and deletes old ones. A journal that is down stops nothing."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog

from healthd.checks.failures import describe
from healthd.journal import tables
from healthd.journal.async_engine import AsyncConnection
from healthd.journal.database import Database
from healthd.journal.driver_errors import is_callers_own, sentence
from healthd.journal.errors import JournalError, JournalGoneError
from healthd.model import Status, Transition
from healthd.runtime.clock import Clock
from healthd.runtime.events import set_within

_log = structlog.get_logger(__name__)
_WAITING = 10_000  # transitions kept while the journal is down; beyond that the oldest are dropped
_RETRY_SECONDS = 5.0
_CLEANING_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change by a caller, or by the daemon itself. `detail` is JSON and holds no secret."""

    caller: str
    action: str
    subject: str
    detail: Mapping[str, Any] = field(default_factory=dict)


async def write_audit(connection: AsyncConnection, moment: datetime, *entries: AuditEntry) -> None:
    """Write audit rows in the transaction of the change that they describe."""
    await connection.execute(
        sa.insert(tables.audit),
        [
            {
                "at": moment,
                "caller": entry.caller,
                "action": entry.action,
                "subject": entry.subject,
                "detail": json.dumps(entry.detail, default=str),
            }
            for entry in entries
        ],
    )


class Journal:
    """Writes transitions in the background and deletes what is older than `retention()` seconds."""

    def __init__(self, database: Database, clock: Clock, retention: Callable[[], float]) -> None:
        self.database = database
        self._clock, self._retention = clock, retention
        self._waiting: deque[Transition] = deque(maxlen=_WAITING)
        self._news = asyncio.Event()
        self._clean_at = 0.0
        database.ask_for_looks(self._news.set)

    def changed(self, transition: Transition) -> None:
        """Queue a transition; it is stored soon."""
        self._waiting.append(transition)
        self._news.set()

    @property
    def waiting(self) -> int:
        """Number of transitions that are not stored yet."""
        return len(self._waiting)

    async def run(self) -> None:
        """Write until cancelled. While the journal is down, retry every few seconds."""
        trouble: str | None = None
        while True:
            try:
                await self.database.open()
                while True:
                    await self.database.look_at_tables()
                    await self._write_waiting()
                    await self._clean()
                    trouble = _told(trouble, None)
                    await self._wait_for_news()
            except JournalGoneError as error:  # which the database has logged
                trouble = str(error)
            except JournalError as error:
                trouble = _told(trouble, str(error))
            except Exception as error:  # a bug of ours must not stop the health endpoints
                trouble = _told(trouble, f"a fault in healthd itself: {describe(error)}")
                _log.debug("journal write failed", exc_info=error)
            await asyncio.sleep(_RETRY_SECONDS)

    async def flush(self) -> None:
        """Write what is left, at the end. Raises JournalError."""
        await self._write_waiting()

    async def transitions(self, check: str, limit: int = 100) -> list[dict[str, Any]]:
        """Return the latest transitions of a check, newest first. Raises JournalError."""
        table = tables.transitions
        query = sa.select(table).where(table.c.check_name == check).order_by(table.c.id.desc()).limit(limit)
        async with self.database.read() as connection:
            return [dict(row) for row in (await connection.execute(query)).mappings()]

    async def changes(self, seconds: float, limit: int = 20_000) -> list[tuple[str, datetime, Status, Status]]:
        """Return the transitions of the last seconds, and of each check the one before them: check, time, old status,
        new status. Oldest first; above the limit, the latest. Raises JournalError."""
        table = tables.transitions
        start = self._clock.now() - timedelta(seconds=seconds)
        before = sa.select(sa.func.max(table.c.id)).where(table.c.at < start).group_by(table.c.check_name)
        query = sa.select(table.c.check_name, table.c.at, table.c.old, table.c.new)
        query = query.where(sa.or_(table.c.at >= start, table.c.id.in_(before)))
        async with self.database.read() as connection:
            rows = (await connection.execute(query.order_by(table.c.id.desc()).limit(limit))).all()
        return [(row.check_name, row.at, Status(row.old), Status(row.new)) for row in reversed(rows)]

    async def _write_waiting(self) -> None:
        while batch := list(self._waiting):
            try:
                await self._write(batch)
            except Exception as error:
                if not is_callers_own(error):
                    raise
                # The database refuses one of them: the others must not wait for it.
                batch = batch[:1]
                await self._write_or_drop(batch[0])
            for _ in range(min(len(batch), len(self._waiting))):
                self._waiting.popleft()

    async def _write(self, batch: Sequence[Transition]) -> None:
        async with self.database.write() as connection:
            await connection.execute(sa.insert(tables.transitions), [_row(transition) for transition in batch])

    async def _write_or_drop(self, transition: Transition) -> None:
        try:
            await self._write([transition])
        except Exception as error:
            if not is_callers_own(error):
                raise
            _log.error("transition not stored", check=transition.check, problem=sentence(error))

    async def _clean(self) -> None:
        if self._clock.steady() < self._clean_at:
            return
        oldest = self._clock.now() - timedelta(seconds=self._retention())
        async with self.database.write() as connection:
            for table in (tables.transitions, tables.audit):
                await connection.execute(sa.delete(table).where(table.c.at < oldest))
        self._clean_at = self._clock.steady() + _CLEANING_SECONDS

    async def _wait_for_news(self) -> None:
        self._news.clear()
        if self._waiting or self.database.tables_amiss:
            return
        await set_within(_CLEANING_SECONDS, self._news)


def _row(transition: Transition) -> dict[str, Any]:
    result = transition.probe.result if transition.probe else None
    return {
        "check_name": transition.check,
        "old": transition.old.value,
        "new": transition.new.value,
        "at": transition.at,
        "kind": result.kind.value if result and result.kind else None,
        "message": result.message if result else "overdue",
    }


def _told(before: str | None, now: str | None) -> str | None:
    """Log a failure when it starts and when it ends, not at every attempt."""
    if now is not None and before != now:
        _log.error("journal write failed", problem=now)
    elif now is None and before is not None:
        _log.info("journal write recovered")
    return now
