"""Records of jobs that report in, in the journal: replicas that share it share them, and a restart forgets none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from pydantic import ValidationError

from healthd.checks.heartbeat_record import Record, Report
from healthd.journal import tables
from healthd.journal.async_engine import AsyncConnection
from healthd.journal.database import Database
from healthd.runtime.clock import Clock

_log = structlog.get_logger(__name__)
_LATE = timedelta(seconds=30)  # by which a change may become visible after its time: no transaction lasts longer


class HeartbeatStore:
    """Table of records. Every method raises JournalError."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._read_to: datetime | None = None

    async def load(self) -> dict[str, Record]:
        """Return the records that changed since the last call, with some that did not; at first all."""
        table = tables.heartbeats
        await self._database.open()
        async with self._database.read() as connection:
            now = await self._database.moment(connection)
            query = sa.select(table)
            if self._read_to is not None and self._read_to <= now:  # else the clock was set back
                query = query.where(table.c.changed >= self._read_to - _LATE)
            rows = (await connection.execute(query)).all()
        self._read_to = now
        return {row.check_name: record for row in rows if (record := _read(row.check_name, row.record)) is not None}

    async def save(self, reports: Sequence[Report], expected: Iterable[tuple[str, Record]]) -> dict[str, Record]:
        """Add reports to the stored records, and store an `expected` one where there is none. Returns the records that
        changed. May be repeated."""
        async with self._database.write() as connection:
            await self._database.one_at_a_time(connection, "heartbeats")
            fresh = dict(expected)
            names = {*fresh, *(report.check for report in reports)}
            stored = await self._stored(connection, names)
            changed = {name: record for name, record in fresh.items() if name not in stored}
            now = self._clock.now()
            for report in reports:
                before = changed.get(report.check) or stored.get(report.check) or Record(since=report.at)
                changed[report.check] = before.after(report, now)
            moment = await self._database.moment(connection)
            for name, record in changed.items():
                await self._write(connection, name, record, moment)
        return changed

    async def _stored(self, connection: AsyncConnection, names: Iterable[str]) -> dict[str, Record]:
        table = tables.heartbeats
        rows = (await connection.execute(sa.select(table).where(table.c.check_name.in_(sorted(names))))).all()
        return {row.check_name: record for row in rows if (record := _read(row.check_name, row.record)) is not None}

    async def _write(self, connection: AsyncConnection, name: str, record: Record, moment: datetime) -> None:
        table = tables.heartbeats
        await connection.execute(sa.delete(table).where(table.c.check_name == name))
        row = {"check_name": name, "record": record.model_dump_json(), "changed": moment}
        await connection.execute(sa.insert(table).values(**row))


def _read(check: str, text: str) -> Record | None:
    try:
        return Record.model_validate_json(text)
    except ValidationError:  # written by another release
        _log.warning("stored heartbeat unreadable, waiting for the next one", check=check)
        return None
