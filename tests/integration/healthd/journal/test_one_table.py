"""Tables of a running journal on a real PostgreSQL, dropped or closed to the daemon one by one, or all at once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit

import pytest
from structlog.testing import capture_logs

from healthd.journal import tables
from healthd.journal.database import Database, JournalError
from healthd.journal.journal import AuditEntry, Journal, write_audit
from healthd.runtime.clock import SystemClock
from healthd_gates.store import tables as gate_tables
from tests.servers.postgresql import PostgreSQL
from tests.servers.waiting import until

CLOCK = SystemClock()


@pytest.fixture
async def database(postgresql_dsn: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """An open journal whose daemon writes, as it does all the time, into a table that is well."""
    monkeypatch.setattr("healthd.journal.journal._RETRY_SECONDS", 0.05)
    database = Database(postgresql_dsn, CLOCK, (tables.BRANCH, gate_tables.BRANCH))
    await database.open()
    running = asyncio.create_task(Journal(database, CLOCK, lambda: 86400).run())
    yield database
    running.cancel()
    await asyncio.wait({running})
    await database.close()


async def audit(database: Database) -> None:
    async with database.write() as connection:
        await write_audit(connection, CLOCK.now(), AuditEntry("ann", "lock.take", "api"))


async def write_elsewhere(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(tables.heartbeats.delete())


@pytest.mark.parametrize(
    ("harm", "cure"),
    [
        ("ALTER TABLE healthd_audit RENAME TO kept", "ALTER TABLE kept RENAME TO healthd_audit"),
        ("ALTER TABLE healthd_audit RENAME detail TO kept", "ALTER TABLE healthd_audit RENAME kept TO detail"),
        ("ALTER TABLE healthd_audit OWNER TO postgres", "ALTER TABLE healthd_audit OWNER TO {name}"),
    ],
)
async def test_one_table_amiss_is_told_until_it_is_well(
    postgresql_server: PostgreSQL, postgresql_dsn: str, database: Database, harm: str, cure: str
) -> None:
    """Though the others are written into meanwhile; the log has one line when it begins and one when it ends."""
    name = urlsplit(postgresql_dsn).path.strip("/")
    with capture_logs() as lines:
        await postgresql_server.execute(harm, name)
        with pytest.raises(JournalError):
            await audit(database)
        await write_elsewhere(database)
        await until(lambda: [line["event"] for line in lines] == ["journal write failed"], "a line in the log")
        await write_elsewhere(database)
        assert database.outage is not None
        assert "healthd_audit" in database.outage.problem
        assert not database.works
        await postgresql_server.execute(cure.format(name=name), name)
        await until(lambda: database.outage is None, "the end of the outage, which needs no caller")
        await until(lambda: len(lines) > 1, "its line in the log")
    assert [line["event"] for line in lines] == ["journal write failed", "journal write recovered"]
    await audit(database)


async def test_begins_anew_when_all_tables_are_dropped(
    postgresql_server: PostgreSQL, postgresql_dsn: str, database: Database
) -> None:
    """As the message of the first missing table proposes: nothing is to be restarted."""
    name = urlsplit(postgresql_dsn).path.strip("/")
    await postgresql_server.execute("DROP TABLE healthd_audit", name)
    with pytest.raises(JournalError, match="drop all that are left of healthd_… to begin anew, which needs no restart"):
        await audit(database)
    await postgresql_server.execute(
        "DO $$ DECLARE t text; BEGIN FOR t IN SELECT tablename FROM pg_tables WHERE tablename LIKE 'healthd\\_%' "
        "LOOP EXECUTE 'DROP TABLE ' || t || ' CASCADE'; END LOOP; END $$",
        name,
    )
    await until(lambda: database.outage is None, "an empty journal")
    await audit(database)


async def test_tables_that_are_out_of_sight_are_not_made_anew(
    postgresql_server: PostgreSQL, postgresql_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A schema that is closed to healthd leaves it the next one of its path, where a second journal would begin."""
    monkeypatch.setattr("healthd.journal.journal._RETRY_SECONDS", 0.05)
    name = urlsplit(postgresql_dsn).path.strip("/")
    await postgresql_server.execute(f"CREATE SCHEMA {name}", name)
    await postgresql_server.execute(f"GRANT ALL ON SCHEMA {name}, public TO {name}", name)
    database = Database(postgresql_dsn, CLOCK, (tables.BRANCH, gate_tables.BRANCH))
    await database.open()
    await audit(database)
    running = asyncio.create_task(Journal(database, CLOCK, lambda: 86400).run())
    await postgresql_server.execute(f"REVOKE ALL ON SCHEMA {name} FROM {name}", name)
    with pytest.raises(JournalError):
        await audit(database)
    looked = asyncio.Event()
    monkeypatch.setattr(database, "look_at_tables", noting(database.look_at_tables, looked))
    await looked.wait()
    assert database.outage is not None
    await postgresql_server.execute(f"GRANT ALL ON SCHEMA {name} TO {name}", name)
    await until(lambda: database.outage is None, "the end of the outage")
    async with database.read() as connection:
        assert len((await connection.execute(tables.audit.select())).all()) == 1
    running.cancel()
    await asyncio.wait({running})
    await database.close()


def noting(look: Callable[[], Awaitable[None]], looked: asyncio.Event) -> Callable[[], Awaitable[None]]:
    """The same, telling that one has come to its end."""

    async def looks() -> None:
        try:
            await look()
        finally:
            looked.set()

    return looks
