"""The journal on SQLite: transitions, audit, their age, and what happens while it is away."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from pydantic import ValidationError
from structlog.testing import capture_logs

from healthd.config.settings import Settings
from healthd.journal import migrate, tables
from healthd.journal.database import Database, JournalError
from healthd.journal.journal import AuditEntry, Journal, write_audit
from healthd.journal.migrate import Branch
from healthd.model import Probe, Status, Transition
from healthd_gates.store import tables as gate_tables
from tests.fakes.monitoring import DOWN, MIDNIGHT, HandClock
from tests.servers.waiting import until

BRANCHES = (tables.BRANCH, gate_tables.BRANCH)


def fell(check: str = "db", hours: float = 0) -> Transition:
    at = MIDNIGHT + timedelta(hours=hours)
    return Transition(check, Status.HEALTHY, Status.UNHEALTHY, at, Probe(at, 0.1, DOWN))


async def run_until(journal: Journal, happened: Callable[[], bool]) -> None:
    task = asyncio.create_task(journal.run())
    await until(happened, "what the journal does")
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def run_until_written(journal: Journal) -> None:
    await run_until(journal, lambda: journal.waiting == 0)


async def test_transitions_are_written_and_read_newest_first(tmp_path: Path) -> None:
    """With the failure kind and what was found; one that went overdue has neither probe nor kind."""
    database = Database(f"sqlite:///{tmp_path}/j.db", HandClock(), BRANCHES)
    journal = Journal(database, HandClock(), lambda: 86400)
    journal.changed(fell())
    journal.changed(Transition("db", Status.UNHEALTHY, Status.UNKNOWN, MIDNIGHT, None))
    await run_until_written(journal)
    newest, oldest = await journal.transitions("db")
    assert (newest["new"], newest["kind"], newest["message"]) == ("unknown", None, "overdue")
    assert (oldest["old"], oldest["new"], oldest["kind"], oldest["message"]) == (
        "healthy", "unhealthy", "connect", "refused",
    )  # fmt: skip
    assert oldest["at"] == MIDNIGHT
    await database.close()


async def test_the_changes_of_a_day_begin_with_what_was_before(tmp_path: Path) -> None:
    """A check that has not changed for a week is known all the same, by its last change."""
    database = Database(f"sqlite:///{tmp_path}/j.db", HandClock(), BRANCHES)
    journal = Journal(database, HandClock(), lambda: 90 * 86400)
    for transition in (fell("calm", -300), fell("db", -60), fell("calm", -200), fell("db", -3), fell("db", -2)):
        journal.changed(transition)
    await database.open()
    await journal.flush()
    told = [(name, (at - MIDNIGHT).total_seconds() / 3600) for name, at, _, _ in await journal.changes(86400)]
    assert told == [("db", -60), ("calm", -200), ("db", -3), ("db", -2)]
    await database.close()


async def test_transitions_wait_for_a_journal_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are written when it is back."""
    monkeypatch.setattr("healthd.journal.journal._RETRY_SECONDS", 0.05)
    folder = tmp_path / "folder"
    folder.write_text("in the way")
    database = Database(f"sqlite:///{folder}/j.db", HandClock(), BRANCHES)
    journal = Journal(database, HandClock(), lambda: 86400)
    journal.changed(fell())
    with capture_logs() as logged:
        await run_until(journal, lambda: bool(logged))
    with pytest.raises(JournalError):
        await journal.transitions("db")
    folder.unlink()
    await run_until_written(journal)
    assert len(await journal.transitions("db")) == 1
    await database.close()


async def test_what_is_old_is_deleted(tmp_path: Path) -> None:
    """Transitions and audit alike."""
    clock = HandClock()
    database = Database(f"sqlite:///{tmp_path}/j.db", clock, BRANCHES)
    await database.open()
    async with database.write() as connection:
        for hours in (0, 30):
            await write_audit(connection, MIDNIGHT + timedelta(hours=hours), AuditEntry("ann", "lock.take", "api"))
    journal = Journal(database, clock, lambda: 24 * 3600.0)
    journal.changed(fell(hours=0))
    journal.changed(fell(hours=30))
    clock.seconds = 31 * 3600
    await run_until(journal, lambda: journal._clean_at > 0)
    assert [row["at"] for row in await journal.transitions("db")] == [MIDNIGHT + timedelta(hours=30)]
    async with database.read() as connection:
        assert (await connection.execute(sa.select(sa.func.count()).select_from(tables.audit))).scalar_one() == 1
    await database.close()


async def test_a_reader_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    """And sees only what is committed; a block that raises leaves nothing behind."""
    database = Database(f"sqlite:///{tmp_path}/j.db", HandClock(), BRANCHES)
    await database.open()
    count = sa.select(sa.func.count()).select_from(tables.audit)
    with suppress(ZeroDivisionError):
        async with database.write() as connection:
            await write_audit(connection, MIDNIGHT, AuditEntry("ann", "x", "y"))
            async with database.read() as reader:
                assert (await reader.execute(count)).scalar_one() == 0
            raise ZeroDivisionError
    async with database.read() as reader:
        assert (await reader.execute(count)).scalar_one() == 0
    await database.close()


