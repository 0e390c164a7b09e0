"""Background tasks outlive their faults, and hold up no end."""

import asyncio
from collections.abc import Callable

import pytest

from healthd.runtime import tasks
from healthd.runtime.tasks import SILENT_AFTER, Pulse, Tasks

pytestmark = pytest.mark.looptime


async def nothing() -> None: ...


async def fails() -> None:
    raise RuntimeError("a bug")


async def is_cancelled_from_within() -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize("ends", [nothing, fails, is_cancelled_from_within])
async def test_a_task_that_ends_is_started_again(ends: Callable[[], asyncio.Future[None]]) -> None:
    """After a second first, then ever later; each failure is told, and the others go on."""
    began: list[float] = []
    failed: list[str] = []
    ticks = 0
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    start = loop.time()

    async def bad() -> None:
        began.append(loop.time() - start)
        await ends()

    async def good() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(1)
            ticks += 1

    loop.call_later(100, stop.set)
    await Tasks(failed.append).run({"bad": bad, "good": good}, stop, nothing)
    assert began == pytest.approx([0, 1, 3, 7, 15, 31, 61, 91], abs=0.1)
    assert failed == ["bad"] * len(began)
    assert ticks >= 99


async def test_a_task_that_swallows_its_cancellation_holds_up_no_end() -> None:
    """It is left behind after a while; the loop's end takes it along."""

    async def deaf() -> None:
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                if over:
                    raise

    over = False
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.call_later(1, stop.set)
    began = loop.time()
    await Tasks(lambda _: None).run({"deaf": deaf}, stop, nothing)
    assert loop.time() - began < 1 + tasks._ENDING + 0.5
    over = True
    (left,) = asyncio.all_tasks() - {asyncio.current_task()}
    left.cancel()
    await asyncio.wait({left})


async def test_a_silent_task_is_stuck() -> None:
    """Counted up to the last sign of any other: a process that stood still as a whole has missed nothing."""
    pulse = Pulse()
    for name in ("loop", "schedule"):
        pulse.beat(name)
    await asyncio.sleep(3 * SILENT_AFTER)
    assert not pulse.stuck
    pulse.beat("loop")
    assert list(pulse.stuck) == ["schedule"]
    pulse.beat("schedule")
    assert not pulse.stuck
