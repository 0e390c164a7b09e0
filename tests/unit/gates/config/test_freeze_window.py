"""Freeze windows."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.cron import CronTrigger
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from healthd.config.window import Window
from healthd_gates.config.freeze_window import Freeze, frozen
from healthd_gates.config.settings import Config

WEEKEND = Freeze.model_validate({"cron": "0 17 * * FRI", "for": "62h", "reason": "weekend"})
FRIDAY = datetime(2026, 11, 20, 17, tzinfo=UTC)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"cron": "0 17 * * FRI"}, "either cron and for"),
        ({"from": "2026-12-01T00:00:00Z"}, "either cron and for"),
        ({"cron": "0 17 * * FRI", "to": "2026-12-01T00:00:00Z"}, "either cron and for"),
        ({"cron": "0 17 * *", "for": "2h"}, "not a cron line"),
        ({"cron": "0 17 * * 8", "for": "2h"}, "write MON to SUN, or 0 to 7"),
        ({"cron": "0 17 * * FRI", "for": "62"}, "duration"),
        ({"cron": "0 17 * * FRI", "for": "400d"}, "a year"),
        ({"cron": "0 17 * * FRI", "for": "2h", "timezone": "Mars/Olympus"}, "no time zone"),
        ({"from": "2026-12-02T00:00:00Z", "to": "2026-12-01T00:00:00Z"}, "later than from"),
        ({"from": "2026-12-02T00:00:00", "to": "2026-12-03T00:00:00Z"}, "timezone"),
    ],
)
def test_what_is_wrong_is_refused_and_named(raw: dict[str, Any], message: str) -> None:
    """Every rule has an example that breaks it."""
    with pytest.raises(ValidationError, match=message):
        Freeze.model_validate({"reason": "x", **raw})


def test_a_recurring_window_covers_from_its_start_up_to_its_end() -> None:
    """The start belongs to it, the end does not."""
    end = FRIDAY + timedelta(hours=62)
    assert WEEKEND.until(FRIDAY - timedelta(seconds=1)) is None
    assert WEEKEND.until(FRIDAY) == end
    assert WEEKEND.until(end - timedelta(seconds=1)) == end
    assert WEEKEND.until(end) is None


def test_a_window_that_was_added_freezes_too() -> None:
    """By the name of a service or a pattern, and by labels; the one that ends last is told."""
    raw = {
        "id": "a",
        "kind": "freeze",
        "author": "ada",
        "reason": "sale",
        "from": FRIDAY,
        "to": FRIDAY + timedelta(days=9),
    }
    added = Window.model_validate({**raw, "services": ["check*"], "labels": {"team": "shop"}})
    shop = {"team": "shop"}
    assert frozen([WEEKEND, added], "checkout", FRIDAY, shop) == (FRIDAY + timedelta(days=9), "sale")
    assert frozen([added], "checkout", FRIDAY, {}) is None
    assert frozen([added], "search", FRIDAY, shop) is None


def test_windows_that_overlap_themselves_last_until_the_last_one_ends() -> None:
    """Every day at noon for 36 hours is always."""
    always = Freeze.model_validate({"cron": "0 12 * * *", "for": "36h", "reason": "x"})
    assert always.until(FRIDAY) == FRIDAY.replace(hour=12) + timedelta(hours=36)


def test_a_window_keeps_its_hour_when_the_clocks_change() -> None:
    """17:00 in Berlin is 15:00 UTC in summer and 16:00 in winter."""
    daily = Freeze.model_validate({"cron": "0 17 * * *", "for": "1h", "timezone": "Europe/Berlin", "reason": "x"})
    assert daily.until(datetime(2026, 7, 1, 15, 30, tzinfo=UTC)) == datetime(2026, 7, 1, 16, tzinfo=UTC)
    assert daily.until(datetime(2026, 12, 1, 15, 30, tzinfo=UTC)) is None
    assert daily.until(datetime(2026, 12, 1, 16, 30, tzinfo=UTC)) == datetime(2026, 12, 1, 17, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "ends"),
    [
        (datetime(2026, 3, 29, 4, 30, tzinfo=UTC), datetime(2026, 3, 29, 5, tzinfo=UTC)),  # 6:30, until 7:00 in Berlin
        (datetime(2026, 3, 29, 5, 1, tzinfo=UTC), None),
        (datetime(2026, 10, 25, 3, 59, tzinfo=UTC), datetime(2026, 10, 25, 4, tzinfo=UTC)),  # 4:59, until 5:00
        (datetime(2026, 10, 25, 4, 1, tzinfo=UTC), None),
    ],
)
def test_a_night_in_which_the_clocks_change(moment: datetime, ends: datetime | None) -> None:
    """Eight hours are eight hours, and whoever is refused is told an end that lies ahead."""
    night = Freeze.model_validate({"cron": "0 22 * * *", "for": "8h", "timezone": "Europe/Berlin", "reason": "x"})
    assert night.until(moment) == ends


def test_of_several_windows_the_one_that_ends_last_is_named() -> None:
    """Whoever is refused is told when it is worth asking again."""
    audit = Freeze.model_validate({"from": FRIDAY, "to": FRIDAY + timedelta(days=9), "reason": "audit"})
    other = Freeze.model_validate(
        {"from": FRIDAY, "to": FRIDAY + timedelta(days=99), "reason": "x", "services": ["web"]}
    )
    assert frozen((WEEKEND, audit, other), "api", FRIDAY) == (audit.end, "audit")
    assert frozen((WEEKEND,), "api", FRIDAY - timedelta(days=1)) is None


_ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu")
_CLOCKS_CHANGE = (
    datetime(2026, 3, 8, 7, tzinfo=UTC),  # in New York
    datetime(2026, 3, 29, 1, tzinfo=UTC),  # in Berlin
    datetime(2026, 4, 4, 15, tzinfo=UTC),  # on Lord Howe Island, by half an hour
    datetime(2026, 10, 25, 1, tzinfo=UTC),
    datetime(2026, 11, 1, 6, tzinfo=UTC),
)
_FIELDS = (
    ["*", "0", "30", "*/15", "15-45", "0,29", "59"],
    ["*", "*/6", "0", "1", "2", "3", "1-3", "23"],
    ["*", "1", "8", "28-31", "last"],
    ["*", "3", "APR", "10-11"],
    ["*", "SUN", "SAT,SUN", "MON-FRI"],
)


def _by_every_minute(window: Freeze, moment: datetime) -> datetime | None:
    """The same in the simplest way: each minute before the moment is looked at as the clock on the wall shows it."""
    assert window.cron is not None
    assert window.lasts is not None
    fields = {field.name: field for field in CronTrigger.from_crontab(window.cron, UTC).fields}
    fixed = not any(field.startswith("*") for field in window.cron.split()[:2])  # once in the hour that comes twice
    start, length = moment.replace(second=0, microsecond=0), timedelta(seconds=window.lasts)
    while start > moment - length:
        wall = start.astimezone(ZoneInfo(window.timezone))
        named = all(fields[it].get_next_value(wall) == fields[it].get_value(wall) for it in _NAMES)
        if named and not (fixed and wall.fold):
            return start + length
        start -= timedelta(minutes=1)
    return None


_NAMES = ("minute", "hour", "day", "month", "day_of_week")


@pytest.mark.proof
@given(
    fields=st.tuples(*map(st.sampled_from, _FIELDS)),
    zone=st.sampled_from(_ZONES),
    moment=st.builds(
        lambda change, seconds: change + timedelta(seconds=seconds),
        st.sampled_from(_CLOCKS_CHANGE),
        st.integers(-90_000, 90_000),
    ),
    minutes=st.sampled_from([1, 20, 60, 90, 1440]),
)
@settings(max_examples=150)
def test_a_window_is_what_every_minute_says(fields: tuple[str, ...], zone: str, moment: datetime, minutes: int) -> None:
    """In any zone, around the changes of its clocks. A start in the hour that a clock skips may count when it skips."""
    window = Freeze.model_validate({"cron": " ".join(fields), "for": f"{minutes}m", "timezone": zone, "reason": "x"})
    found, expected = window.until(moment), _by_every_minute(window, moment)
    if found != expected:
        assert found is not None
        start = found - timedelta(minutes=minutes)
        wall = start.astimezone(ZoneInfo(zone))
        assert wall.utcoffset() != (start - timedelta(hours=2)).astimezone(ZoneInfo(zone)).utcoffset(), (wall, expected)


@pytest.mark.parametrize("cron", ["* * * * *", "0 17 * * FRI", "0 0 29 2 *", "59 23 31 12 SUN"])
def test_the_longest_window_costs_few_looks(cron: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window of a year may hold half a million starts, or none: what is looked at does not grow with them."""
    looks = 0
    look = CronTrigger.get_next_fire_time

    def counted(self: CronTrigger, previous: datetime | None, now: datetime) -> datetime | None:
        nonlocal looks
        looks += 1
        found: datetime | None = look(self, previous, now)
        return found

    monkeypatch.setattr(CronTrigger, "get_next_fire_time", counted)
    Freeze.model_validate({"cron": cron, "for": "366d", "reason": "x"}).until(FRIDAY)
    assert looks < 50


def test_a_freeze_of_no_service_is_told() -> None:
    """Of a label that no service has; one that covers all covers those that there are."""
    services = {"app": {"source": {"kind": "push"}, "labels": {"team": "shop"}}}
    often = {"cron": "0 17 * * FRI", "for": "2h", "reason": "x"}
    freeze = [{**often, "labels": {"tema": "shop"}}, {**often, "labels": {"team": "s*"}}, often]
    notes = Config.model_validate({"services": services, "freeze": freeze}).notes
    assert [note for note in notes if note.startswith("freeze")] == [
        "freeze.0: covers no service: none has the label tema=shop; did you mean team?"
    ]
