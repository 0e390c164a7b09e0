"""The times that a cron line names, in the nights in which clocks change."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from pydantic import TypeAdapter, ValidationError

from healthd.config.window import Maintenance
from healthd.cron import Cron, Zone, next_time, trigger


def _times(cron: str, zone: str, first: str, last: str) -> list[str]:
    """Return all times from the first to the last, in UTC."""
    times, moment, found = trigger(cron, ZoneInfo(zone)), datetime.fromisoformat(first), []
    while (start := next_time(times, moment)) is not None and start <= datetime.fromisoformat(last):
        found.append(f"{start:%H:%M}")
        moment = start + timedelta(microseconds=1)
    return found


BERLIN = ("Europe/Berlin", "2027-10-31T00:00+00:00", "2027-10-31T02:10+00:00")  # 3:00 becomes 2:00 at 1:00 UTC
NEW_YORK = ("America/New_York", "2026-11-01T04:30+00:00", "2026-11-01T07:30+00:00")  # 2:00 becomes 1:00 at 6:00 UTC
LORD_HOWE = ("Australia/Lord_Howe", "2026-04-04T14:00+00:00", "2026-04-04T16:00+00:00")  # 2:00 becomes 1:30 at 15:00
SPRING = ("Europe/Berlin", "2027-03-28T00:00+00:00", "2027-03-28T02:00+00:00")  # 2:00 becomes 3:00 at 1:00 UTC


@pytest.mark.parametrize(
    ("cron", "night", "expected"),
    [
        ("30 2 * * *", BERLIN, ["00:30"]),
        ("0,30 2 * * *", BERLIN, ["00:00", "00:30"]),
        ("0 2 * * *", BERLIN, ["00:00"]),
        ("0 1-3 * * *", BERLIN, ["00:00", "02:00"]),
        ("30 2 31 OCT *", BERLIN, ["00:30"]),
        ("*/30 * * * *", BERLIN, ["00:00", "00:30", "01:00", "01:30", "02:00"]),
        ("0 * * * *", BERLIN, ["00:00", "01:00", "02:00"]),
        ("*/30 2 * * *", BERLIN, ["00:00", "00:30", "01:00", "01:30"]),
        ("30 1 * * *", NEW_YORK, ["05:30"]),
        ("30 * * * *", NEW_YORK, ["04:30", "05:30", "06:30", "07:30"]),
        ("45 1 * * *", LORD_HOWE, ["14:45"]),
        ("15 1 * * *", LORD_HOWE, ["14:15"]),
        ("30 2 * * *", SPRING, ["01:30"]),
    ],
)
def test_a_fixed_time_comes_once_where_an_hour_comes_twice(
    cron: str, night: tuple[str, str, str], expected: list[str]
) -> None:
    """As for Debian's cron; what recurs by the hour or the minute goes on through both. A time that is skipped comes
    after the gap."""
    assert _times(cron, *night) == expected


def test_a_search_that_begins_in_the_repeated_hour_finds_the_next_day() -> None:
    """Half past two of the day after, by winter time."""
    times = trigger("30 2 * * *", ZoneInfo("Europe/Berlin"))
    assert next_time(times, datetime(2027, 10, 31, 1, 10, tzinfo=UTC)) == datetime(2027, 11, 1, 1, 30, tzinfo=UTC)


def test_a_window_opens_once_in_that_night() -> None:
    """For its hour, from the first half past two on."""
    raw = {"cron": "30 2 * * *", "for": "1h", "timezone": "Europe/Berlin", "checks": "*", "reason": "x"}
    window, night = Maintenance.model_validate(raw), datetime(2027, 10, 31, tzinfo=UTC)
    covered = [minute for minute in range(180) if window.until(night + timedelta(minutes=minute)) is not None]
    assert covered == list(range(30, 90))
    assert window.next_start(night + timedelta(minutes=90)) == datetime(2027, 11, 1, 1, 30, tzinfo=UTC)


def test_every_wrong_field_is_named_with_its_range() -> None:
    """All at once, in the words of the line."""
    says = "minute '61' is none: write 0 to 59; day of the week 'MON-FRY' is none: write MON to SUN"
    with pytest.raises(ValidationError, match=says):
        TypeAdapter(Cron).validate_python("61 2 * * MON-FRY")


def test_a_misspelt_zone_gets_the_nearest() -> None:
    """Of those that there are."""
    with pytest.raises(ValidationError, match=r"Did you mean Europe/Berlin\?"):
        TypeAdapter(Zone).validate_python("Europe/Berln")


def test_an_abbreviation_suggests_no_other() -> None:
    """CEST is spelt like EST, which is seven hours away."""
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(Zone).validate_python("CEST")
    assert "write one such as Europe/Berlin" in str(refused.value)
    assert "Did you mean" not in str(refused.value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("@daily", "write 0 0 \\* \\* \\*"),
        ("0 17 * *", "it has 4 fields, not five: minute, hour, day, month, day of the week"),
        ("0 0 17 * * FRI", "it has 6 fields, not five"),
    ],
)
def test_a_line_of_another_form(line: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TypeAdapter(Cron).validate_python(line)


@pytest.mark.parametrize(
    ("days", "names"),
    [
        ("7", "Sun"),
        ("0", "Sun"),
        ("1", "Mon"),
        ("5", "Fri"),
        ("1-5", "Mon Tue Wed Thu Fri"),
        ("5-7", "Fri Sat Sun"),
        ("0-2", "Mon Tue Sun"),
        ("0,3", "Wed Sun"),
        ("MON,6", "Mon Sat"),
        ("*/2", "Tue Thu Sat Sun"),
        ("1-7/3", "Mon Thu Sun"),
        ("0-7", "Mon Tue Wed Thu Fri Sat Sun"),
    ],
)
def test_the_numbers_of_days_are_those_of_crontab(days: str, names: str) -> None:
    """0 and 7 are Sunday, as in crontab(5); to the scheduler 0 is Monday."""
    times, monday = (
        trigger(TypeAdapter(Cron).validate_python(f"0 3 * * {days}"), UTC),
        datetime(2026, 11, 23, tzinfo=UTC),
    )
    week = [next_time(times, monday + timedelta(days=day)) for day in range(7)]
    assert [
        f"{it:%a}" for it in dict.fromkeys(week) if it is not None and it < monday + timedelta(days=7)
    ] == names.split()


@pytest.mark.parametrize("days", ["8", "5-2", "5/2", "*/0", "1-8", "MON-5", "1,", "-1", "*/8", "2nd"])
def test_a_number_that_is_no_day(days: str) -> None:
    with pytest.raises(ValidationError, match=r"write MON to SUN, or 0 to 7 \(0 and 7 are Sunday\)"):
        TypeAdapter(Cron).validate_python(f"0 3 * * {days}")
