"""A journal on a real PostgreSQL: rights, schemas, neighbours, and addresses as applications have them."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from healthd.checks.heartbeat_record import Report, Signal
from healthd.journal import tables
from healthd.journal.database import Database, JournalError
from healthd.journal.heartbeats import HeartbeatStore
from healthd.journal.journal import AuditEntry, write_audit
from healthd.runtime.clock import SystemClock
from healthd_gates.store import tables as gate_tables
from tests.servers import postgresql, tls

CLOCK = SystemClock()
BRANCHES = (tables.BRANCH, gate_tables.BRANCH)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = Database(url, CLOCK, BRANCHES)
    try:
        await database.open()
        yield database
    finally:
        await database.close()


async def note(database: Database) -> None:
    async with database.write() as connection:
        await write_audit(connection, CLOCK.now(), AuditEntry("ann", "lock.take", "api"))


@pytest.fixture
def name(postgresql_dsn: str) -> str:
    """The database and the role that owns it."""
    return urlsplit(postgresql_dsn).path.strip("/")


@pytest.mark.parametrize(
    "query",
    [
        "application_name=x&connect_timeout=10&channel_binding=prefer&keepalives=1&gssencmode=disable",
        "sslmode=prefer&target_session_attrs=read-write&options=-c%20statement_timeout%3D9000",
        "schema=public&pgbouncer=true&connection_limit=1&pool_timeout=30",
        "ssl=false&nonsense=1",
    ],
)
async def test_words_of_an_application(postgresql_dsn: str, query: str) -> None:
    """It is opened and written to whatever stands behind the `?`."""
    async with opened(f"{postgresql_dsn}?{query}") as database:
        await note(database)


async def test_a_certificate_that_is_verified(tmp_path: Path) -> None:
    """By the authority in `sslrootcert`; a file that is not there is named."""
    authority = tls.Authority(tmp_path)
    with postgresql.primary() as server:
        for path in authority.good().save(server.data):
            path.chmod(0o600)
            os.chown(path, server.data.stat().st_uid, -1)
        for setting in ("ssl = on", "ssl_cert_file = 'server.crt'", "ssl_key_file = 'server.key'"):
            await server.execute(f"ALTER SYSTEM SET {setting}")
        await server.execute("SELECT pg_reload_conf()")
        async with server.database() as dsn:
            uri = f"{dsn}?sslmode=verify-full&sslrootcert="
            async with opened(f"{uri}{authority.trust}") as database:
                await note(database)
            with pytest.raises(JournalError, match=r"sslrootcert: the file /nowhere\.pem does not exist"):
                await Database(f"{uri}/nowhere.pem", CLOCK, BRANCHES).open()


async def test_reports_of_jobs_at_once(postgresql_dsn: str) -> None:
    """Two replicas that write at the same time lose none, and each reads what the other wrote."""
    async with opened(postgresql_dsn) as one, opened(postgresql_dsn) as two:
        stores = [HeartbeatStore(database, CLOCK) for database in (one, two)]
        for store in stores:
            await store.load()
        starts = [Report("backup", Signal.START, CLOCK.now(), run=str(number)) for number in range(10)]
        await asyncio.gather(*(stores[n % 2].save([start], []) for n, start in enumerate(starts)))
        for store in stores:
            assert len((await store.load())["backup"].runs) == 10


async def test_a_role_that_may_not_create_tables(
    postgresql_server: postgresql.PostgreSQL, postgresql_dsn: str, name: str
) -> None:
    """As is the default since PostgreSQL 15: one sentence with the GRANT, and once it is given all is well."""
    await postgresql_server.execute("ALTER SCHEMA public OWNER TO postgres", name)
    await postgresql_server.execute(f"REVOKE ALL ON SCHEMA public FROM {name}", name)
    database = Database(postgresql_dsn, CLOCK, BRANCHES)
    with pytest.raises(JournalError) as refused:
        await database.open()
    said = str(refused.value)
    assert said.startswith(f"permission denied for schema public: GRANT USAGE, CREATE ON SCHEMA public TO {name};")
    assert not database.works
    await postgresql_server.execute(f"GRANT USAGE, CREATE ON SCHEMA public TO {name}", name)
    await database.open()
    await note(database)
    assert database.works
    await database.close()


async def test_rights_that_are_taken_and_given_back(
    postgresql_server: postgresql.PostgreSQL, postgresql_dsn: str, name: str
) -> None:
    """While it is open: an error of the journal, no other, and nothing to restart."""
    async with opened(postgresql_dsn) as database:
        await postgresql_server.execute("ALTER TABLE healthd_audit OWNER TO postgres", name)
        with pytest.raises(JournalError, match=f"healthd_audit: GRANT .* TO {name}"):
            await note(database)
        assert not database.works
        await postgresql_server.execute(f"GRANT SELECT, INSERT ON healthd_audit TO {name}", name)
        await postgresql_server.execute(f"GRANT USAGE ON SEQUENCE healthd_audit_id_seq TO {name}", name)
        await note(database)


async def test_beside_an_applications_tables(
    postgresql_server: postgresql.PostgreSQL, postgresql_dsn: str, name: str
) -> None:
    """Its own orders and its own alembic_version are no concern of the journal's; a schema of its own can be had."""
    for mine in ("alembic_version AS SELECT 'f00' AS version_num", "orders (id int)", "gates (id int)"):
        await postgresql_server.execute(f"CREATE TABLE {mine}", name)
    async with opened(postgresql_dsn) as database:
        await note(database)
    with pytest.raises(JournalError, match=rf"CREATE SCHEMA Watch AUTHORIZATION {name}"):
        await Database(f"{postgresql_dsn}?schema=Watch", CLOCK, BRANCHES).open()
    await postgresql_server.execute(f'CREATE SCHEMA "Watch" AUTHORIZATION {name}', name)
    async with opened(f"{postgresql_dsn}?schema=Watch") as database:
        await note(database)
    assert await postgresql_server.execute('SELECT count(*) FROM "Watch".healthd_audit', name) == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("UPDATE healthd_journal_version SET version_num = '9999'", "newer release of healthd.*version 9999"),
        ("DROP TABLE healthd_audit", 'relation "healthd_audit" does not exist: bring the tables back'),
        ("DELETE FROM healthd_journal_version", "already exists: the names that begin with healthd_"),
    ],
)
async def test_tables_that_are_not_as_they_should_be(
    postgresql_server: postgresql.PostgreSQL, postgresql_dsn: str, name: str, wrong: str, said: str
) -> None:
    """One sentence, whether it is found at the start or later."""
    async with opened(postgresql_dsn):
        await postgresql_server.execute(wrong, name)
    with pytest.raises(JournalError, match=said):
        async with opened(postgresql_dsn) as database:
            await note(database)
