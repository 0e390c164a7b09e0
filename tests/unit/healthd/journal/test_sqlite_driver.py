"""The driver of SQLite: statements, what they give back, and how often a connection's thread is asked."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from healthd.journal import tables
from healthd.journal.database import Database
from healthd.runtime.clock import SystemClock

AUDIT = tables.audit


def entry(caller: str) -> dict[str, Any]:
    return {"at": SystemClock().now(), "caller": caller, "action": "try", "subject": "it", "detail": "{}"}


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/journal.db", SystemClock(), (tables.BRANCH,))
    await database.open()
    yield database
    await database.close()


async def test_a_statement_is_one_call(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call waits for two turns of the event loop, and whoever writes keeps all others from writing meanwhile."""
    calls = []
    execute: Any = aiosqlite.Connection._execute

    async def counted(connection: aiosqlite.Connection, call: Any, *given: Any, **named: Any) -> Any:
        calls.append(call)
        return await execute(connection, call, *given, **named)

    monkeypatch.setattr(aiosqlite.Connection, "_execute", counted)
    async with database.write() as connection:
        calls.clear()
        await connection.execute(sa.insert(AUDIT).values(entry("ann")))
        assert (await connection.execute(sa.select(AUDIT.c.caller))).scalars().all() == ["ann"]
        assert len(calls) == 2


async def test_a_statement_gives_back_what_it_did(database: Database) -> None:
    """Its rows in every form, how many it changed, the key of what it inserted, and its errors."""
    async with database.write() as connection:
        inserted = await connection.execute(sa.insert(AUDIT).values(entry("ann")))
        assert inserted.inserted_primary_key == (1,)
        assert (await connection.execute(sa.insert(AUDIT), [entry("bob"), entry("cy")])).rowcount == 2
        rows = await connection.execute(sa.select(AUDIT.c.id, AUDIT.c.caller).order_by(AUDIT.c.id))
        assert (rows.fetchone(), rows.fetchmany(1), rows.fetchall()) == ((1, "ann"), [(2, "bob")], [(3, "cy")])
        changed = sa.update(AUDIT).where(AUDIT.c.id > 1).values(caller="dan")
        assert (await connection.execute(changed.returning(AUDIT.c.caller))).scalars().all() == ["dan", "dan"]
        assert (await connection.execute(changed)).rowcount == 2
        assert (await connection.execute(sa.delete(AUDIT).where(AUDIT.c.id == 9))).rowcount == 0
        streamed = await connection.stream(sa.select(AUDIT.c.caller).order_by(AUDIT.c.id))
        assert [row.caller async for row in streamed] == ["ann", "dan", "dan"]
    with pytest.raises(IntegrityError):
        async with database.write() as connection:
            await connection.execute(sa.insert(AUDIT).values({**entry("eve"), "id": 1}))
