"""Who waits for the journal's connections: many deploys that start at once, while a thousand gates are stored."""

import asyncio
from pathlib import Path

import pytest

from healthd.journal import tables
from healthd.journal.database import Database
from healthd.journal.errors import JournalError
from healthd.journal.places import Places
from healthd.runtime.clock import SystemClock


@pytest.fixture
async def database(tmp_path: Path) -> Database:
    database = Database(f"sqlite:///{tmp_path}/journal.db", SystemClock(), (tables.BRANCH,))
    await database.open()
    return database


async def test_a_queue_that_moves_refuses_nobody(database: Database) -> None:
    """However long it is: the last of sixty waits for two minutes here."""
    wrote = []

    async def write(number: int) -> None:
        async with database.write():
            await asyncio.sleep(2)
        wrote.append(number)

    await asyncio.gather(*(write(number) for number in range(60)))
    assert wrote == list(range(60))
    await database.close()


async def test_a_queue_that_stands_refuses_after_ten_seconds(database: Database) -> None:
    """Counted from when it last moved; whoever holds it is not disturbed."""
    loop = asyncio.get_running_loop()

    async def write(seconds: float) -> None:
        async with database.write():
            await asyncio.sleep(seconds)

    first, stands = asyncio.create_task(write(7)), asyncio.create_task(write(60))
    await asyncio.sleep(0)
    began = loop.time()
    with pytest.raises(JournalError, match="busy: none of its connections became free for 10 s"):
        await write(0)
    assert loop.time() - began == pytest.approx(17, abs=0.5)
    await asyncio.gather(first, stands)
    await write(0)
    await database.close()


async def test_nobody_overtakes_those_who_wait() -> None:
    """One who gives its place back and asks at once again, as a writer with more to write, waits for its turn."""
    places, had = Places(1, 10), []

    async def use(name: str, times: int = 1) -> None:
        for _ in range(times):
            async with places.one():
                had.append(name)
                await asyncio.sleep(0)

    await asyncio.gather(use("greedy", 3), use("ann"), use("bob"))
    assert had == ["greedy", "ann", "bob", "greedy", "greedy"]


async def test_a_place_is_not_lost_with_a_caller_that_is_cancelled() -> None:
    """Neither while it waits, nor in the moment in which it is given the place."""
    places = Places(1, 10)
    held = asyncio.Event()

    async def use() -> None:
        async with places.one():
            await held.wait()

    holder, waits, given = (asyncio.create_task(use()) for _ in range(3))
    await asyncio.sleep(0)
    waits.cancel()
    held.set()
    await holder
    given.cancel()
    await asyncio.wait({waits, given})
    async with places.one():
        assert given.cancelled()
