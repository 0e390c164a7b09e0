"""Synthetic requests are sent on time, whatever becomes of them. In virtual time."""

from __future__ import annotations

import asyncio
import time

import pytest

from healthd_gates.sources.open_loop import OpenLoop
from tests.servers.lateness import Lateness
from tests.servers.waiting import HANGS


@pytest.mark.looptime
async def test_slow_answers_delay_nothing() -> None:
    """Requests go out at the stated rate while none of those before has been answered."""
    fired: list[float] = []

    async def fire() -> None:
        fired.append(asyncio.get_running_loop().time())
        await asyncio.sleep(60)

    task = asyncio.create_task(OpenLoop(4, fire).run())
    await asyncio.sleep(5.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert fired == pytest.approx([0.25 * tick for tick in range(21)])


async def test_a_loop_that_stood_still_is_noticed_and_not_made_up_for() -> None:
    """What was measured meanwhile is in doubt, and the missed requests are not sent in a burst."""
    fired: list[float] = []
    doubts: list[bool] = []

    async def fire() -> None:
        began = asyncio.get_running_loop().time()
        fired.append(began)
        await asyncio.sleep(0.03)
        doubts.append(pace.stood_still_since(began))

    pace = OpenLoop(20, fire)
    with Lateness() as late:
        began, task = time.monotonic(), asyncio.create_task(pace.run())
        await asyncio.sleep(0.11)
        settled = late.worst
        time.sleep(0.5)
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        due = 20 * (time.monotonic() - began)
    assert doubts[0] is False or settled > 0.02
    assert any(doubts)
    assert pace.missed >= 8
    assert len(fired) + pace.missed <= due + 1


async def test_a_bug_in_a_request_ends_it_loudly() -> None:
    """Rather than going on to count nothing."""

    async def fire() -> None:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup):
        await asyncio.wait_for(OpenLoop(100, fire).run(), HANGS)
