"""The files of a journal on SQLite: who may read them, and what is done once they are not what was opened."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import StatementError
from structlog.testing import capture_logs

from healthd.journal import tables
from healthd.journal.address import problem_here
from healthd.journal.database import Database, JournalError
from healthd.journal.errors import JournalGoneError
from healthd.journal.journal import AuditEntry, write_audit
from healthd.runtime.clock import SystemClock

CLOCK = SystemClock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "journal.db"


@pytest.fixture
async def database(file: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{file}", CLOCK, (tables.BRANCH,))
    await database.open()
    yield database
    await database.close()


async def note(database: Database, subject: str = "api") -> None:
    async with database.write() as connection:
        await write_audit(connection, CLOCK.now(), AuditEntry("ann", "lock.take", subject))


async def noted(database: Database) -> int:
    async with database.read() as connection:
        return int((await connection.execute(sa.select(sa.func.count()).select_from(tables.audit))).scalar_one())


@pytest.mark.parametrize("lost", [lambda file: file.unlink(), lambda file: os.truncate(file, 0)], ids=["gone", "empty"])
async def test_the_log_of_a_lost_file_is_kept(file: Path, lost: Callable[[Path], None]) -> None:
    """SQLite itself empties a log beside an empty file: with it the newest changes would be lost without a word."""
    file.parent.mkdir()
    for number in (1, 2):
        log = beside(file, "-wal")
        log.write_bytes(b"frames %d" % number)
        file.touch()
        lost(file)
        database = Database(f"sqlite:///{file}", CLOCK, (tables.BRANCH,))
        with capture_logs() as logged:
            await database.open()
        await database.close()
        kept = beside(file, f"-wal.lost-{number}")
        assert kept.read_bytes() == b"frames %d" % number
        assert [(each["log_level"], each["missing"], each["log_kept"]) for each in logged] == [
            ("warning", str(file), str(kept))
        ]
        file.unlink()


async def test_the_log_of_a_file_that_is_there_is_read(database: Database, file: Path) -> None:
    """A kill leaves a log, which the next start needs."""
    await note(database)
    again = file.parent / "again.db"
    for suffix in ("", "-wal"):
        shutil.copy(beside(file, suffix), beside(again, suffix))
    restarted = Database(f"sqlite:///{again}", CLOCK, (tables.BRANCH,))
    with capture_logs() as logged:
        await restarted.open()
        assert await noted(restarted) == 1
    await restarted.close()
    assert not logged


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("a-folder", "a-folder is a directory: name a file in it"),
        ("a-file/journal.db", "a-file is a file, and no folder that journal.db could be in"),
        ("a-file/deeper/journal.db", "a-file is a file, and no folder"),
        ("a-text", "a-text: file is not a database: move it away, or name another file"),
        ("a-pipe", "a-pipe is not a regular file: name another"),
        ("/proc/x/y.db", "/proc/x/y.db cannot be created: /proc belongs to the kernel"),
    ],
)
async def test_a_place_where_no_file_can_be(tmp_path: Path, place: str, said: str) -> None:
    (tmp_path / "a-folder").mkdir(mode=0o777)
    (tmp_path / "a-folder").chmod(0o777)
    (tmp_path / "a-file").touch()
    (tmp_path / "a-text").write_text("no database")
    os.mkfifo(tmp_path / "a-pipe")
    url = f"sqlite:///{tmp_path / place}"
    assert said in str(problem_here(url))
    with pytest.raises(JournalError, match=said):
        await Database(url, CLOCK, (tables.BRANCH,)).open()
    assert (tmp_path / "a-folder").stat().st_mode & 0o777 == 0o777, "its rights are not ours to change"


async def test_an_error_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "journal.db"
    file.write_bytes(b"no database, and long enough to have a header" * 10)
    with pytest.raises(JournalError, match=f"{file}: file is not a database"):
        await Database(f"sqlite:///{file}", CLOCK, (tables.BRANCH,)).open()


async def test_a_look_at_the_files_releases_no_lock(database: Database, file: Path) -> None:
    """Another process cannot write into the middle of a transaction, whoever looks meanwhile: its rows or ours would be
    lost."""
    other = f"import sqlite3; sqlite3.connect({str(file)!r}, timeout=0).execute('BEGIN IMMEDIATE')"
    async with database.write() as connection:
        await write_audit(connection, CLOCK.now(), AuditEntry("ann", "lock.take", "api"))
        assert await noted(database) == 0
        intruder = await asyncio.create_subprocess_exec(sys.executable, "-c", other, stderr=subprocess.PIPE)
        assert b"database is locked" in (await intruder.communicate())[1]


def beside(file: Path, suffix: str) -> Path:
    return Path(f"{file}{suffix}")


def remove_all(file: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        beside(file, suffix).unlink()


def replace(file: Path) -> None:
    shutil.copy(file, beside(file, ".copy"))
    beside(file, ".copy").rename(file)


def move_the_folder(file: Path) -> None:
    file.parent.rename(file.parent.with_name("elsewhere"))


def cut(file: Path) -> None:
    os.truncate(file, 4096)


def empty(file: Path) -> None:
    os.truncate(file, 0)


def overwrite(file: Path) -> None:
    shutil.copyfile(beside(file, ".backup"), file)


def empty_the_log(file: Path) -> None:
    os.truncate(beside(file, "-wal"), 0)


def remove_the_log(file: Path) -> None:
    beside(file, "-wal").unlink()


def remove_the_index(file: Path) -> None:
    beside(file, "-shm").unlink()


async def fold_back(file: Path) -> None:
    """What the log has goes into the file, as SQLite does by itself from time to time."""
    with sqlite3.connect(file) as other:
        other.execute("PRAGMA wal_checkpoint(FULL)")
    other.close()


@pytest.mark.parametrize(
    "harm",
    [remove_all, Path.unlink, replace, move_the_folder, cut, empty, overwrite, empty_the_log, remove_the_log,
     remove_the_index],
)  # fmt: skip
async def test_nothing_is_acknowledged_once_the_file_is_not_what_was_opened(
    database: Database, file: Path, harm: Callable[[Path], None]
) -> None:
    """It is told once, by name, and neither read nor written."""
    await note(database)
    await fold_back(file)
    shutil.copyfile(file, beside(file, ".backup"))
    await note(database)
    assert await noted(database) == 2
    harm(file)
    with capture_logs() as logged:
        with pytest.raises(JournalGoneError, match=str(file)):
            await note(database)
        with pytest.raises(JournalGoneError):
            await noted(database)
        with pytest.raises(JournalGoneError):
            await note(database)
    assert [(line["event"], line["log_level"]) for line in logged] == [("journal file removed or replaced", "error")]
    assert not database.works


async def test_a_reader_notices_it_too(database: Database, file: Path) -> None:
    """A list of what is lost is no answer."""
    await note(database)
    remove_all(file)
    with pytest.raises(JournalGoneError, match="taken away"):
        await noted(database)


async def test_no_empty_file_takes_its_place(database: Database, file: Path) -> None:
    """Until somebody puts one there: then the journal goes on with it, and a restart may begin anew."""
    await note(database)
    await fold_back(file)
    backup = beside(file, ".backup")
    shutil.copyfile(file, backup)
    remove_all(file)
    with pytest.raises(JournalGoneError):
        await note(database)
    with pytest.raises(JournalGoneError, match="taken away"):
        await database.open()
    assert not file.exists()
    file.touch()
    with pytest.raises(JournalGoneError, match="is not the journal"):
        await database.open()
    shutil.copyfile(backup, file)
    await database.open()
    assert database.works
    await note(database)
    assert await noted(database) == 2


async def test_a_backup_that_was_copied_over_the_open_file(database: Database, file: Path) -> None:
    """SQLite closes the old file by writing its log into it. What is there then is refused, with the way out."""
    await note(database)
    backup = beside(file, ".backup")
    with sqlite3.connect(file) as reader:
        reader.execute("VACUUM INTO ?", (str(backup),))
    reader.close()
    for _ in range(30):
        await note(database)
    shutil.copyfile(backup, file)
    with pytest.raises(JournalGoneError, match=r"\(-wal and -shm too\) is moved away and a backup is copied"):
        await note(database)
    with file.open("r+b") as mixed:  # what of the log gets into it is up to SQLite
        mixed.seek(2 * 4096)
        mixed.write(b"\xff" * 18 * 4096)
    with pytest.raises(JournalGoneError, match=r"-wal and -shm too\) is moved away"):
        await database.open()
    for path in (file, beside(file, "-wal"), beside(file, "-shm")):
        if path.exists():
            path.rename(beside(path, ".away"))
    shutil.copyfile(backup, file)
    await database.open()
    await note(database)
    assert await noted(database) == 2


async def backup_by_sqlite(file: Path, suffix: str = ".backup") -> None:
    with sqlite3.connect(file) as reader:
        reader.execute("VACUUM INTO ?", (str(beside(file, suffix)),))
    reader.close()


async def copy_of_the_file(file: Path) -> None:
    """As large as the file will be: what comes later fits into the pages that it has."""
    await fold_back(file)
    shutil.copyfile(file, beside(file, ".backup"))


async def copy_with_its_log(file: Path) -> None:
    for suffix in ("", "-wal"):
        shutil.copyfile(beside(file, suffix), beside(file, f".backup{suffix}"))


async def another_journal(file: Path) -> None:
    other = Database(f"sqlite:///{beside(file, '.backup')}", CLOCK, (tables.BRANCH,))
    await other.open()
    await note(other, "before")
    await other.close()


def fold_back_now(file: Path, how: str) -> None:
    with sqlite3.connect(file) as other:
        other.execute(f"PRAGMA wal_checkpoint({how})").fetchall()
    other.close()


async def note_and(database: Database, at_commit: Callable[[], None]) -> None:
    async with database.write() as connection:
        await write_audit(connection, CLOCK.now(), AuditEntry("ann", "lock.take", "lost"))
        assert connection.sync_connection is not None
        sa.event.listen(connection.sync_connection, "commit", lambda _: at_commit())


async def subjects(database: Database) -> list[str]:
    async with database.read() as connection:
        return list((await connection.execute(sa.select(tables.audit.c.subject))).scalars())


@pytest.mark.parametrize("take", [backup_by_sqlite, copy_of_the_file, copy_with_its_log, another_journal])
@pytest.mark.parametrize("folded", ["no", "unseen", "seen", "begun anew"])
async def test_a_copy_over_the_open_file_is_gone_on_with_and_nothing_else(
    database: Database, file: Path, take: Callable[[Path], Awaitable[None]], folded: str
) -> None:
    """Nothing is acknowledged first, and none of the log of the file that was there gets into it: that is kept aside.
    It does not matter how much of that had been folded back before, or whether the daemon had looked since."""
    await note(database, "before")
    await take(file)
    for _ in range(30):
        await note(database, "after")
    if folded != "no":
        fold_back_now(file, "FULL")
    if folded == "seen":
        await noted(database)
    if folded == "begun anew":
        await note(database, "after")
    for backup in file.parent.glob("*.backup*"):
        if not backup.name.endswith("-shm"):
            shutil.copyfile(backup, backup.with_name(backup.name.replace(".backup", "")))
    with pytest.raises(JournalGoneError, match=r"written to by something else|cut"):
        await note(database, "lost")
    assert not database.works
    await database.open()
    assert await subjects(database) == ["before"]
    await note(database, "new")
    await database.close()
    again = Database(f"sqlite:///{file}", CLOCK, (tables.BRANCH,))
    await again.open()
    assert await subjects(again) == ["before", "new"]
    await again.close()
    kept = beside(file, "-wal.lost-1")
    assert kept.exists() == (take is not copy_with_its_log)


async def test_a_copy_while_a_write_is_under_way_is_noticed_before_it_is_acknowledged(
    database: Database, file: Path
) -> None:
    """Also one that comes after all was looked at, during the commit."""
    await note(database, "before")
    await backup_by_sqlite(file)
    for _ in range(30):
        await note(database, "after")
    with pytest.raises(JournalGoneError, match="written to by something else"):
        await note_and(database, lambda: overwrite(file))
    await database.open()
    assert await subjects(database) == ["before"]


async def test_a_stop_leaves_no_log_beside_a_copy(database: Database, file: Path) -> None:
    """The next start would take it for the copy's."""
    await note(database, "before")
    await backup_by_sqlite(file)
    await note(database, "after")
    overwrite(file)
    with pytest.raises(JournalGoneError):
        await note(database)
    await database.close()
    again = Database(f"sqlite:///{file}", CLOCK, (tables.BRANCH,))
    await again.open()
    assert await subjects(again) == ["before"]
    await again.close()


