"""Uptime of each day of a calendar, for checks that customers see as one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

from healthd.model import Status
from healthd.monitoring.uptime import Span, Stretch, union, up_and_down, without


@dataclass(frozen=True, slots=True)
class Day:
    """Seconds of one day in which something was up, or up and degraded, and of which it is known whether it was up."""

    date: date
    up: float
    degraded: float
    known: float

    @property
    def down(self) -> float:
        """Seconds in which it was down."""
        return self.known - self.up


def days_until(now: datetime, zone: tzinfo, number: int) -> list[tuple[date, datetime, datetime]]:
    """Return so many days of a time zone, the last one until now: each with its start and end. A day on which clocks
    are changed has 23 or 25 hours."""
    today = now.astimezone(zone).date()
    dates = [today - timedelta(days=back) for back in range(number - 1, -1, -1)]
    starts = [datetime(it.year, it.month, it.day, tzinfo=zone).astimezone(UTC) for it in dates]
    return list(zip(dates, starts, [*starts[1:], now], strict=True))


def daily(
    members: Sequence[Sequence[Stretch]],
    left_out: Sequence[Sequence[Span]],
    days: Sequence[tuple[date, datetime, datetime]],
) -> tuple[Day, ...]:
    """Return each of these days, which follow one another. Several members are down while any of them is, and degraded
    while any of them is that and none is down. `left_out` are the times that do not count, for each of them."""
    start = days[0][1]
    up, down = up_and_down(members, left_out, start)
    slow = union(
        span
        for known, holes in zip(members, left_out, strict=True)
        for span in without([(it.start, it.end) for it in known if it.status is Status.DEGRADED], holes)
    )
    limits = [(since, until) for _, since, until in days]
    measured = zip(_cut(up, limits), _cut(down, limits), _cut(without(slow, down), limits), strict=True)
    return tuple(
        Day(day, is_up, is_slow, is_up + is_down)
        for (day, _, _), (is_up, is_down, is_slow) in zip(days, measured, strict=True)
    )


def _cut(spans: Iterable[Span], days: Sequence[Span]) -> list[float]:
    """Return the seconds of sorted spans in each of the days, which follow one another."""
    seconds = [0.0] * len(days)
    first = 0
    for start, end in spans:
        while first < len(days) and days[first][1] <= start:
            first += 1
        day = first
        while day < len(days) and days[day][0] < end:
            seconds[day] += (min(end, days[day][1]) - max(start, days[day][0])).total_seconds()
            day += 1
    return seconds
