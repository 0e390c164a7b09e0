"""Schedule of names and intervals; it knows no checks. Runs wait in one heap, which a job of APScheduler inspects every
second.

A job of APScheduler's for each check would cost more than most probes do; one job that starts what is due in the next
seconds costs the same for ten checks as for a thousand.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from healthd.monitoring.scheduler import AsyncIOScheduler

_log = structlog.get_logger(__name__)
JITTER = 0.1  # share of the interval by which a run may come early or late
STAGGER = 0.005  # seconds between the first runs of neighbours, so that a start is not a storm
_LOOK = 1.0  # seconds between two inspections of the heap, and of the schedule itself
_AHEAD = 2.5 * _LOOK  # seconds for which timers are set, so that an inspection may be late
_LATE, _GIVEN_UP_AFTER = 5.0, 10.0  # seconds that a run may be late, and that such lateness may last
_CLOCK_STEP = 1.0  # seconds by which the wall clock may differ from the event loop's before it counts as a jump
_HAND_OUT = "hand out"


Job = Callable[[], Awaitable[object] | None]
"""Function that starts a run: a coroutine function, or one that returns a future that is done when the run ends."""


class StuckError(Exception):
    """Runs are due, and nothing starts them."""

    def __init__(self) -> None:
        super().__init__("runs are due and do not begin")


@dataclass(slots=True, eq=False)
class _Plan:
    """One thing that runs repeatedly; `due` is the time of its next run, by the event loop's clock."""

    name: str
    seconds: float
    job: Job
    due: float = 0.0
    timer: asyncio.TimerHandle | None = None
    run: asyncio.Future[object] | None = None

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


@dataclass(slots=True, order=True)
class _Entry:
    due: float
    number: int
    plan: _Plan = field(compare=False)


class Schedule:
    """Runs things at intervals: never twice at once, late ones merged into one, none dropped."""

    def __init__(self, skipped: Callable[[str, str], None], beat: Callable[[], None] = lambda: None) -> None:
        """Create a schedule. `skipped(name, reason)` is called for each run that did not happen, `beat()` while the
        schedule works."""
        self._scheduler: AsyncIOScheduler | None = None
        self._skipped, self._beat = skipped, beat
        self._plans: dict[str, _Plan] = {}
        self._heap: list[_Entry] = []
        self._numbers = count()
        self._handed_out_until = float("-inf")
        self._own: set[asyncio.Task[object]] = set()

    async def run(self) -> None:
        """Run until cancelled. Meanwhile, look for jumps of the wall clock, by which APScheduler counts: when the clock
        is set back an hour its timers sleep through that hour, so after a jump everything is due at once."""
        from healthd.monitoring.scheduler import AsyncIOScheduler, IntervalTrigger  # once health is served

        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )
        self._scheduler.start()
        every_look = IntervalTrigger(seconds=_LOOK, timezone=UTC)
        self._scheduler.add_job(self._hand_out, every_look, id=_HAND_OUT, next_run_time=datetime.now(UTC))
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
            self._end()

    def every(self, seconds: float, name: str, job: Job) -> None:
        """Run `job` soon and then every `seconds`, plus or minus a tenth."""
        self.remove(name)
        plan = self._plans[name] = _Plan(name, seconds, job)
        self._put(plan, len(self._plans) * STAGGER)

    def next_in(self, seconds: float, name: str, *, jitter: float = JITTER) -> None:
        """Move the next run of `name` to so many seconds from now, or up to a tenth later; its interval continues from
        there."""
        if (plan := self._plans.get(name)) is not None:  # otherwise it was removed while it ran
            self._put(plan, seconds * (1 + random.uniform(0, jitter)))

    def remove(self, name: str) -> None:
        if (plan := self._plans.pop(name, None)) is not None:
            plan.stop()
            plan.job, plan.seconds = _nothing, 0.0  # its entry is in the heap until it is due, and keeps nothing else

    def _put(self, plan: _Plan, seconds: float) -> None:
        """Plan the next run, in place of the planned one."""
        plan.stop()
        loop = asyncio.get_running_loop()
        plan.due = loop.time() + seconds
        if plan.due < self._handed_out_until:
            plan.timer = loop.call_at(plan.due, self._begin, plan)
        else:
            heappush(self._heap, _Entry(plan.due, next(self._numbers), plan))

    async def _hand_out(self) -> None:
        """Set a timer for each run that is due before the next inspection, and for a while after it."""
        loop = asyncio.get_running_loop()
        self._handed_out_until = loop.time() + _AHEAD
        while self._heap and (self._heap[0].due < self._handed_out_until or self._is_past(self._heap[0])):
            entry = heappop(self._heap)
            if not self._is_past(entry):
                entry.plan.timer = loop.call_at(entry.due, self._begin, entry.plan)

    def _is_past(self, entry: _Entry) -> bool:
        """True if an entry is obsolete: its run was moved or removed since."""
        plan = entry.plan
        return entry.due != plan.due or plan.timer is not None or self._plans.get(plan.name) is not plan

    def _begin(self, plan: _Plan) -> None:
        self._put(plan, plan.seconds * (1 + random.uniform(-JITTER, JITTER)))
        if plan.run is not None and not plan.run.done():
            self._skipped(plan.name, "still_running")
            return
        work = plan.job()
        if not asyncio.iscoroutine(work):
            plan.run = work if asyncio.isfuture(work) else None
            return
        plan.run = task = asyncio.create_task(work, name=plan.name)
        self._own.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[object]) -> None:
        self._own.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("scheduled run failed", error=repr(error))

    def _is_behind(self) -> bool:
        """True if a run is due that has no timer: once an error ends APScheduler's timer, nothing runs any more, and
        nothing else would report it."""
        late = asyncio.get_running_loop().time() - _LATE
        return bool(self._heap) and self._heap[0].due < late

    def _run_all_soon(self) -> None:
        if self._scheduler is not None:
            self._scheduler.modify_job(_HAND_OUT, next_run_time=datetime.now(UTC))
        for place, plan in enumerate(self._plans.values()):
            self._put(plan, place * STAGGER)

    def _end(self) -> None:
        """Stop, and put every run back into the heap, so that `run` can be called again."""
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=False)
        self._handed_out_until = float("-inf")
        self._heap.clear()
        for place, plan in enumerate(self._plans.values()):
            self._put(plan, place * STAGGER)
        for task in self._own:
            task.cancel()


def _nothing() -> None: ...


def _wall_against_loop() -> float:
    return datetime.now(UTC).timestamp() - asyncio.get_running_loop().time()