async def test_commits_survive_a_power_cut(tmp_path: Path) -> None:
    """SQLite writes its log through to the disk at every commit."""
    database = Database(f"sqlite:///{tmp_path}/j.db", HandClock(), BRANCHES)
    await database.open()
    async with database.write() as connection:
        assert (await connection.exec_driver_sql("PRAGMA synchronous")).scalar_one() == 2
        assert (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar_one() == "wal"
        assert (await connection.exec_driver_sql("PRAGMA foreign_keys")).scalar_one() == 1
    await database.close()


@pytest.mark.parametrize(
    "url", ["mysql://x/y", "sqlite://", "sqlite:///", "sqlite:///?mode=ro", "sqlite:///:memory:", "nonsense"]
)
def test_an_address_that_is_no_journal_is_refused_with_the_configuration(url: str) -> None:
    """Before anything is bound: a daemon that serves health cannot be told any more that its file is wrong."""
    with pytest.raises(ValidationError, match="write sqlite:////absolute/path/to/file or postgresql://"):
        Settings.model_validate({"journal": url})


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite://", "sqlite:///:memory:", "nonsense"])
async def test_other_addresses_are_refused(url: str) -> None:
    """Before anything is started."""
    with pytest.raises(ValueError, match="journal"):
        Database(url, HandClock(), BRANCHES)


@pytest.mark.parametrize(
    ("branch", "metadata"), [(tables.BRANCH, tables.metadata), (BRANCHES[1], gate_tables.metadata)]
)
async def test_migrations_lead_to_the_tables_of_the_code(tmp_path: Path, branch: Branch, metadata: sa.MetaData) -> None:
    """And to the version that a start takes for the newest."""
    assert ScriptDirectory(str(branch.migrations)).get_current_head() == branch.head
    database = Database(f"sqlite:///{tmp_path}/j.db", HandClock(), (branch,))
    await database.open()

    def differences(connection: sa.Connection) -> object:
        own = migrate.PROMISES.name  # belongs to all branches, and has no migration
        options = {"version_table": branch.version_table, "include_name": lambda name, *_: name != own}
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    async with database.read() as connection:
        assert await connection.run_sync(differences) == []
    await database.close()


async def test_replicas_that_start_together_upgrade_once(tmp_path: Path) -> None:
    """Each finds the tables there or makes them; none fails."""
    databases = [Database(f"sqlite:///{tmp_path}/j.db", HandClock(), BRANCHES) for _ in range(8)]
    await asyncio.gather(*(database.open() for database in databases))
    for database in databases:
        await database.close()


async def test_a_strangers_bytes_keep_nothing_from_being_written(tmp_path: Path) -> None:
    """NUL and halves of characters, which a banner or a page of errors may hold, become what text can hold."""
    database = Database(f"sqlite:///{tmp_path}/j.db", HandClock(), BRANCHES)
    journal = Journal(database, HandClock(), lambda: 86400)
    journal.changed(replace(fell(), probe=Probe(MIDNIGHT, 0.1, replace(DOWN, message="220\0 \ud800 ready"))))
    await run_until_written(journal)
    (row,) = await journal.transitions("db")
    assert row["message"] == "220\ufffd \ufffd ready"
    await database.close()


async def test_one_that_the_database_does_not_take_holds_up_no_other(tmp_path: Path) -> None:
    """It is told, with the check, and left out."""
    database = Database(f"sqlite:///{tmp_path}/j.db", HandClock(), BRANCHES)
    journal = Journal(database, HandClock(), lambda: 86400)
    for check in ("a", None, "b"):
        journal.changed(replace(fell(), check=check))  # type: ignore[arg-type]
    with capture_logs() as logged:
        await run_until_written(journal)
    assert [line["event"] for line in logged] == ["transition not stored"]
    assert [len(await journal.transitions(check)) for check in "ab"] == [1, 1]
    await database.close()


async def test_a_fault_of_ours_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task that writes goes on: with it the daemon, and health, would end."""
    monkeypatch.setattr("healthd.journal.journal._RETRY_SECONDS", 0.01)
    database = Database(f"sqlite:///{tmp_path}/j.db", HandClock(), BRANCHES)
    journal = Journal(database, HandClock(), lambda: 86400)
    journal.changed(fell())
    with monkeypatch.context() as patch, capture_logs() as logged:
        patch.setattr("healthd.journal.journal._row", lambda _: 1 / 0)
        await run_until(journal, lambda: len(logged) > 2)
    assert [line["log_level"] for line in logged].count("error") == 1
    await run_until_written(journal)
    await database.close()
