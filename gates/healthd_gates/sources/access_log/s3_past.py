"""The past of an access log in S3, by the time in its lines, and its newest lines."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from healthd.runtime.clock import Clock
from healthd_gates.sources.access_log.counting import Counting
from healthd_gates.sources.access_log.file_reader import Ask
from healthd_gates.sources.access_log.past import Span
from healthd_gates.sources.access_log.s3_bucket import Bucket, Gone
from healthd_gates.sources.access_log.s3_keys import INTERVAL, LogObject
from healthd_gates.sources.access_log.s3_lines import BrokenObject, Lines
from healthd_gates.sources.access_log.tally import Tally
from healthd_gates.sources.access_log.times import epoch

DELIVERED = 600.0
"""Seconds after which most objects with the requests of a moment are there."""
_MOST = 256 * 1024 * 1024
"""Bytes of lines that are read: a busier load balancer has a shorter past."""
_AT_ONCE = 4
_INSPECTED, _SHOWN = 3600.0, 600.0  # seconds


class _Steps:
    """The counts of one object by the steps of a span."""

    def __init__(self, ask: Ask, span: Span) -> None:
        assert ask.form.roles.time is not None
        self.tallies: dict[int, Tally] = {}
        self._edges, self._span = ask.edges, span
        self._parse, self._time = ask.form.parse, ask.form.get(ask.form.roles.time)
        self._counting = Counting(ask.question, ask.form)

    def add(self, lines: Sequence[str]) -> None:
        """Count lines."""
        span = self._span
        for line in lines:
            fields = self._parse(line)
            at = epoch(self._time(fields)) if fields is not None else None
            if fields is None or at is None or not span.start <= at < span.end:
                continue
            tally = self.tallies.setdefault(int((at - span.start) / span.step), Tally(self._edges))
            tally.lines += 1
            tally.misfits += not self._counting.count(fields, tally)


async def past_of_bucket(bucket: Bucket, ask: Ask, span: Span, clock: Clock, seconds: float) -> dict[int, Tally]:
    """Return the counts of each step that has any line, by its number: the newest that can be read in so many seconds,
    without those of which objects may still come. Raises SourceUnavailable."""
    now, until = clock.now().timestamp(), asyncio.get_running_loop().time() + seconds
    objects, _ = await bucket.listed(span.start, min(now, span.end + 2 * INTERVAL))
    left = [each for each in objects if each.ended > span.start and each.ended - INTERVAL < span.end]
    tallies, bytes_left = dict[int, Tally](), _MOST
    while left and bytes_left > 0 and asyncio.get_running_loop().time() < until:
        left, newest = left[:-_AT_ONCE], left[-_AT_ONCE:]
        for steps, size in await asyncio.gather(*(_steps(bucket, each, ask, span) for each in newest)):
            bytes_left -= size
            for place, tally in steps.tallies.items():
                tallies.setdefault(place, Tally(ask.edges)).merge(tally)
    begin = max((each.ended for each in left), default=span.start)
    end = now - DELIVERED
    return {
        place: tally
        for place, tally in tallies.items()
        if span.start + place * span.step >= begin and span.start + (place + 1) * span.step <= end
    }


async def _steps(bucket: Bucket, what: LogObject, ask: Ask, span: Span) -> tuple[_Steps, int]:
    steps = _Steps(ask, span)
    lines = Lines(steps.add)
    try:
        await bucket.read(what, lines)
    except (Gone, BrokenObject):
        steps.tallies.clear()
    return steps, lines.size


def newest_span(now: float) -> Span:
    """Return the newest minutes of which the objects are there."""
    return Span(now - DELIVERED - _SHOWN, _SHOWN, 1)


async def newest_lines(bucket: Bucket, clock: Clock, length: int) -> tuple[list[str], float | None]:
    """Return the first lines of the newest object, and how many seconds ago it ended; none if the last hour has no
    object. Raises SourceUnavailable."""
    now = clock.now().timestamp()
    objects, _ = await bucket.listed(now - _INSPECTED, now)
    for newest in reversed(objects):
        found = list[str]()
        try:
            await bucket.read(newest, Lines(found.extend), length)
        except (Gone, BrokenObject):
            continue
        return found, max(0.0, now - newest.ended)
    return [], None
