"""Incidents that people write about, in the journal. Updates are added and never changed, so that replicas which wrote
while the journal was away have all of them in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
import structlog
from pydantic import ValidationError

from healthd.config.incident import Update
from healthd.journal import tables
from healthd.journal.database import Database
from healthd.journal.journal import AuditEntry, write_audit
from healthd.runtime.clock import Clock

_log = structlog.get_logger(__name__)
_AT_ONCE = 100  # updates that are unpacked before others have their turn on the event loop


class IncidentStore:
    """Table of the updates. Every method raises JournalError."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def mark(self) -> tuple[int, datetime | None]:
        """Return what changes whenever the table does."""
        table = tables.incident_updates
        async with self._database.read() as connection:
            row = (await connection.execute(sa.select(sa.func.count(), sa.func.max(table.c.at)))).one()
        return row[0], row[1]

    async def load(self) -> dict[str, Update]:
        """Return all updates by id."""
        found: dict[str, Update] = {}
        async with self._database.read() as connection:
            for rows in (await connection.execute(sa.select(tables.incident_updates))).partitions(_AT_ONCE):
                for row in rows:
                    try:
                        found[row.id] = Update.model_validate_json(row.body)
                    except ValidationError:  # written by another release
                        _log.warning("stored update of an incident unreadable, not shown", incident=row.incident)
                await asyncio.sleep(0)
        return found

    async def add(self, updates: Sequence[Update], entries: Sequence[AuditEntry]) -> None:
        """Store updates with the audit of them. May be repeated: what is stored already is left as it is."""
        table = tables.incident_updates
        async with self._database.write() as connection:
            wanted = [update.id for update in updates]
            query = sa.select(table.c.id).where(table.c.id.in_(wanted))
            stored = {row.id for row in (await connection.execute(query)).all()}
            new = [update for update in updates if update.id not in stored]
            if new:
                rows = [{"id": it.id, "incident": it.incident, "at": it.at, "body": it.model_dump_json()} for it in new]
                await connection.execute(sa.insert(table), rows)
            ids = {update.id for update in new}
            mine = [entry for entry in entries if entry.detail.get("update") in ids]
            if mine:
                await write_audit(connection, self._clock.now(), *mine)

    async def forget(self, incidents: Sequence[str]) -> None:
        """Delete incidents."""
        table = tables.incident_updates
        async with self._database.write() as connection:
            await connection.execute(sa.delete(table).where(table.c.incident.in_(incidents)))
