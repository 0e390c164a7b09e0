"""SQLite's log and the disk that it is on: it stays short, and space that is freed is enough to go on."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from healthd.journal import tables
from healthd.journal.database import Database, JournalError
from healthd.journal.journal import AuditEntry, write_audit
from healthd_gates.store import tables as gate_tables
from tests.fakes.monitoring import MIDNIGHT, HandClock
from tests.servers import tmpfs

BRANCHES = (tables.BRANCH, gate_tables.BRANCH)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{folder}/j.db", HandClock(), BRANCHES)
    try:
        await database.open()
        yield database
    finally:
        await database.close()


async def note(database: Database, text: str = "") -> None:
    async with database.write() as connection:
        await write_audit(connection, MIDNIGHT, AuditEntry("ci", "noted", "api", {"text": text}))


async def change(database: Database, text: str) -> None:
    """A write for which the file need not grow."""
    async with database.write() as connection:
        await connection.exec_driver_sql("UPDATE healthd_audit SET subject = ?", (text,))


async def repeat(times: int, write: Callable[[int], Awaitable[None]]) -> None:
    for number in range(times):
        await write(number)


def log_bytes(folder: Path) -> int:
    return (folder / "j.db-wal").stat().st_size


@pytest.mark.parametrize("size", ["1m", "2m"])
async def test_a_disk_that_was_full_once_does_not_fill_up_again(size: str) -> None:
    """The log once took all the space that the file needed to take the log in, for good."""
    with tmpfs.mounted(size) as disk:
        async with opened(disk.path) as database:
            await note(database)
            disk.fill()
            with pytest.raises(JournalError, match="disk is full"):
                await repeat(500, lambda _: note(database, "x" * 2000))
            assert not database.works
            disk.empty()
            for number in range(500):
                await change(database, f"api-{number}")
            assert log_bytes(disk.path) < 600_000


async def test_what_a_log_of_an_earlier_release_has_is_taken_in_at_the_start() -> None:
    """Such a log may be many times as large as the file, and leave just enough space for what is in it."""
    with tmpfs.mounted("2m") as disk:
        async with opened(disk.path) as database:
            await note(database)
        earlier = sqlite3.connect(disk.path / "j.db", isolation_level=None)
        earlier.execute("PRAGMA wal_autocheckpoint=0")
        for number in range(300):
            earlier.execute("UPDATE healthd_audit SET subject = ?", (f"api-{number}",))
        assert log_bytes(disk.path) > 1_200_000
        async with opened(disk.path) as database:
            await change(database, "once")
            await change(database, "twice")
            assert log_bytes(disk.path) < 600_000
        earlier.close()


async def test_a_full_disk_has_room_for_what_needs_no_more_pages() -> None:
    """Another program has taken the space. Pages of the log that are in the file make room, without a restart."""
    with tmpfs.mounted("2m") as disk:
        async with opened(disk.path) as database:
            await note(database)
        async with opened(disk.path) as database:  # its log is short, since there is nothing to upgrade
            await change(database, "web")
            disk.fill()
            with pytest.raises(JournalError, match="disk is full"):
                await repeat(20, lambda number: change(database, f"web-{number}"))
            for number in range(50):
                await change(database, f"cart-{number}")
                with suppress(JournalError):  # no room behind it; a second try finds some at its beginning
                    await change(database, "again")


async def test_a_log_that_readers_kept_is_emptied_as_soon_as_they_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers that overlap without a gap would keep it for ever. A write waits for those that read now."""
    async with opened(tmp_path) as database:
        await note(database)
        reader = sqlite3.connect(tmp_path / "j.db", isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM healthd_audit").fetchall()
        for number in range(150):
            await change(database, f"kept-{number}")
        assert log_bytes(tmp_path) > 600_000
        monkeypatch.setattr("healthd.journal.checkpoints._LONG", 100)
        write = asyncio.create_task(change(database, "one more"))
        await asyncio.sleep(0)
        reader.close()
        await write
        assert log_bytes(tmp_path) == 0
        await change(database, "after that")


async def test_a_reader_that_stays_keeps_no_write_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup of a large journal, or a program that replicates it, reads for minutes, or for ever."""
    monkeypatch.setattr("healthd.journal.engines.BUSY_SECONDS", 30)
    monkeypatch.setattr("healthd.journal.checkpoints._LONG", 1)
    async with opened(tmp_path) as database:
        reader = sqlite3.connect(tmp_path / "j.db", isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM healthd_audit").fetchall()
        async with asyncio.timeout(25):
            await note(database)
        async with database.write() as connection:
            usual = (await connection.exec_driver_sql("PRAGMA busy_timeout")).scalar_one()
        reader.close()
    assert usual == 30_000
