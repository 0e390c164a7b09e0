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


async def fail(database: Database, seconds: float, error: Exception) -> None:
    async with database.write():
        await asyncio.sleep(seconds)
        raise error


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


async def test_a_journal_that_hangs_is_told_to_all_who_wait_within_ten_seconds(database: Database) -> None:
    """Each who has a connection fails only after a while, and the next is let try; the others do not wait for that."""
    loop = asyncio.get_running_loop()

    async def write() -> tuple[float, str]:
        began = loop.time()
        with pytest.raises(JournalError) as refused:
            await fail(database, 4, ConnectionResetError("it hangs"))
        return loop.time() - began, str(refused.value)

    async def later() -> tuple[float, str]:
        await asyncio.sleep(9)
        return await write()

    told = await asyncio.gather(*(write() for _ in range(20)), *(later() for _ in range(20)))
    assert max(seconds for seconds, _ in told) <= 14.5, "ten to wait, and four to fail"
    assert sum(seconds <= 10.5 for seconds, _ in told) >= 36
    assert {problem for _, problem in told} == {told[0][1]}, "why, not that others wait too"
    assert "it hangs" in told[0][1]
    assert database.outage is not None
    assert "it hangs" in database.outage.problem
    async with database.write():
        pass
    await database.close()


async def test_a_block_that_raises_an_error_of_its_own_moves_the_queue(database: Database) -> None:
    """The journal works: thirty gates in a row that are refused keep nobody from theirs."""

    async def write() -> None:
        with pytest.raises(KeyError):
            await fail(database, 2, KeyError("refused"))

    await asyncio.gather(*(write() for _ in range(30)))
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
