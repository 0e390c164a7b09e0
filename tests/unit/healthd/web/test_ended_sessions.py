"""Who has signed out is out, on every replica."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest
import sqlalchemy as sa

from healthd.journal import tables
from healthd.journal.database import Database
from healthd.journal.ended_sessions import EndedSessionStore
from healthd.web.ended_sessions import EndedSessions
from tests.fakes.monitoring import HandClock
from tests.servers.waiting import until


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(f"sqlite:///{tmp_path}/journal.db", HandClock(), (tables.BRANCH,))
    await opened.open()
    yield opened
    await opened.close()


def replica(database: Database, clock: HandClock) -> EndedSessions:
    return EndedSessions(EndedSessionStore(database, clock), clock, lambda: True)


async def test_another_replica_learns_of_it_and_a_restart_forgets_nothing(database: Database) -> None:
    clock = HandClock()
    one, two = replica(database, clock), replica(database, clock)
    await one.add("a")
    assert ("a" in one, "a" in two) == (True, False)
    running = asyncio.create_task(two.run())
    await until(lambda: "a" in two, "the other one has heard of it")
    running.cancel()
    assert "b" not in two


async def test_a_journal_that_is_away_delays_the_others_alone(database: Database) -> None:
    """What could not be stored is, once it can be."""
    clock = HandClock()
    away = Database("sqlite:////nowhere/journal.db", clock, (tables.BRANCH,))
    one = EndedSessions(EndedSessionStore(away, clock), clock, lambda: True)
    await one.add("a")
    assert "a" in one
    one._store = EndedSessionStore(database, clock)
    running = asyncio.create_task(one.run())
    await until(lambda: not one._unsaved, "it is stored")
    running.cancel()
    assert "a" in await EndedSessionStore(database, clock).load()


async def test_what_could_not_be_stored_is_at_the_end(database: Database) -> None:
    """Otherwise a copy of the cookie would count again after the restart."""
    clock = HandClock()
    one = EndedSessions(
        EndedSessionStore(Database("sqlite:////nowhere/journal.db", clock, (tables.BRANCH,)), clock),
        clock,
        lambda: True,
    )
    await one.add("a")
    one._store = EndedSessionStore(database, clock)
    await one.flush()
    assert "a" in await EndedSessionStore(database, clock).load()


async def test_they_are_remembered_for_as_long_as_a_session_can_be_and_no_longer(database: Database) -> None:
    clock = HandClock()
    one = replica(database, clock)
    await one.add("a")
    clock.seconds += timedelta(days=30).total_seconds() - 1
    await one._load()
    assert "a" in one
    clock.seconds += 2
    await one.add("b")
    await one._load()
    assert ("a" in one, "b" in one) == (False, True)
    async with database.read() as connection:
        rows = (await connection.execute(sa.select(tables.ended_sessions.c.id))).scalars().all()
    assert rows == ["b"]


async def test_where_nobody_signs_in_the_journal_is_not_asked() -> None:
    class Counting:
        asked = 0

        async def load(self) -> dict[str, datetime]:
            self.asked += 1
            return {}

        async def save(self, ended: Mapping[str, datetime]) -> None:
            raise AssertionError(ended)

    for people_sign_in in (False, True):
        store = Counting()
        running = asyncio.create_task(EndedSessions(store, HandClock(), partial(bool, people_sign_in)).run())
        for _ in range(5):
            await asyncio.sleep(0)
        running.cancel()
        assert store.asked == people_sign_in


@pytest.mark.looptime
async def test_a_journal_that_is_slow_stores_it_though_nobody_waits() -> None:
    """The person is answered after two seconds; the write is not begun anew by the next round."""

    class Slow:
        stored: ClassVar[list[str]] = []

        async def load(self) -> dict[str, datetime]:
            return {}

        async def save(self, ended: Mapping[str, datetime]) -> None:
            await asyncio.sleep(3.0)
            self.stored.extend(ended)

    one = EndedSessions(Slow(), HandClock(), lambda: True)
    began = asyncio.get_running_loop().time()
    await one.add("a")
    assert asyncio.get_running_loop().time() - began == pytest.approx(2.0)
    await asyncio.sleep(1.5)
    assert (Slow.stored, one._unsaved, "a" in one) == (["a"], {}, True)
