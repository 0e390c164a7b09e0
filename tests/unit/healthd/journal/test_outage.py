"""Since when the journal cannot be used, and why, as its callers find it."""

from datetime import timedelta
from pathlib import Path

import pytest

from healthd.journal.database import Database, JournalError
from healthd.journal.driver_errors import sentence
from healthd.journal.outage import Outage, Outages
from tests.fakes.monitoring import HandClock
from tests.unit.healthd.journal.test_journal import BRANCHES


def test_an_outage_lasts_from_the_first_failure_to_the_next_write() -> None:
    """It keeps its beginning, and has the latest reason."""
    clock = HandClock()
    outages, began = Outages(clock), clock.now()
    assert outages.current is None
    outages.failed("refused")
    clock.seconds += 20
    outages.failed("timeout")
    assert outages.current == Outage(began, "timeout")
    assert not outages.has_none_of_late
    outages.wrote()
    assert outages.current is None
    assert not outages.has_none_of_late  # the metric shows it for a while


def test_what_fails_again_soon_is_the_same_outage() -> None:
    """As with rights to one table of several; what fails much later is another one."""
    clock = HandClock()
    outages, began = Outages(clock), clock.now()
    for _ in range(3):
        outages.failed("no rights")
        outages.wrote()
        clock.seconds += 20
    outages.failed("no rights")
    assert outages.current == Outage(began, "no rights", began + timedelta(seconds=40)), "what was stored is told"
    clock.seconds += 5
    outages.failed("no rights")
    assert outages.current == Outage(began, "no rights", began + timedelta(seconds=40))
    outages.wrote()
    clock.seconds += 31
    outages.failed("no rights")
    assert outages.current == Outage(began + timedelta(seconds=96), "no rights")


def test_a_long_pause_between_two_tries_ends_no_outage() -> None:
    """Nothing is said while nobody has tried for long: nobody knows."""
    clock = HandClock()
    outages, began = Outages(clock), clock.now()
    outages.failed("refused")
    clock.seconds += 100
    assert outages.current is None
    outages.failed("refused")
    assert outages.current == Outage(began, "refused")


async def test_a_journal_that_is_taken_away_and_put_back(tmp_path: Path) -> None:
    """Also after a time in which nobody tried; what is found when it is opened again is the truth."""
    clock, file = HandClock(), tmp_path / "j.db"
    database, began = Database(f"sqlite:///{file}", clock, BRANCHES), clock.now()
    await database.open()
    assert database.outage is None
    file.rename(tmp_path / "elsewhere")
    with pytest.raises(JournalError, match="was taken away"):
        async with database.write():
            pass
    clock.seconds += 100
    assert database.outage is not None
    assert database.outage.since == began
    assert "was taken away" in database.outage.problem
    (tmp_path / "elsewhere").rename(file)
    await database.open()
    assert database.outage is None
    await database.close()


def test_silence_is_told_in_words() -> None:
    """A driver's error of that has no text of its own."""
    assert sentence(TimeoutError()) == "it does not answer in time"
    assert sentence(ConnectionResetError()) == "ConnectionResetError"


async def test_a_table_of_sqlite_that_was_dropped(tmp_path: Path) -> None:
    """It is told until every table is there again, whatever is written into the others, and however late it is."""
    clock = HandClock()
    database = Database(f"sqlite:///{tmp_path}/j.db", clock, BRANCHES)
    await database.open()
    looks: list[None] = []
    database.ask_for_looks(lambda: looks.append(None))
    async with database.write() as connection:
        await connection.exec_driver_sql("ALTER TABLE healthd_audit RENAME TO kept")
    with pytest.raises(JournalError, match="no such table: healthd_audit"):
        async with database.write() as connection:
            await connection.exec_driver_sql("DELETE FROM healthd_audit")
    assert looks
    async with database.write() as connection:
        await connection.exec_driver_sql("DELETE FROM healthd_heartbeats")
    clock.seconds += 100
    with pytest.raises(JournalError, match="no such table: healthd_audit"):
        await database.look_at_tables()
    assert database.outage is not None
    assert not database.works
    async with database.write() as connection:
        await connection.exec_driver_sql("ALTER TABLE kept RENAME TO healthd_audit")
    await database.look_at_tables()
    assert database.outage is None
    await database.close()
