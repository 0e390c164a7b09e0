"""Sessions that people have ended, in a real PostgreSQL, which replicas share."""

import asyncio

from healthd.journal import tables
from healthd.journal.database import Database
from healthd.journal.ended_sessions import EndedSessionStore
from healthd.runtime.clock import SystemClock
from healthd.web.ended_sessions import EndedSessions


async def test_three_replicas(postgresql_dsn: str) -> None:
    """Each learns of what ended at the others, also of what was ended at all of them at once, from several tabs."""
    clock = SystemClock()
    databases = [Database(postgresql_dsn, clock, (tables.BRANCH,)) for _ in range(3)]
    for database in databases:
        await database.open()
    replicas = [EndedSessions(EndedSessionStore(it, clock), clock, lambda: True) for it in databases]
    for number, replica in enumerate(replicas):
        await replica.add(f"of-{number}")
    for number in range(20):
        await asyncio.gather(*(replica.add(f"of-all-{number}") for replica in replicas))
    of_all = {f"of-all-{number}" for number in range(20)}
    for replica in replicas:
        await replica._load()
        assert {"of-0", "of-1", "of-2", *of_all} == replica._known.keys()
        assert not replica._unsaved
    for database in databases:
        await database.close()
