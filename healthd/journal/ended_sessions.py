"""Sessions of people who have signed out, in the journal: replicas that share it share them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa

from healthd.journal import tables
from healthd.journal.database import Database
from healthd.runtime.clock import Clock


class EndedSessionStore:
    """Table of the sessions that have ended before their time. Both methods raise JournalError."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def load(self) -> dict[str, datetime]:
        """Return until when each session must be remembered, by its id."""
        table = tables.ended_sessions
        query = sa.select(table).where(table.c.until > self._clock.now())
        async with self._database.read() as connection:
            return {row.id: row.until for row in (await connection.execute(query)).all()}

    async def save(self, ended: Mapping[str, datetime]) -> None:
        """Store sessions, and delete those that need not be remembered any more. May be repeated."""
        table = tables.ended_sessions
        async with self._database.write() as connection:
            await self._database.one_at_a_time(connection, "ended sessions")  # two may end the same one
            await connection.execute(
                sa.delete(table).where(sa.or_(table.c.id.in_(sorted(ended)), table.c.until <= self._clock.now()))
            )
            await connection.execute(sa.insert(table), [{"id": it, "until": until} for it, until in ended.items()])
