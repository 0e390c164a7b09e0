"""A transaction whose caller is cancelled: by a timeout, a shutdown, somebody who takes a gate over."""

import asyncio
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
import sqlalchemy as sa

from healthd.journal import tables
from healthd.journal.database import Database
from healthd.runtime.clock import SystemClock


async def test_it_leaves_no_lock_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where it had begun to read what it wrote, and its cursor lives on in some traceback."""
    database = Database(f"sqlite:///{tmp_path}/journal.db", SystemClock(), (tables.BRANCH,))
    await database.open()
    entries, kept, reading = tables.audit, list[aiosqlite.Cursor](), asyncio.Event()
    entry = {"at": SystemClock().now(), "caller": "ann", "action": "try", "subject": "it", "detail": "{}"}

    async def write() -> None:
        async with database.write() as connection:
            await connection.execute(sa.insert(entries).values([entry] * 3).returning(entries))

    async def never(cursor: aiosqlite.Cursor) -> Any:
        kept.append(cursor)
        reading.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(aiosqlite.Cursor, "fetchall", never)
        task = asyncio.create_task(write())
        await reading.wait()
        task.cancel()
        await asyncio.wait({task})
    assert kept
    await write()
    async with database.read() as connection:
        assert (await connection.execute(sa.select(sa.func.count()).select_from(entries))).scalar_one() == 3
    await database.close()
