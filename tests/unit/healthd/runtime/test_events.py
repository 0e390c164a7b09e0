"""Waiting for an event ends in time, with what happened, and never loses a cancellation."""

import asyncio

import pytest

from healthd.runtime.events import set_within

pytestmark = pytest.mark.looptime


async def test_event_that_is_set_is_told_at_once() -> None:
    """Whether it was set before, or is set meanwhile; and without an end as well."""
    event, loop = asyncio.Event(), asyncio.get_running_loop()
    began = loop.time()
    loop.call_later(2.0, event.set)
    assert await set_within(5.0, event)
    assert loop.time() == pytest.approx(began + 2.0)
    assert await set_within(0.0, event)
    assert await set_within(None, event)


async def test_event_that_is_not_set_in_time_is_told() -> None:
    """The wait takes its seconds and no longer."""
    began = asyncio.get_running_loop().time()
    assert not await set_within(5.0, asyncio.Event())
    assert asyncio.get_running_loop().time() == pytest.approx(began + 5.0)


@pytest.mark.parametrize("turns", range(4))
async def test_cancellation_is_not_lost_to_an_event_of_the_same_moment(turns: int) -> None:
    """However many turns of the event loop lie between the two: whoever is cancelled ends."""
    event = asyncio.Event()

    async def look_for_good() -> None:
        while True:
            await set_within(1.0, event)
            event.clear()

    looking = asyncio.create_task(look_for_good())
    await asyncio.sleep(0.5)
    event.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    looking.cancel()
    await asyncio.wait({looking}, timeout=10.0)
    assert looking.cancelled()
