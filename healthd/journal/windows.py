"""Windows that callers have added, in the journal: replicas that share it share them."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
import structlog
from pydantic import ValidationError

from healthd.config.window import Window
from healthd.journal import tables
from healthd.journal.database import Database
from healthd.journal.journal import AuditEntry, write_audit
from healthd.runtime.clock import Clock

_log = structlog.get_logger(__name__)


class WindowStore:
    """Table of the windows that are not over. Every method raises JournalError."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def load(self) -> dict[str, Window]:
        """Return all windows by id."""
        table = tables.windows
        query = sa.select(table).where(table.c.ends > self._clock.now())
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        found: dict[str, Window] = {}
        for row in rows:
            try:
                found[row.id] = Window.model_validate_json(row.window)
            except ValidationError:  # written by another release
                _log.warning("stored window unreadable, not in force", window=row.id)
        return found

    async def save(self, changes: Mapping[str, Window | None], entries: list[AuditEntry]) -> None:
        """Store windows, or delete those that are None, with the audit of it. May be repeated. Every replica sees a
        recovery: the end by itself of a window that another has deleted is in the audit already, and one that was
        deleted meanwhile is not stored again because fewer of its checks fail."""
        table = tables.windows
        gone: set[str] = set()
        narrowed = {it.subject for it in entries if it.action == "window.narrow"}
        narrowed -= {it.subject for it in entries if it.action in ("window.add", "window.move")}
        async with self._database.write() as connection:
            await self._database.one_at_a_time(connection, "windows")
            for key, window in changes.items():
                mine = table.c.id == key
                stored = (await connection.execute(sa.select(table.c.window).where(mine))).scalar()
                text = window.model_dump_json(by_alias=True) if window is not None else None
                if (stored is None and text is None) or (key in narrowed and stored in (None, text)):
                    gone.add(key)
                    continue
                await connection.execute(sa.delete(table).where(mine))
                if window is not None:
                    await connection.execute(sa.insert(table).values(id=key, window=text, ends=window.end))
            await connection.execute(sa.delete(table).where(table.c.ends <= self._clock.now()))
            entries = [it for it in entries if it.subject not in gone or "because" not in it.detail]
            if entries:
                await write_audit(connection, self._clock.now(), *entries)
