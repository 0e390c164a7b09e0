"""Uptime from changes of statuses: the arithmetic of times, held to a count minute by minute."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from healthd.config.window import Maintenance
from healthd.model import Status
from healthd.monitoring.uptime import Change, Span, Stretch, occurrences, stretches, union, uptime, without

START = datetime(2026, 3, 1, tzinfo=UTC)
UP, DOWN, SLOW, UNKNOWN = Status.HEALTHY, Status.UNHEALTHY, Status.DEGRADED, Status.UNKNOWN


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def change(minutes: float, old: Status, new: Status) -> Change:
    return at(minutes), old, new


@pytest.mark.parametrize(
    ("changes", "up", "known"),
    [
        ([], 60, 60),
        ([change(30, UP, DOWN)], 30, 60),
        ([change(30, UP, SLOW)], 60, 60),
        ([change(30, UNKNOWN, UP)], 30, 30),
        ([change(20, UP, UNKNOWN), change(40, UNKNOWN, UP)], 40, 40),
        ([change(-600, UP, DOWN)], 0, 60),
        ([change(-600, UP, DOWN), change(15, DOWN, UP), change(45, UP, DOWN)], 30, 60),
        ([change(15, DOWN, UP)], 45, 60),
        ([change(20, UP, DOWN), change(30, UNKNOWN, UP)], 50, 60),
    ],
)
def test_of_one_check(changes: list[Change], up: float, known: float) -> None:
    """Degraded is up; what is unknown counts on neither side; without a change the status of now has lasted."""
    seen = uptime([stretches(changes, START, at(60), UP, at(-90))], [[]], START)
    assert (seen.up / 60, seen.known / 60) == (up, known)


def test_nothing_known_has_no_uptime() -> None:
    """Rather than one of 0 or 100 %."""
    assert uptime([stretches([], START, at(60), UNKNOWN, None)], [[]], START).ratio is None


def _minutes(spans: list[Span], length: int) -> list[bool]:
    return [any(start <= at(minute) < end for start, end in spans) for minute in range(length)]


def _random_spans(source: random.Random, length: int) -> list[Span]:
    ends = sorted(source.sample(range(length + 1), 2 * source.randint(0, 6)))
    return [(at(start), at(end)) for start, end in zip(ends[::2], ends[1::2], strict=True)]


@pytest.mark.parametrize("seed", range(60))
def test_against_a_count_of_minutes(seed: int) -> None:
    """Sums, differences, and a group that is down while any of its checks is, with maintenance of each."""
    source, length = random.Random(seed), 120
    one, two = _random_spans(source, length), _random_spans(source, length)
    first, second = _minutes(one, length), _minutes(two, length)
    assert _minutes(union([*one, *two]), length) == [a or b for a, b in zip(first, second, strict=True)]
    assert _minutes(without(one, two), length) == [a and not b for a, b in zip(first, second, strict=True)]
    members, holes, up, known = [], [], [True] * length, [False] * length
    for _ in range(3):
        moments = sorted(source.sample(range(length), 5))
        statuses = [source.choice([UP, DOWN, SLOW, UNKNOWN]) for _ in moments]
        ends = [*moments[1:], length]
        members.append(
            [Stretch(at(a), at(b), s) for a, b, s in zip(moments, ends, statuses, strict=True) if s is not UNKNOWN]
        )
        holes.append(_random_spans(source, length))
        hidden = _minutes(holes[-1], length)
        for a, b, status in zip(moments, ends, statuses, strict=True):
            for minute in range(a, b):
                if status is not UNKNOWN and not hidden[minute]:
                    known[minute] = True
                    up[minute] = up[minute] and status.is_up
    seen = uptime(members, holes, START)
    assert seen.known / 60 == sum(known)
    assert seen.up / 60 == sum(a and b for a, b in zip(up, known, strict=True))


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({"from": at(10), "to": at(20)}, [(10, 20)]),
        ({"from": at(-10), "to": at(20)}, [(0, 20)]),
        ({"from": at(1430), "to": at(9000)}, [(1430, 1440)]),
        ({"from": at(-20), "to": at(-10)}, []),
        ({"from": at(2000), "to": at(3000)}, []),
        ({"cron": "0 */6 * * *", "for": "1h"}, [(0, 60), (360, 420), (720, 780), (1080, 1140)]),
        ({"cron": "0 */6 * * *", "for": "7h"}, [(0, 1440)]),
        ({"cron": "30 23 * * *", "for": "1h"}, [(0, 30), (1410, 1440)]),
        ({"cron": "0 3 * * *", "for": "2h", "timezone": "Europe/Berlin"}, [(120, 240)]),
    ],
)
def test_times_of_windows(times: dict[str, Any], expected: list[tuple[int, int]]) -> None:
    """Those within a day: once, by cron, one over the other, over midnight, in a time zone."""
    window = Maintenance.model_validate({"checks": "*", "reason": "x", **times})
    assert occurrences(window, START, at(1440)) == [(at(a), at(b)) for a, b in expected]


def test_of_a_window_that_begins_too_often_the_latest_times_count() -> None:
    """What was a quarter of a year ago matters less than today."""
    window = Maintenance.model_validate({"checks": "*", "reason": "x", "cron": "*/5 * * * *", "for": "3m"})
    times = occurrences(window, START - timedelta(days=90), START)
    assert times[-1] == (at(-5), at(-2))
    assert times[0][0] < START - timedelta(days=17)
