"""The migrations check, against a history in PostgreSQL and one in MongoDB."""

import hashlib
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pymongo
import pytest

from healthd.model import FailureKind, Status
from tests.integration.healthd.checks.probing import watched
from tests.servers import tcp
from tests.servers.postgresql import PostgreSQL

TABLE = """CREATE TABLE migration_history (migration_name text UNIQUE, executed_at timestamptz DEFAULT now(),
    execution_time_ms integer, status text, rollback_script text, checksum char(64))"""


@pytest.fixture
async def tables(postgresql_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to an empty database with the history's table."""
    connection = await asyncpg.connect(postgresql_dsn)
    await connection.execute(TABLE)
    yield connection
    connection.terminate()


@pytest.fixture
def documents_uri(mongodb_uri: str) -> str:
    """A MongoDB database of the test's own."""
    base, _, options = mongodb_uri.partition("?")
    return f"{base}test_{uuid.uuid4().hex}?{options}"


@pytest.fixture
def documents(documents_uri: str) -> Iterator[pymongo.MongoClient[dict[str, object]]]:
    client: pymongo.MongoClient[dict[str, object]] = pymongo.MongoClient(documents_uri)
    with client:
        yield client
        client.drop_database(client.get_default_database().name)


def row(name: str, status: str = "completed", content: str = "") -> tuple[str, str, str]:
    return name, status, hashlib.sha256(content.encode()).hexdigest()


async def insert(connection: asyncpg.Connection, *rows: tuple[str, str, str]) -> None:
    await connection.executemany(
        "INSERT INTO migration_history (migration_name, status, checksum) VALUES ($1, $2, $3)", rows
    )


async def test_postgresql_against_a_directory(postgresql_dsn: str, tables: asyncpg.Connection, tmp_path: Path) -> None:
    """Applied, pending, changed, failed: as files and rows come and change."""
    for name in ("001_users.sql", "002_courses.sql"):
        (tmp_path / name).write_text(name)
    await insert(tables, row("001_users.sql", content="001_users.sql"))
    place = {"uri": postgresql_dsn, "directory": tmp_path, "pattern": "*.sql"}
    async with watched("migrations", postgresql=place) as check:
        result = await check.finds(Status.UNHEALTHY, FailureKind.LAGGING)
        assert result.observed["pending"] == ["002_courses.sql"]
        await insert(tables, row("002_courses", content="002_courses.sql"))
        assert (await check.finds(Status.HEALTHY)).observed["applied"] == 2
        (tmp_path / "001_users.sql").write_text("changed")
        result = await check.finds(Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)
        assert result.observed["changed"] == ["001_users.sql"]
        await insert(tables, row("003_payments", "failed"))
        result = await check.finds(Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)
        assert result.message == "failed: 003_payments"
        (tmp_path / "001_users.sql").unlink()
        (tmp_path / "002_courses.sql").unlink()
        await check.finds(Status.UNHEALTHY, FailureKind.MISCONFIGURED)


async def test_postgresql_without_a_list(postgresql_dsn: str, tables: asyncpg.Connection) -> None:
    """Then only a failed or an unfinished row counts; without the table nobody can say."""
    async with watched("migrations", postgresql={"uri": postgresql_dsn}) as check:
        await check.finds(Status.HEALTHY)
        await insert(tables, row("001", "running"))
        await check.finds(Status.DEGRADED, FailureKind.LAGGING)
        await tables.execute("DROP TABLE migration_history")
        result = await check.finds(Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)
        assert result.message == "PostgreSQL: there is no table migration_history"


async def test_postgresql_least_grants(
    postgresql_server: PostgreSQL, postgresql_dsn: str, tables: asyncpg.Connection
) -> None:
    """SELECT on the table is enough, and needed."""
    async with postgresql_server.database() as other:
        user = urlsplit(other).username
        uri = urlsplit(other)._replace(path=urlsplit(postgresql_dsn).path).geturl()
        async with watched("migrations", postgresql={"uri": uri}) as check:
            await check.finds(Status.UNHEALTHY, FailureKind.PERMISSION)
            await tables.execute(f"GRANT SELECT ON migration_history TO {user}")
            await check.finds(Status.HEALTHY)
            await tables.execute(f"REVOKE SELECT ON migration_history FROM {user}")


async def test_mongodb_against_names(documents_uri: str, documents: pymongo.MongoClient[dict[str, object]]) -> None:
    """The same in a collection."""
    checksum = hashlib.sha256(b"one").hexdigest()
    history = documents.get_default_database()["migration_history"]
    place = {"uri": documents_uri, "expected": [{"name": "001", "checksum": checksum}, {"name": "002"}]}
    async with watched("migrations", mongodb=place) as check:
        result = await check.finds(Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)
        assert result.message == "MongoDB: there is no collection migration_history"
        history.insert_one({"migration_name": "001", "status": "completed", "checksum": checksum})
        await check.finds(Status.UNHEALTHY, FailureKind.LAGGING)
        history.insert_one({"migration_name": "002", "status": "completed"})
        await check.finds(Status.HEALTHY)
        history.update_one({"migration_name": "002"}, {"$set": {"status": "failed"}})
        await check.finds(Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)


async def test_two_histories_and_one_that_is_silent(
    postgresql_dsn: str,
    tables: asyncpg.Connection,
    documents_uri: str,
    documents: pymongo.MongoClient[dict[str, object]],
) -> None:
    """Both must be good; what cannot be read is named and never green, and costs no more than the timeout."""
    await insert(tables, row("001"))
    documents.get_default_database()["migration_history"].insert_one({"migration_name": "002", "status": "completed"})
    async with watched("migrations", postgresql={"uri": postgresql_dsn}, mongodb={"uri": documents_uri}) as check:
        assert (await check.finds(Status.HEALTHY)).observed["applied"] == 2
    with tcp.silent() as listener:
        dead = {"uri": f"mongodb://watcher:marked-s3cret@{listener.host}:{listener.port}/app"}
        async with watched("migrations", postgresql={"uri": postgresql_dsn}, mongodb=dead, timeout="3s") as check:
            result = await check.finds(Status.UNHEALTHY, FailureKind.TIMEOUT)
            assert result.message.startswith("MongoDB: ")
        dead = {"uri": f"postgresql://watcher:marked-s3cret@{listener.host}:{listener.port}/app"}
        async with watched("migrations", postgresql=dead, mongodb={"uri": documents_uri}, timeout="3s") as check:
            result = await check.finds(Status.UNHEALTHY, FailureKind.TIMEOUT)
            assert result.message.startswith("PostgreSQL: ")
