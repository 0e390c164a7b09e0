"""Intervals, jitter, and clocks that jump: in virtual time, which the wall clock follows."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
import pytest_asyncio
import time_machine

from healthd.monitoring.schedule import JITTER, Schedule, StuckError
from tests.fakes.monitoring import forever

pytestmark = pytest.mark.looptime

Runs = list[float]
BEGIN = datetime(2026, 3, 29, 2, tzinfo=UTC)


class Wall:
    """The wall clock of this process: it goes with the event loop's time, and a test can set it."""

    def __init__(self) -> None:
        self.ahead = timedelta()
        self._loop = asyncio.get_running_loop()

    def now(self) -> datetime:
        return BEGIN + self.ahead + timedelta(seconds=self._loop.time())


@pytest_asyncio.fixture(autouse=True)
async def wall(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Wall]:
    """What the time functions tell."""
    clock = Wall()
    with time_machine.travel(BEGIN, tick=False) as traveller:
        monkeypatch.setattr(traveller, "time_ns", lambda: int(clock.now().timestamp() * 1e9))
        yield clock


class Ticking:
    """A running schedule, and the steady times at which its jobs ran."""

    def __init__(self) -> None:
        self.skips: list[tuple[str, str]] = []
        self.runs: dict[str, Runs] = {}
        self.schedule = Schedule(lambda name, reason: self.skips.append((name, reason)))

    def every(self, seconds: float, name: str, lasting: float = 0.0) -> None:
        runs = self.runs.setdefault(name, [])

        async def job() -> None:
            runs.append(asyncio.get_running_loop().time())
            await asyncio.sleep(lasting)

        self.schedule.every(seconds, name, job)

    async def run(self, seconds: float) -> None:
        async with asyncio.timeout(seconds):
            await self.schedule.run()


async def run(ticking: Ticking, seconds: float) -> None:
    with pytest.raises(TimeoutError):
        await ticking.run(seconds)


async def test_ends_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    """What is under way at the end is cancelled, and is no error of anybody's."""
    ticking = Ticking()
    ticking.every(60, "a", lasting=60)
    await run(ticking, 0.1)
    await asyncio.sleep(0.01)
    assert len(ticking.runs["a"]) == 1
    assert not caplog.records


@pytest.mark.proof
async def test_jitter_stays_within_a_tenth() -> None:
    """Each run comes at its interval after the one before, give or take a tenth, never in step."""
    ticking = Ticking()
    ticking.every(10.0, "a")
    await run(ticking, 1000)
    runs = ticking.runs["a"]
    gaps = {round(after - before, 6) for before, after in pairwise(runs)}
    assert 10 * (1 - JITTER) <= min(gaps) < 10 < max(gaps) <= 10 * (1 + JITTER)
    assert len(gaps) > 0.9 * len(runs)


async def test_runs_again_and_again() -> None:
    """Soon after the start, and then at every interval."""
    ticking = Ticking()
    ticking.every(0.1, "a")
    await run(ticking, 1.0)
    assert 3 <= len(ticking.runs["a"]) <= 12


async def test_neighbours_start_one_after_the_other() -> None:
    """A hundred checks do not all knock at once."""
    ticking = Ticking()
    for place in range(20):
        ticking.every(10.0, str(place))
    await run(ticking, 0.3)
    starts = [runs[0] for runs in ticking.runs.values()]
    assert max(starts) - min(starts) > 0.05


async def test_what_still_runs_is_skipped_and_counted() -> None:
    """A run that takes longer than its interval is not doubled, and the skip is told with its reason."""
    ticking = Ticking()
    ticking.every(0.05, "slow", lasting=60.0)
    await run(ticking, 0.7)
    assert len(ticking.runs["slow"]) == 1
    assert set(ticking.skips) == {("slow", "still_running")}


async def test_next_in_moves_the_next_run() -> None:
    """Sooner for a recheck; up to a tenth later than asked, never earlier."""
    ticking = Ticking()
    ticking.every(60.0, "a")

    async def soon() -> None:
        await asyncio.sleep(0.05)
        ticking.schedule.next_in(0.1, "a")

    await asyncio.gather(run(ticking, 0.8), soon())
    first, second = ticking.runs["a"]
    assert second - first >= 0.1


