"""Counts of an Application Load Balancer's objects in S3, each of which is read once.

All objects of five minutes are counted at once, when they have had their time to come: each node of the load balancer
writes its own, and one after the other they would look like bursts. What comes later is counted with the next ones.

The place of a gate is when it began, from which end on it lists, to which end it has counted, and the names of the
counted objects: one that is delivered late is found, and one that was counted is not counted again, by whichever
process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from healthd.checks.failures import explain_late
from healthd.runtime.clock import Clock
from healthd_gates.sources.access_log.counting import Counting
from healthd_gates.sources.access_log.file_reader import Answer, Ask
from healthd_gates.sources.access_log.s3_bucket import Bucket, Gone
from healthd_gates.sources.access_log.s3_keys import INTERVAL, LogObject, stamp
from healthd_gates.sources.access_log.s3_lines import BrokenObject, Lines
from healthd_gates.sources.access_log.s3_options import S3Log
from healthd_gates.sources.access_log.tally import Tally
from healthd_gates.sources.access_log.times import epoch
from healthd_gates.sources.contract import SourceUnavailable

LATE = 1800.0
"""Seconds after its end within which an object that is delivered still counts."""
_APART = 20.0  # seconds between two listings, which cost money


class _Counted:
    """The counts of one object: `older` of its lines are of the time before the gate."""

    def __init__(self, ask: Ask, began: float) -> None:
        assert ask.form.roles.time is not None
        self.tally, self.older, self.lost = Tally(ask.edges), 0, 0
        self._parse, self._time, self._began = ask.form.parse, ask.form.get(ask.form.roles.time), began
        self._counting = Counting(ask.question, ask.form)

    def add(self, lines: Sequence[str]) -> None:
        """Count lines."""
        tally = self.tally
        for line in lines:
            if not line:
                continue
            fields = self._parse(line)
            at = epoch(self._time(fields)) if fields is not None else None
            if at is not None and at < self._began:
                self.older += 1
                continue
            tally.lines += 1
            tally.misfits += fields is None or not self._counting.count(fields, tally)


class S3Reader:
    """The reader of one gate: which lines count depends on when that began."""

    def __init__(self, options: S3Log, clock: Clock, timeout: float) -> None:
        self._bucket, self._clock = Bucket(options, timeout), clock
        self._address, self._delay = options.address, options.delay
        self._listed: list[LogObject] = []
        self._listed_at, self._known_to = float("-inf"), 0.0
        self._counted: dict[str, _Counted] = {}
        self._reading: asyncio.Task[None] | None = None

    def join(self, ask: Ask) -> None:
        """Nothing is counted before a gate asks."""

    def leave(self, ask: Ask) -> None:
        """Nothing is kept for others."""

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._bucket.close()

    async def collect(self, ask: Ask, since: Mapping[str, Any] | None, seconds: float) -> Answer:
        """Return what objects were read since a place; nothing without one. Reading goes on between two looks, for
        which an object may be too large. Raises SourceUnavailable."""
        now, loop = self._clock.now().timestamp(), asyncio.get_running_loop()
        until = loop.time() + seconds
        try:
            async with asyncio.timeout(seconds):
                if since is None:
                    await self._bucket.listed(now - INTERVAL, now)
                    return Answer(Tally(ask.edges), {"began": now, "from": now, "to": now, "read": []})
                await self._list(since["from"], now)
        except TimeoutError as error:
            late = explain_late(f"{self._address} was not listed within {seconds:g} s")
            raise SourceUnavailable(*late, unasked=True) from error
        read, began, counted_to = set(since["read"]), since["began"], since["to"]
        self._counted = {name: each for name, each in self._counted.items() if name not in read}
        open_ = [each for each in self._listed if each.ended > began and each.name not in read]
        unread = [each for each in open_ if each.name not in self._counted]
        problem = await self._read(unread, ask, began, until - loop.time())
        if problem is not None:
            raise problem
        due = [each for each in open_ if each.ended <= now - self._delay]
        more = any(each.name not in self._counted for each in due)
        if more or not any(each.ended > counted_to for each in due):
            return Answer(Tally(ask.edges), since, more=more)
        return self._answer(since, ask, due, [each.ended for each in open_ if each not in due])

    def _answer(
        self, since: Mapping[str, Any], ask: Ask, counted: Sequence[LogObject], left: Sequence[float]
    ) -> Answer:
        """Return the counts of objects, and the place after them. `left` are the ends of those that are not due yet."""
        to = max(each.ended for each in counted)
        start = max(since["from"], min(self._known_to - LATE, *left, to))
        names = {*since["read"], *(each.name for each in counted)}
        kept = sorted(name for name in names if name >= stamp(start))
        place = {"began": since["began"], "from": start, "to": to, "read": kept}
        answer = Answer(Tally(ask.edges), place, seconds=to - since["to"])
        for each in counted:
            found = self._counted[each.name]
            answer.tally.merge(found.tally)
            answer.older += found.older
            answer.lost += found.lost
        return answer

    async def _list(self, start: float, now: float) -> None:
        steady = self._clock.steady()
        if steady < self._listed_at + _APART:
            return
        self._listed, whole = await self._bucket.listed(start, now)
        self._listed_at = steady
        self._known_to = now if whole or not self._listed else self._listed[-1].ended

    async def _read(
        self, objects: Sequence[LogObject], ask: Ask, began: float, seconds: float
    ) -> SourceUnavailable | None:
        """Read objects for so many seconds; return why one cannot be read."""
        if self._reading is None and objects:
            work = self._read_each(objects, lambda: _Counted(ask, began))
            self._reading = asyncio.create_task(work, name="access-log-s3")
        if self._reading is None:
            return None
        await asyncio.wait({self._reading}, timeout=max(seconds, 0.0))
        if not self._reading.done():
            return None
        task, self._reading = self._reading, None
        try:
            task.result()
        except SourceUnavailable as error:
            return error
        return None

    async def _read_each(self, objects: Sequence[LogObject], begin: Callable[[], _Counted]) -> None:
        for each in objects:
            counted = begin()
            lines = Lines(counted.add)
            try:
                await self._bucket.read(each, lines)
            except (Gone, BrokenObject):
                counted.lost = 1
            counted.tally.misfits += lines.skipped
            self._counted[each.name] = counted
