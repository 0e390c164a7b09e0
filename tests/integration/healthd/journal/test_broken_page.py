"""A page of one SQLite table that is broken, such as by a bad disk: the others can be written as before."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from healthd.journal import tables
from healthd.journal.database import Database, JournalError
from healthd.journal.journal import AuditEntry, Journal, write_audit
from healthd.runtime.clock import SystemClock
from tests.servers.waiting import until

CLOCK = SystemClock()


async def audit(database: Database) -> None:
    async with database.write() as connection:
        await write_audit(connection, CLOCK.now(), AuditEntry("ann", "lock.take", "api"))


async def write_elsewhere(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(tables.heartbeats.delete())


def break_table(file: Path, name: str) -> None:
    """Overwrite the first page of a table."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        ((page,),) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,))
        ((size,),) = connection.execute("PRAGMA page_size")
    with file.open("r+b") as content:
        content.seek((page - 1) * size)
        content.write(b"\xff" * size)


async def test_it_is_told_until_the_file_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written into other tables meanwhile ends no outage."""
    monkeypatch.setattr("healthd.journal.journal._RETRY_SECONDS", 0.05)
    file, backup = tmp_path / "journal.db", tmp_path / "backup.db"
    url = f"sqlite:///{file}"
    made = Database(url, CLOCK, (tables.BRANCH,))
    await made.open()
    await made.close()
    shutil.copy(file, backup)
    break_table(file, "healthd_audit")
    database = Database(url, CLOCK, (tables.BRANCH,))
    await database.open()
    running = asyncio.create_task(Journal(database, CLOCK, lambda: 86400).run())
    with capture_logs() as lines:
        with pytest.raises(JournalError, match="is malformed"):
            await audit(database)
        await write_elsewhere(database)
        await until(lambda: [line["event"] for line in lines] == ["journal write failed"], "a line in the log")
        await write_elsewhere(database)
        assert not database.works
        assert database.outage is not None
        assert "then copy a backup to its place" in database.outage.problem
        for each in tmp_path.glob("journal.db*"):
            each.rename(each.with_name(f"broken-{each.name}"))
        shutil.copy(backup, file)
        await until(lambda: database.outage is None and database.works, "the end of the outage")
    await audit(database)
    running.cancel()
    await asyncio.wait({running})
    await database.close()
