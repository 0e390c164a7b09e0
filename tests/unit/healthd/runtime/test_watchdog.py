"""A loop that stands still is noticed while it does."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from healthd.runtime.watchdog import Watchdog
from tests.servers.waiting import until

BLOCKS: list[tuple[float, float]] = []
"""From when to when the loop was blocked."""


@dataclass
class Seen:
    """What a watchdog told, and what it wrote to the log."""

    lags: list[float] = field(default_factory=list)
    stalls: list[float] = field(default_factory=list)
    alive: list[float] = field(default_factory=list)
    log: list[dict[str, object]] = field(default_factory=list)

    def watchdog(self, limit: float = 0.2, alive_every: float | None = None) -> Watchdog:
        return Watchdog(
            lagged=self.lags.append,
            stalled=lambda: self.stalls.append(time.monotonic()),
            alive=lambda: self.alive.append(time.monotonic()),
            alive_every=alive_every,
            limit=limit,
        )


@pytest.fixture
def seen() -> Iterator[Seen]:
    with capture_logs() as log:
        yield Seen(log=log)  # type: ignore[arg-type]


async def watched(watchdog: Watchdog, seconds: float, block: float = 0.0) -> None:
    watching = asyncio.create_task(watchdog.run())
    await asyncio.sleep(seconds)
    if block:
        block_the_loop(block)
        await asyncio.sleep(seconds)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching


def block_the_loop(seconds: float) -> None:
    """Somebody's synchronous call in a coroutine."""
    began = time.monotonic()
    time.sleep(seconds)
    BLOCKS.append((began, time.monotonic()))


async def test_a_blocked_loop_is_reported_while_it_is_blocked(seen: Seen) -> None:
    """The culprit's stack is in the log before the loop runs again, once, and then how long it took."""
    await watched(seen.watchdog(limit=0.3), 0.15, block=1.2)
    stall = next(entry for entry in seen.log if "block_the_loop" in str(entry.get("stack")))
    assert stall["log_level"] == "error"
    assert sum("block_the_loop" in str(entry.get("stack")) for entry in seen.log) == 1
    assert any(began < at < ended for at in seen.stalls for began, ended in BLOCKS)
    assert any(float(str(entry.get("stood_still_seconds", 0))) >= 1.0 for entry in seen.log)


async def test_a_loop_that_runs_is_left_alone(seen: Seen) -> None:
    """Lags are told, small as they are; nothing else is."""
    await watched(seen.watchdog(limit=3.0), 0.5)
    assert len(seen.lags) >= 2
    assert (seen.stalls, seen.log) == ([], [])


async def test_a_blocked_loop_does_not_claim_to_be_alive(seen: Seen) -> None:
    """Signs of life come from the loop itself, at their interval, and stop when it does."""
    watching = asyncio.create_task(seen.watchdog(alive_every=0.1, limit=5.0).run())
    await until(lambda: len(seen.alive) >= 2, "signs of life before")
    before = len(seen.alive)
    block_the_loop(0.6)
    await until(lambda: len(seen.alive) >= before + 2, "signs of life after")
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    assert seen.alive[before] - seen.alive[before - 1] >= 0.6


async def test_lag_is_measured(seen: Seen) -> None:
    """A block shorter than a stall shows as lag."""
    await watched(seen.watchdog(limit=5.0), 0.15, block=0.3)
    assert max(seen.lags) > 0.15


async def test_its_thread_ends_with_it(seen: Seen) -> None:
    """Nothing is left behind."""
    await watched(seen.watchdog(limit=0.1), 0.1)
    await until(lambda: not any(thread.name == "watchdog" for thread in threading.enumerate()), "the thread has ended")
