"""What late work was waiting for: a name, or its peer."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from healthd.checks.failures import classify
from healthd.model import FailureKind
from healthd.runtime.deadline import DeadlineExceededError, with_deadline
from healthd.runtime.lookups import unresolved, waiting_for
from tests.fakes.monitoring import forever

pytestmark = pytest.mark.looptime


async def look_up(host: str = "db", seconds: float = 1000.0) -> None:
    with waiting_for(host):
        await asyncio.sleep(seconds)


async def as_of_five_seconds(work: Callable[[], Awaitable[object]]) -> str:
    """What late work says itself that it waited for, when its own time is over."""

    async def explained() -> str:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await work()
        return str(unresolved())

    return await with_deadline(10, explained(), name="work")


async def test_a_deadline_tells_of_the_name() -> None:
    """The work, or a task of its, waits for a name when its time is over."""

    async def deeper() -> None:
        await asyncio.sleep(1)
        await asyncio.gather(look_up(), forever())

    with pytest.raises(DeadlineExceededError, match=r"^the name db was not resolved within 3 s$") as caught:
        await with_deadline(4.0, deeper(), name="work")
    assert classify(caught.value) is FailureKind.DNS


async def test_a_deadline_after_the_lookup_is_the_peers() -> None:
    """However long the lookup was, which is told."""

    async def connect() -> None:
        await look_up(seconds=5)
        await look_up("other", seconds=0.5)
        await forever()

    said = r"^no answer within 6 s; the name db was only resolved after 5 s$"
    with pytest.raises(DeadlineExceededError, match=said) as caught:
        await with_deadline(6.0, connect(), name="work")
    assert classify(caught.value) is FailureKind.TIMEOUT


async def test_work_that_gives_up_by_itself_knows_the_name() -> None:
    """Also where somebody in between goes on waiting for the lookup, as aiohttp does."""
    kept = asyncio.create_task(asyncio.sleep(0))

    async def shielded() -> None:
        nonlocal kept
        kept = asyncio.create_task(look_up())
        await asyncio.shield(kept)

    assert await as_of_five_seconds(look_up) == "the name db was not resolved within 5 s"
    assert await as_of_five_seconds(shielded) == "the name db was not resolved within 5 s"
    kept.cancel()


async def test_a_lookup_that_was_not_needed_is_not_to_blame() -> None:
    """Of two hosts, one had an address, and then kept silent."""

    async def first_of_two() -> None:
        other = asyncio.create_task(look_up("other"))
        await look_up(seconds=0.1)
        other.cancel()
        await forever()

    assert await as_of_five_seconds(first_of_two) == "None"


async def test_a_lookup_at_the_end_is_not_to_blame() -> None:
    """The peer took most of the time before it hung up and was called again."""

    async def call_again() -> None:
        await asyncio.sleep(4.5)
        await look_up()

    assert await as_of_five_seconds(call_again) == "None"


async def test_works_know_their_own_names_alone() -> None:
    """One is told nothing of what another waits for."""
    names = await asyncio.gather(
        *(as_of_five_seconds(lambda host=host: look_up(host)) for host in ("a", "b")),  # type: ignore[misc]
        as_of_five_seconds(forever),
    )
    assert names == [f"the name {host} was not resolved within 5 s" for host in ("a", "b")] + ["None"]


async def test_outside_of_any_work_nothing_is_noted() -> None:
    """Nobody would ask."""
    await look_up(seconds=1)
    assert unresolved() is None
