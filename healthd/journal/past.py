"""The past as the journal knows it: transitions of checks, and the audit. It only reads; every method raises
JournalError."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from healthd.journal import tables
from healthd.journal.database import Database
from healthd.model import Status

MOST = 20_000
"""Number of transitions that are read at once, the latest."""
_MOST_WINDOWS = 5000
_AT_ONCE = 500  # rows that are unpacked before others have their turn on the event loop


@dataclass(frozen=True, slots=True)
class StoredTransition:
    """Change of a check's status, as it was stored."""

    check: str
    at: datetime
    old: Status
    new: Status
    kind: str | None
    message: str


@dataclass(frozen=True, slots=True)
class AuditRow:
    """Change that a caller made."""

    id: int
    at: datetime
    caller: str
    action: str
    subject: str
    detail: Mapping[str, Any]


class Past:
    """Reader of the journal."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def transitions(self, since: datetime, check: str | None = None) -> list[StoredTransition]:
        """Return the transitions since a moment, of one check or all, and of each check the one before; oldest first.
        Where there are too many, the latest."""
        table = tables.transitions
        mine = sa.true() if check is None else table.c.check_name == check
        before = sa.select(sa.func.max(table.c.id)).where(table.c.at < since, mine).group_by(table.c.check_name)
        query = sa.select(table).where(mine, sa.or_(table.c.at >= since, table.c.id.in_(before)))
        found: list[StoredTransition] = []
        async with self._database.read() as connection:
            result = await connection.execute(query.order_by(table.c.id.desc()).limit(MOST))
            for rows in result.partitions(_AT_ONCE):
                found += [
                    StoredTransition(row.check_name, row.at, Status(row.old), Status(row.new), row.kind, row.message)
                    for row in rows
                    if isinstance(row.at, datetime)
                ]
                await asyncio.sleep(0)
        return found[::-1]

    async def audit(
        self,
        *,
        caller: str | None = None,
        action: str | None = None,
        subject: str | None = None,
        since: datetime | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[AuditRow]:
        """Return audit rows, newest first. An action that ends with a dot stands for all that begin with it."""
        table = tables.audit
        query = sa.select(table).order_by(table.c.id.desc()).limit(limit)
        if caller is not None:
            query = query.where(table.c.caller == caller)
        if action is not None and action.endswith("."):
            query = query.where(table.c.action.startswith(action, autoescape=True))
        elif action is not None:
            query = query.where(table.c.action == action)
        if subject is not None:
            query = query.where(table.c.subject == subject)
        if since is not None:
            query = query.where(table.c.at >= since)
        if before is not None:
            query = query.where(table.c.id < before)
        found: list[AuditRow] = []
        async with self._database.read() as connection:
            for rows in (await connection.execute(query)).partitions(_AT_ONCE):
                found += [
                    AuditRow(row.id, row.at, row.caller, row.action, row.subject, _detail(row.detail))
                    for row in rows
                    if isinstance(row.at, datetime)
                ]
                await asyncio.sleep(0)
        return found

    async def windows(self) -> list[AuditRow]:
        """Return the audit of windows that callers added and ended, oldest first."""
        return list(reversed(await self.audit(action="window.", limit=_MOST_WINDOWS)))


def _detail(text: str) -> Mapping[str, Any]:
    try:
        detail = json.loads(text)
    except ValueError:
        return {}
    return detail if isinstance(detail, dict) else {}
