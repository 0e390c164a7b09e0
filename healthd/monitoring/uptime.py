"""Uptime of checks and groups, from the changes of their statuses. Pure.

What is known of a time is up or down; time in a maintenance window or a pause, and time of which nothing is known, is
left out of both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from healthd.config.window import Times
from healthd.model import Status

Span = tuple[datetime, datetime]
Change = tuple[datetime, Status, Status]
"""Time, old and new status."""
_MOST_OCCURRENCES = 5000  # of one window, or a day more
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Time between two changes in which a check had one status, which is not `unknown`."""

    start: datetime
    end: datetime
    status: Status


@dataclass(frozen=True, slots=True)
class Uptime:
    """Seconds in which a check or group was up, and of which it is known whether it was."""

    up: float
    known: float

    @property
    def ratio(self) -> float | None:
        """Share of the known time in which it was up; None where nothing is known."""
        return self.up / self.known if self.known > 0 else None


def stretches(
    changes: Sequence[Change], start: datetime, end: datetime, status: Status, since: datetime | None
) -> list[Stretch]:
    """Return what is known between two moments. `changes` are those since the start, and perhaps the one before, oldest
    first; `status` is the one of now, which it has `since`: a check that never changed has no changes."""
    points: list[tuple[datetime, Status]] = []
    if changes and changes[0][0] > start:
        points.append((start, changes[0][1]))
    points += [(max(at, start), new) for at, _, new in changes]
    if not changes and since is not None:
        points.append((max(start, since), status))
    ends = [*(at for at, _ in points[1:]), end] if points else []
    return [
        Stretch(at, min(until, end), now)
        for (at, now), until in zip(points, ends, strict=True)
        if now is not Status.UNKNOWN and min(until, end) > at
    ]


def uptime(members: Iterable[Iterable[Stretch]], left_out: Iterable[Sequence[Span]], start: datetime) -> Uptime:
    """Return the uptime since a moment of one check, or of several together, which are down while any of them is.
    `left_out` are the times that do not count, for each of them."""
    up, down = up_and_down(members, left_out, start)
    return Uptime(_seconds(up), _seconds(up) + _seconds(down))


def up_and_down(
    members: Iterable[Iterable[Stretch]], left_out: Iterable[Sequence[Span]], start: datetime
) -> tuple[list[Span], list[Span]]:
    """Return the times since a moment in which one check, or several together, were up, and those in which they were
    down: while any of them was."""
    up: list[Span] = []
    down: list[Span] = []
    for known, holes in zip(members, left_out, strict=True):
        for is_up, spans in ((True, up), (False, down)):
            mine = [(max(it.start, start), it.end) for it in known if it.status.is_up == is_up and it.end > start]
            spans += without(mine, holes)
    down = union(down)
    return without(union(up), down), down


def occurrences(window: Times, start: datetime, end: datetime) -> list[Span]:
    """Return the times of a window between two moments; of too many the latest."""
    found: list[Span] = []
    while start < end and len(found) < _MOST_OCCURRENCES:
        since = max(start, end - _DAY)
        found += _of_a_day(window, since, end)
        end = since
    return union(found)


def _of_a_day(window: Times, start: datetime, end: datetime) -> Iterator[Span]:
    moment: datetime | None = start
    while moment is not None and moment < end:
        until = window.until(moment)
        if until is not None:
            yield moment, min(until, end)
            moment = until
        if window.until(moment) is None:
            following = window.next_start(moment)
            moment = following if following is None or following > moment else moment + timedelta(minutes=1)


def union(spans: Iterable[Span]) -> list[Span]:
    """Return the same times, sorted and none of them twice."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        elif end > start:
            merged.append((start, end))
    return merged


def without(spans: Sequence[Span], holes: Sequence[Span]) -> list[Span]:
    """Return the times of `spans` outside of `holes`. Both are sorted, and none of them overlaps another of its own."""
    left: list[Span] = []
    place = 0
    for start, end in sorted(spans):
        while place < len(holes) and holes[place][1] <= start:
            place += 1
        at = place
        while at < len(holes) and holes[at][0] < end:
            if holes[at][0] > start:
                left.append((start, holes[at][0]))
            start = max(start, holes[at][1])
            at += 1
        if start < end:
            left.append((start, end))
    return left


def _seconds(spans: Iterable[Span]) -> float:
    return sum((end - start).total_seconds() for start, end in spans)
