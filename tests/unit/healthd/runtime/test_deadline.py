"""Deadlines hold whatever the awaited code does."""

import asyncio
import gc

import pytest

from healthd.runtime.deadline import GRACE, DeadlineExceededError, SelfCancelledError, with_deadline
from tests.fakes.monitoring import forever, stubborn

pytestmark = pytest.mark.looptime


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_result_comes_through() -> None:
    """Work that ends in time is as if awaited directly."""
    assert await with_deadline(1.0, asyncio.sleep(0.5, "answer"), name="work") == "answer"


async def test_exception_comes_through() -> None:
    """So is work that fails in time."""

    async def fail() -> None:
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError, match="gone"):
        await with_deadline(1.0, fail(), name="work")


async def test_late_work_is_cancelled_and_may_clean_up() -> None:
    """At the deadline the work is cancelled and its clean-up, if short, is waited for."""
    cleaned = []

    async def tidy() -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(GRACE / 2)
            cleaned.append(now())

    with pytest.raises(DeadlineExceededError, match="no answer within 2 s") as caught:
        await with_deadline(2.0, tidy(), name="work")
    assert cleaned == [pytest.approx(2.0 + GRACE / 2)]
    assert caught.value.abandoned is None


async def test_work_that_swallows_its_cancellation_is_left_behind() -> None:
    """Nothing that a driver does holds the caller for longer than the grace, and what runs on is handed over."""
    with pytest.raises(DeadlineExceededError) as caught:
        await with_deadline(2.0, stubborn(), name="work")
    assert now() == pytest.approx(2.0 + GRACE)
    assert caught.value.abandoned is not None
    assert not caught.value.abandoned.done()
    await asyncio.sleep(60)
    assert caught.value.abandoned.done()


async def test_outer_cancellation_reaches_the_work() -> None:
    """Who is cancelled while it waits passes that on, and does not turn it into a timeout."""
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await forever()
        finally:
            ended.set()

    waiting = asyncio.create_task(with_deadline(10.0, work(), name="work"))
    await asyncio.sleep(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.wait_for(ended.wait(), 0.1)


async def test_outer_cancellation_during_the_grace() -> None:
    """Cancelling wins over the deadline that has just passed."""
    waiting = asyncio.create_task(with_deadline(1.0, stubborn(), name="work"))
    await asyncio.sleep(1.0 + GRACE / 2)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_work_that_cancels_itself_is_a_failure_not_a_cancellation() -> None:
    """A driver whose inner task was cancelled must not stop the loop that probes."""

    async def work() -> None:
        raise asyncio.CancelledError

    with pytest.raises(SelfCancelledError):
        await with_deadline(1.0, work(), name="work")


async def test_late_failures_are_not_complained_about() -> None:
    """What abandoned work raises in the end is nobody's: asyncio's "never retrieved" would be noise at night."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))

    async def late_failure() -> None:
        try:
            await forever()
        except asyncio.CancelledError:
            raise OSError("late") from None

    with pytest.raises(DeadlineExceededError):
        await with_deadline(1.0, late_failure(), name="work")
    gc.collect()
    await asyncio.sleep(0)
    assert complaints == []