async def test_a_value_that_cannot_be_written_is_no_fault_of_the_journal(database: Database) -> None:
    """A time before the year 1 in UTC, or a bug of ours: whoever gave it gets the error, and nobody else."""
    early = datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))
    query = sa.select(tables.audit.c.id).where(tables.audit.c.at > early)
    with pytest.raises(StatementError, match="OverflowError"):
        async with database.read() as connection:
            await connection.execute(query)
    with pytest.raises(OverflowError):
        async with database.write() as connection:
            await connection.execute(sa.insert(tables.audit).values(id=2**70, at=CLOCK.now(), caller="a"))
    assert database.works
    await note(database)


async def test_what_a_lost_log_held_is_saved(database: Database, file: Path) -> None:
    """Closing writes it from the descriptor into the file, and the journal goes on whole."""
    await note(database)
    remove_the_log(file)
    with pytest.raises(JournalGoneError):
        await note(database)
    await database.open()
    assert await noted(database) == 1


async def test_other_processes_do_no_harm(database: Database, file: Path) -> None:
    """They read, write, fold the log back and make the file smaller while it is open."""
    for number in range(60):
        await note(database, "x" * 20_000)
        if number == 30:
            await fold_back(file)
    other = sqlite3.connect(file)
    other.execute("DELETE FROM healthd_audit WHERE id > 5")
    other.commit()
    await note(database)
    for statement in ("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
        other.execute(statement).fetchall()
        await note(database)
    other.close()
    await asyncio.gather(*(note(database) for _ in range(20)), *(noted(database) for _ in range(20)))
    assert database.works


async def test_a_reader_that_keeps_pages_from_being_folded_back_does_no_harm(database: Database, file: Path) -> None:
    """SQLite then copies no frame at all of a page that has a newer one."""
    await note(database)
    reader = sqlite3.connect(file, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM healthd_audit").fetchall()
    for _ in range(3):
        await note(database)
        fold_back_now(file, "PASSIVE")
    await note(database)
    reader.close()
    for how in ("PASSIVE", "RESTART", "TRUNCATE"):
        fold_back_now(file, how)
        await note(database)
    assert await noted(database) == 8


@pytest.mark.parametrize("rows", [0, 1, 40])
async def test_a_log_that_others_began_anew_and_that_grows_does_no_harm(
    database: Database, file: Path, rows: int
) -> None:
    """With what it has the file would be larger than it is: it is not folded back yet."""
    await note(database)
    await noted(database)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
    if not rows:
        other.execute("VACUUM")
    for _ in range(rows):  # none: it shrinks
        other.execute("INSERT INTO healthd_audit (at, caller, action, subject, detail) SELECT at, caller, action, "
                      "hex(randomblob(9000)), detail FROM healthd_audit LIMIT 1")  # fmt: skip
    assert await noted(database) == 1 + rows
    await note(database)
    other.close()
    assert await noted(database) == 2 + rows


async def test_an_index_that_another_process_left_half_written_does_no_harm(database: Database, file: Path) -> None:
    """SQLite makes it anew from the log; from an empty one it learns no size of the file."""
    await note(database)
    await noted(database)
    fold_back_now(file, "TRUNCATE")
    with beside(file, "-shm").open("r+b") as index:
        index.write(bytes(48))
    assert await noted(database) == 1
    await note(database)
    assert await noted(database) == 2


@pytest.mark.parametrize("mask", [0o022, 0o000])
async def test_it_is_for_its_owner_alone(tmp_path: Path, mask: int) -> None:
    """Whatever the umask; one that is there keeps its group, who may be the backup's, and loses everybody else."""
    kept = os.umask(mask)
    try:
        for name, before, after in (("new.db", None, 0o600), ("old.db", 0o664, 0o660)):
            file = tmp_path / name
            if before is not None:
                file.touch()
                file.chmod(before)
            database = Database(f"sqlite:///{file}", CLOCK, (tables.BRANCH,))
            await database.open()
            await note(database)
            assert {beside(file, suffix).stat().st_mode & 0o777 for suffix in ("", "-wal", "-shm")} == {after}
            await database.close()
    finally:
        os.umask(kept)


async def test_a_backup_is_taken_while_it_runs_and_brought_back(database: Database, file: Path, tmp_path: Path) -> None:
    """As docs/journal.md says."""
    await note(database)
    backup = tmp_path / "backup.db"
    with sqlite3.connect(file) as reader:
        reader.execute("VACUUM INTO ?", (str(backup),))
    reader.close()
    await note(database)
    await database.close()
    remove_all(file) if beside(file, "-wal").exists() else file.unlink()
    shutil.copyfile(backup, file)
    again = Database(f"sqlite:///{file}", CLOCK, (tables.BRANCH,))
    await again.open()
    assert await noted(again) == 1
    await again.close()


async def test_a_newer_releases_tables(database: Database, file: Path) -> None:
    """One sentence, which says what to do; health does not depend on it."""
    with sqlite3.connect(file) as other:
        other.execute("UPDATE healthd_journal_version SET version_num = 'zzz'")
    other.close()
    await database.close()
    with pytest.raises(JournalError, match=r"newer release of healthd: its tables are of version zzz"):
        await Database(f"sqlite:///{file}", CLOCK, (tables.BRANCH,)).open()
