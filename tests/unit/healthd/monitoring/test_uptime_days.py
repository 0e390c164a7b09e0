"""Uptime by days of a calendar, held to a count minute by minute."""

import random
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from healthd.model import Status
from healthd.monitoring.uptime import Span, Stretch, uptime, without
from healthd.monitoring.uptime_days import daily, days_until

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 3, 30, 10, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def test_days_of_a_zone_where_clocks_are_changed() -> None:
    """The last one ends now; the 29th of March 2026 has 23 hours in Berlin."""
    days = days_until(NOW, BERLIN, 3)
    assert [day for day, _, _ in days] == [date(2026, 3, 28), date(2026, 3, 29), date(2026, 3, 30)]
    assert [(end - start).total_seconds() / 3600 for _, start, end in days] == [24, 23, 12]
    assert (days[0][1], days[-1][2]) == (datetime(2026, 3, 27, 23, tzinfo=UTC), NOW)


def _stretches(source: random.Random, start: datetime, minutes: int) -> list[Stretch]:
    ends = [0, *sorted(source.sample(range(1, minutes), 8)), minutes]
    spans = pairwise(ends)
    return [
        Stretch(start + since * MINUTE, start + until * MINUTE, status)
        for since, until in spans
        if (status := source.choice([*Status])) is not Status.UNKNOWN
    ]


@pytest.mark.parametrize("seed", range(20))
def test_against_a_count_of_minutes(seed: int) -> None:
    """Down while any of them is, degraded while any of them is and none is down; holes count nowhere."""
    source = random.Random(seed)
    days = days_until(NOW, BERLIN, 3)
    start = days[0][1]
    length = int((NOW - start) / MINUTE)
    members = [_stretches(source, start, length) for _ in range(3)]
    holes: list[list[Span]] = [[(start + 100 * MINUTE, start + 200 * MINUTE)], [], [(start + 700 * MINUTE, NOW)]]

    def at(minute: datetime) -> set[Status]:
        return {
            each.status
            for known, left in zip(members, holes, strict=True)
            for each in known
            if each.start <= minute < each.end and not any(a <= minute < b for a, b in left)
        }

    found = daily(members, holes, days)
    for day, (label, since, until) in zip(found, days, strict=True):
        seen = [at(since + n * MINUTE) for n in range(int((until - since) / MINUTE))]
        down = sum(Status.UNHEALTHY in it for it in seen)
        slow = sum(Status.DEGRADED in it and Status.UNHEALTHY not in it for it in seen)
        assert day.date == label
        assert (day.known / 60, day.down / 60, day.degraded / 60) == (sum(map(bool, seen)), down, slow)
    together = uptime(members, holes, start)
    assert (sum(it.up for it in found), sum(it.known for it in found)) == (together.up, together.known)
    assert without([], holes[0]) == []
