"""What notifiers have told, in the journal."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from healthd.journal import tables
from healthd.journal.database import Database
from healthd.notifiers.notice import Notice, Severity
from healthd.notify.summaries import summary_of
from healthd.notify.told import Change, Key, Memory, Told
from healthd.notify.told_store import JournalStore
from tests.fakes.monitoring import MIDNIGHT, HandClock
from tests.unit.healthd.journal.test_journal import BRANCHES

DOWN = Notice(
    "check:db",
    "check",
    "db",
    "unhealthy",
    True,
    Severity.CRITICAL,
    "db is unhealthy",
    MIDNIGHT,
    detail="refused",
    began=MIDNIGHT - timedelta(minutes=2),
    facts={"kind": "tcp"},
    link="https://wiki.test/db",
)


def changes(entries: dict[Key, Told]) -> dict[Key, Change]:
    return {key: Change(told, told.at) for key, told in entries.items()}


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path}/j.db", HandClock(), BRANCHES)


async def test_what_was_told_comes_back_as_it_was(database: Database) -> None:
    """A notice, a summary with its parts, and not what was forgotten or has not been spoken of for a season."""
    await database.open()
    store, clock = JournalStore(database, HandClock()), HandClock()
    told = Told(DOWN, clock.now())
    summary = Told(summary_of([DOWN, replace(DOWN, key="check:api", name="api")]), clock.now())
    within = Told(DOWN, clock.now(), summary.notice.key)
    old = Told(DOWN, clock.now() - timedelta(days=100))
    await store.save(changes({("chat/1", "check:db"): told, ("pager/1", summary.notice.key): summary}))
    await store.save(
        changes({("pager/1", "check:db"): within, ("mail/1", "check:db"): told, ("mail/1", "check:old"): old})
    )
    await store.save({("mail/1", "check:db"): Change(None, told.at)})
    assert await store.load() == {
        ("chat/1", "check:db"): told,
        ("pager/1", "check:db"): within,
        ("pager/1", summary.notice.key): summary,
    }
    await database.close()


async def test_a_row_of_another_release_costs_itself_alone(database: Database) -> None:
    """It is told again, which the log says."""
    await database.open()
    store = JournalStore(database, HandClock())
    await store.save(changes({("chat/1", f"check:{name}"): Told(DOWN, MIDNIGHT) for name in ("db", "api")}))
    async with database.write() as connection:
        strange = (
            sa.update(tables.told).where(tables.told.c.subject == "check:api").values(notice='{"severity": "odd"}')
        )
        await connection.execute(strange)
    memory = Memory(store)
    with capture_logs() as logs:
        await memory.load()
    assert set(memory.of("chat/1")) == {"check:db"}
    assert [entry["subject"] for entry in logs] == ["check:api"]
    await database.close()
