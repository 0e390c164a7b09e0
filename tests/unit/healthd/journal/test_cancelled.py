"""A transaction whose caller is cancelled: by a timeout, a shutdown, somebody who takes a gate over."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from healthd.journal import tables
from healthd.journal.database import Database
from healthd.runtime.clock import SystemClock


async def test_it_leaves_no_lock_behind(tmp_path: Path) -> None:
    """Not even where a statement was under way that had begun to write."""
    database = Database(f"sqlite:///{tmp_path}/journal.db", SystemClock(), (tables.BRANCH,))
    await database.open()
    entries, loop = tables.audit, asyncio.get_running_loop()
    entry = {"at": SystemClock().now(), "caller": "ann", "action": "try", "subject": "it", "detail": "{}"}
    reading, go_on = asyncio.Event(), threading.Event()

    def wait(_column: object) -> None:
        loop.call_soon_threadsafe(reading.set)
        go_on.wait()

    async def write(*, waits: bool = False) -> None:
        async with database.write() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            await driver.create_function("waits", 1, wait)
            insert = sa.insert(entries).values([entry] * 3)
            told = sa.func.waits(entries.c.caller) if waits else entries.c.caller
            await connection.execute(insert.returning(told))

    task = asyncio.create_task(write(waits=True))
    await reading.wait()
    task.cancel()
    loop.call_later(0, go_on.set)
    await asyncio.wait({task})
    assert task.cancelled()
    await write()
    async with database.read() as connection:
        assert (await connection.execute(sa.select(sa.func.count()).select_from(entries))).scalar_one() == 3
    await database.close()
