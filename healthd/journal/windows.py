"""Windows that callers have added, in the journal: replicas that share it share them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import sqlalchemy as sa
import structlog
from pydantic import ValidationError

from healthd.config.window import Window
from healthd.journal import tables
from healthd.journal.database import Database
from healthd.journal.journal import AuditEntry, write_audit
from healthd.labels import matches
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
        windows = {row.id: _read(row.id, row.window) for row in rows}
        return {key: window for key, window in windows.items() if window is not None}

    async def save(
        self, changes: Mapping[str, Window | None], entries: list[AuditEntry]
    ) -> Mapping[str, Window | None]:
        """Store windows, or delete those that are None, with the audit of it; return each as it is stored. May be
        repeated. Every replica sees a recovery: what one leaves out of a window is left out of what another has left of
        it, a window that was deleted meanwhile is not stored again, and a change by itself that another has made is in
        the audit already."""
        table = tables.windows
        by_itself = {it.subject for it in entries if it.action == "window.narrow"}
        by_itself -= {it.subject for it in entries if it.action in ("window.add", "window.move")}
        known: set[str] = set()
        result: dict[str, Window | None] = {}
        async with self._database.write() as connection:
            await self._database.one_at_a_time(connection, "windows")
            for key, wanted in changes.items():
                mine = table.c.id == key
                text = (await connection.execute(sa.select(table.c.window).where(mine))).scalar()
                stored = _read(key, text) if text is not None else None
                narrows = wanted is not None and key in by_itself
                window = what_both_left(stored, wanted) if wanted is not None and narrows else wanted
                result[key] = window
                if (window is None and text is None) or (narrows and window == stored):
                    known.add(key)
                    continue
                await connection.execute(sa.delete(table).where(mine))
                if window is not None:
                    written = window.model_dump_json(by_alias=True)
                    await connection.execute(sa.insert(table).values(id=key, window=written, ends=window.end))
            await connection.execute(sa.delete(table).where(table.c.ends <= self._clock.now()))
            others = {key: result[key] for key in by_itself & result.keys() if result[key] != changes[key]}
            told = [_as_stored(it, others) for it in entries if it.subject not in known or "because" not in it.detail]
            if told:
                await write_audit(connection, self._clock.now(), *told)
        return result


def what_both_left(stored: Window | None, narrowed: Window) -> Window | None:
    """Return a window of which this replica has left `narrowed`, and others what is stored; None where no check is left
    by both."""
    if stored is None:
        return None
    named_alone = stored.checks and not (stored.groups or stored.labels)
    left = tuple(name for name in narrowed.checks if not named_alone or matches(name, stored.checks))
    return stored.model_copy(update={"checks": left, "groups": (), "labels": {}}) if left else None


def _as_stored(entry: AuditEntry, narrower: Mapping[str, Window | None]) -> AuditEntry:
    """Return what the audit has of a window that others have narrowed too: what is left by all, or its end."""
    if entry.action != "window.narrow" or entry.subject not in narrower:
        return entry
    because = {name: value for name, value in entry.detail.items() if name != "left"}
    if (window := narrower[entry.subject]) is None:
        return replace(entry, action="window.end", detail=because)
    return replace(entry, detail={"left": sorted(window.checks), **because})


def _read(key: str, text: str) -> Window | None:
    try:
        return Window.model_validate_json(text)
    except ValidationError:  # written by another release
        _log.warning("stored window unreadable, not in force", window=key)
        return None
