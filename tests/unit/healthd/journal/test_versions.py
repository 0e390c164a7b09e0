"""Two releases and one journal: upgraded, used by both at once as in a rolling update, and taken back."""

import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from healthd.journal import migrate, tables
from healthd.journal.database import Database, JournalError
from healthd.journal.journal import AuditEntry, write_audit
from healthd.journal.migrate import Branch
from healthd.runtime.clock import SystemClock
from healthd_gates.store import tables as gate_tables

CLOCK = SystemClock()
BRANCHES = [tables.BRANCH, gate_tables.BRANCH]
NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "9001"
down_revision = "{head}"


def upgrade() -> None:
    op.create_table("healthd_next_{name}", sa.Column("id", sa.Integer, primary_key=True))
    op.add_column("{table}", sa.Column("next", sa.Text))
"""


def newer(branch: Branch, table: str, folder: Path, oldest: str) -> Branch:
    """The branch as the next release has it: one table more, and a column that may be empty."""
    migrations = folder / branch.version_table
    shutil.copytree(branch.migrations, migrations, ignore=shutil.ignore_patterns("__pycache__"))
    text = NEXT.format(head=branch.head, name=branch.version_table, table=table)
    (migrations / "versions" / "9001_next.py").write_text(text)
    return replace(branch, migrations=migrations, head="9001", oldest=oldest)


THEN = "'2026-11-26 12:00:00'"
ROWS = {
    "healthd_journal_version": f"INSERT INTO healthd_audit VALUES (1, {THEN}, 'ann', 'lock', 'api', '')",
    "healthd_gates_version": f"INSERT INTO healthd_replicas VALUES ('one', {THEN}, {THEN})",
}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'journal.db'}"


async def opened(url: str, *branches: Branch) -> Database:
    database = Database(url, CLOCK, branches)
    await database.open()
    return database


async def note(database: Database, subject: str) -> None:
    async with database.write() as connection:
        await write_audit(connection, CLOCK.now(), AuditEntry("ann", "lock.take", subject))


async def noted(database: Database) -> list[str]:
    async with database.read() as connection:
        return list((await connection.execute(sa.select(tables.audit.c.subject).order_by("id"))).scalars())


async def test_two_releases_use_one_journal(url: str, tmp_path: Path) -> None:
    """The older one goes on, writes beside the newer one, and opens the journal again; then it is taken back alone."""
    old = await opened(url, *BRANCHES)
    await note(old, "before")
    nexts = [newer(tables.BRANCH, "healthd_audit", tmp_path, tables.BRANCH.head),
             newer(gate_tables.BRANCH, "healthd_gates", tmp_path, gate_tables.BRANCH.head)]  # fmt: skip
    new = await opened(url, *nexts)
    await note(old, "during, by the old")
    await note(new, "during, by the new")
    await old.close()
    again = await opened(url, *BRANCHES)
    await note(again, "after a restart of the old")
    await new.close()
    assert await noted(again) == ["before", "during, by the old", "during, by the new", "after a restart of the old"]
    await again.close()
    back = await opened(url, *nexts)  # and the upgrade once more
    assert len(await noted(back)) == 4
    await back.close()


async def test_a_journal_that_an_older_release_cannot_use_is_refused(url: str, tmp_path: Path) -> None:
    """In one sentence; nothing is changed."""
    changed = newer(tables.BRANCH, "healthd_audit", tmp_path, oldest="9001")
    await (await opened(url, changed)).close()
    with pytest.raises(JournalError, match=r"newer release of healthd: its tables are of version 9001"):
        await opened(url, tables.BRANCH)


async def test_what_was_promised_of_another_version_counts_for_nothing(url: str, tmp_path: Path) -> None:
    await (await opened(url, tables.BRANCH)).close()
    with sqlite3.connect(tmp_path / "journal.db") as other:
        other.execute("UPDATE healthd_journal_version SET version_num = '9001'")
    other.close()
    with pytest.raises(JournalError, match=r"newer release"):
        await opened(url, tables.BRANCH)


@pytest.mark.parametrize("branch", BRANCHES, ids=lambda branch: branch.version_table)
async def test_a_journal_of_the_first_version_is_upgraded(url: str, tmp_path: Path, branch: Branch) -> None:
    """Each migration runs on what those before it left, with rows in it."""
    first = tmp_path / "first"
    shutil.copytree(branch.migrations, first, ignore=shutil.ignore_patterns("__pycache__", "000[2-9]*"))
    old = await opened(url, replace(branch, migrations=first, head="0001", oldest="0001"))
    async with old.write() as connection:
        await connection.exec_driver_sql(ROWS[branch.version_table])
    await old.close()
    database = await opened(url, *BRANCHES)
    async with database.read() as connection:
        assert await connection.run_sync(migrate.version, branch) == branch.head
    await database.close()


@pytest.mark.parametrize("branch", BRANCHES, ids=lambda branch: branch.version_table)
def test_the_newest_version_is_named(branch: Branch) -> None:
    """By the last of its files; and the oldest is one of them."""
    versions = sorted(file.name[:4] for file in (branch.migrations / "versions").glob("0*.py"))
    assert versions[-1] == branch.head
    assert branch.oldest in versions
