"""When things run: a thin adapter over APScheduler. It knows names and intervals, not checks."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial

from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobEvent
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.base import STATE_RUNNING
from apscheduler.triggers.interval import IntervalTrigger

JITTER = 0.1  # share of the interval by which a run may come early or late
STAGGER = 0.005  # seconds between the first runs of neighbours, so that a start is not a storm
_LOOK = 1.0  # seconds between two looks at the schedule itself
_LATE, _GIVEN_UP_AFTER = 5.0, 10.0  # seconds that a run may be late, and that such lateness may last
_CLOCK_STEP = 1.0  # seconds by which the wall clock may differ from the event loop's before it counts as a jump


class StuckError(Exception):
    """Runs are due, and nothing begins them."""

    def __init__(self) -> None:
        super().__init__("runs are due and do not begin")


class Schedule:
    """Runs coroutine functions at intervals: never twice at once, late ones merged into one, none dropped."""

    def __init__(self, skipped: Callable[[str, str], None], beat: Callable[[], None] = lambda: None) -> None:
        """`skipped(name, reason)` is told of each run that did not happen, `beat()` that the schedule works."""
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )
        self._skipped, self._beat = skipped, beat
        self._planned: dict[str, tuple[float, Callable[[], Awaitable[object]]]] = {}
        self._scheduler.add_listener(self._on_skip, EVENT_JOB_MAX_INSTANCES | EVENT_JOB_MISSED)

    async def run(self) -> None:
        """Runs until cancelled. Meanwhile it looks for jumps of the wall clock, by which APScheduler counts: when the
        clock is set back an hour its timers sleep through that hour, so after a jump everything is due at once."""
        self._scheduler.start()
        for name, (seconds, job) in self._planned.items():  # of a run before this one nothing is left
            if self._scheduler.get_job(name) is None:
                self.every(seconds, name, job)
        offset, behind = _wall_against_loop(), 0
        try:
            while True:
                await asyncio.sleep(_LOOK)
                before, offset = offset, _wall_against_loop()
                if abs(offset - before) > _CLOCK_STEP:
                    self._run_all_soon()
                behind = behind + 1 if self._is_behind() else 0
                if behind * _LOOK > _GIVEN_UP_AFTER:
                    raise StuckError
                if not behind:
                    self._beat()
        finally:
            self._scheduler.shutdown(wait=False)

    def _is_behind(self) -> bool:
        """Whether a run is due that APScheduler has not begun: once an error ends its timer, nothing runs any more."""
        late = datetime.now(UTC) - timedelta(seconds=_LATE)
        return any(job.next_run_time is not None and job.next_run_time < late for job in self._scheduler.get_jobs())

    def every(self, seconds: float, name: str, job: Callable[[], Awaitable[object]]) -> None:
        """Run `job` soon and then every `seconds`, give or take a tenth."""
        first = len(self._planned) * STAGGER
        self._planned[name] = seconds, job
        self._scheduler.add_job(
            partial(_until_the_end, job),
            # APScheduler's jitter only delays: around a shorter interval it comes to a tenth either way.
            IntervalTrigger(seconds=seconds * (1 - JITTER), timezone=UTC, jitter=2 * seconds * JITTER),
            id=name,
            name=name,
            next_run_time=_in(first),
            replace_existing=True,
        )

    @contextmanager
    def held(self) -> Iterator[None]:
        """While many runs are planned nothing begins: APScheduler looks all of them over after each that is added."""
        if self._scheduler.state != STATE_RUNNING:
            yield
            return
        self._scheduler.pause()
        try:
            yield
        finally:
            self._scheduler.resume()

    def next_in(self, seconds: float, name: str) -> None:
        """Have the next run of `name` in so many seconds or up to a tenth later; the rhythm goes on from there."""
        wait = seconds * (1 + random.uniform(0, JITTER))
        try:
            self._scheduler.modify_job(name, next_run_time=_in(wait))
        except JobLookupError:
            return  # removed while it ran

    def remove(self, name: str) -> None:
        self._planned.pop(name, None)
        if self._scheduler.get_job(name):
            self._scheduler.remove_job(name)

    def _run_all_soon(self) -> None:
        for place, job in enumerate(self._scheduler.get_jobs()):
            job.modify(next_run_time=_in(place * STAGGER))

    def _on_skip(self, event: JobEvent) -> None:
        self._skipped(event.job_id, "still_running" if event.code == EVENT_JOB_MAX_INSTANCES else "missed")


async def _until_the_end(job: Callable[[], Awaitable[object]]) -> None:
    """A run of `job`. Its cancellation at the daemon's end stops here: APScheduler would log that as an error."""
    with suppress(asyncio.CancelledError):
        await job()


def _wall_against_loop() -> float:
    return datetime.now(UTC).timestamp() - asyncio.get_running_loop().time()


def _in(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)