async def test_unknown_names_are_no_error() -> None:
    """A check may be removed while its probe runs."""
    ticking = Ticking()
    ticking.schedule.next_in(1.0, "gone")
    ticking.schedule.remove("gone")


@pytest.mark.parametrize("jump", [timedelta(hours=-1), timedelta(hours=1)])
async def test_goes_on_when_the_wall_clock_jumps(wall: Wall, jump: timedelta) -> None:
    """Summer time, a repaired clock, a resumed machine: within two seconds everything runs again, at its interval."""
    time, began = asyncio.get_running_loop().time, wall.now()
    ticking = Ticking()
    ticking.every(0.2, "a")

    async def jumping() -> float:
        await asyncio.sleep(5)
        wall.ahead += jump
        return time()

    _, jumped = await asyncio.gather(run(ticking, 15), jumping())
    after = [at - jumped for at in ticking.runs["a"] if at > jumped]
    assert after[0] < 2
    assert 30 < len(after) < 60
    assert abs(datetime.now(UTC) - began - jump) < timedelta(seconds=16)  # else this would prove nothing


async def test_a_schedule_whose_timer_died_says_so_and_runs_again() -> None:
    """APScheduler's timer ends for good with an error in it: nothing would ever run again, and nobody would know."""
    beats: list[float] = []
    loop = asyncio.get_running_loop()
    ran: list[float] = []
    schedule = Schedule(lambda *_: None, lambda: beats.append(loop.time()))

    async def job() -> None:
        ran.append(loop.time())

    schedule.every(10, "job", job)
    running = asyncio.create_task(schedule.run())
    await asyncio.sleep(35.5)  # between two looks
    assert schedule._scheduler is not None
    schedule._scheduler._stop_timer()
    await asyncio.sleep(3)  # what was handed out already
    before, last_beat = len(ran), beats[-1]
    assert before >= 3
    with pytest.raises(StuckError):
        await asyncio.wait_for(running, 60)
    assert len(ran) == before
    assert beats[-1] - last_beat < 20
    again = asyncio.create_task(schedule.run())
    await asyncio.sleep(35)
    assert len(ran) >= before + 3
    again.cancel()
    await asyncio.wait({again})


async def test_many_that_are_planned_at_once() -> None:
    """A reload plans hundreds of runs; nothing else is lost meanwhile."""
    ticking = Ticking()
    ticking.every(1, "before")
    running = asyncio.create_task(ticking.run(60))
    await asyncio.sleep(5)
    for number in range(50):
        ticking.every(1, f"new-{number}")
    before = len(ticking.runs["before"])
    await asyncio.sleep(5)
    assert all(len(ticking.runs[f"new-{number}"]) >= 3 for number in range(50))
    assert len(ticking.runs["before"]) >= before + 3
    running.cancel()
    await asyncio.wait({running})


async def test_what_is_removed_or_replaced_runs_no_more() -> None:
    """Whether its next run waits for its second or for its minute."""
    ticking = Ticking()
    for seconds in (1, 60):
        for name in ("kept", "removed", "replaced"):
            ticking.every(seconds, f"{name}-{seconds}")
    running = asyncio.create_task(ticking.run(1000))
    await asyncio.sleep(30)
    before = {name: len(runs) for name, runs in ticking.runs.items()}
    for seconds in (1, 60):
        ticking.schedule.remove(f"removed-{seconds}")
        ticking.schedule.every(7, f"replaced-{seconds}", forever)
    await asyncio.sleep(200)
    for seconds, runs in ((1, 150), (60, 3)):
        assert len(ticking.runs[f"kept-{seconds}"]) >= before[f"kept-{seconds}"] + runs
        for name in ("removed", "replaced"):
            assert len(ticking.runs[f"{name}-{seconds}"]) == before[f"{name}-{seconds}"]
    running.cancel()
    await asyncio.wait({running})


async def test_a_run_that_fails_runs_again() -> None:
    """A fault of ours in one of them ends none."""
    schedule, runs = Schedule(lambda *_: None), []

    async def later() -> None:
        runs.append("later")
        raise RuntimeError("bug")

    schedule.every(1, "later", later)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(10):
            await schedule.run()
    assert len(runs) >= 8
