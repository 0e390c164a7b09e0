"""Cron lines: their types for a model, and the times that they name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator

from healthd.nearest import did_you_mean

if TYPE_CHECKING:
    from apscheduler.triggers.cron import CronTrigger


_LEAP_YEAR = 2024
_FIELDS = {
    "minute": "0 to 59", "hour": "0 to 23", "day": "1 to 31", "month": "1 to 12 or JAN to DEC",
    "day of the week": "MON to SUN, or 0 to 7 (0 and 7 are Sunday)",
}  # fmt: skip
_SHORTHANDS = {
    "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * SUN",
    "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
}  # fmt: skip
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_MINUTE = timedelta(minutes=1)


def trigger(text: str, zone: tzinfo) -> CronTrigger:
    """Return the trigger of a cron line. Raises ValueError."""
    from apscheduler.triggers.cron import CronTrigger  # not needed by the client of the API, which reads this module

    fields = text.split()
    return CronTrigger.from_crontab(" ".join([*fields[:4], *map(_days_by_name, fields[4:])]), zone)


def _days_by_name(field: str) -> str:
    """Return days of the week by name, where they are written by number. A number means what it means to crontab(5), 0
    and 7 are Sunday; to the scheduler 0 is Monday. Raises ValueError."""
    return ",".join(_named(part) if re.search(r"\d", part) else part for part in field.split(","))


def _named(part: str) -> str:
    """Return one item of a list of days, such as `5`, `1-5`, `5-7` or `*/2`. Raises ValueError."""
    found = re.fullmatch(r"(?:(\*)|([0-7])(?:-([0-7]))?)(?:/([1-7]))?", part)
    if found is None:
        raise ValueError(f"{part!r} is no day of the week")
    every, first, last, step = found.groups()
    if step and not (every or last):
        raise ValueError(f"{part!r} has a step, and no range")
    days = range(7) if every else range(int(first), int(last or first) + 1)
    if not days:
        raise ValueError(f"{part!r} ends before it begins")
    return ",".join(dict.fromkeys(_DAYS[day % 7] for day in days[:: int(step or 1)]))


def next_time(trigger: CronTrigger, moment: datetime) -> datetime | None:
    """Return the first time from the moment on, up to the trigger's end. In the hour that comes twice when clocks go
    back, a fixed time such as `30 2 * * *` counts once, the first time, as for Debian's cron; a line whose minute or
    hour begins with `*` goes on through both."""
    found: datetime | None = trigger.get_next_fire_time(None, moment)
    while found is not None and _is_fixed(trigger) and _is_repeated(found, trigger.timezone):
        after = found.astimezone(UTC)
        while _is_repeated(after, trigger.timezone):
            after += _MINUTE
        found = trigger.get_next_fire_time(None, after)
    return None if found is None else found.astimezone(UTC)


def _is_fixed(trigger: CronTrigger) -> bool:
    return not any(field.name in ("minute", "hour") and str(field).startswith("*") for field in trigger.fields)


def _is_repeated(moment: datetime, zone: tzinfo) -> bool:
    """Return whether clocks of this zone have shown this time before."""
    return moment.astimezone(UTC).astimezone(zone).fold == 1


def _wrong_fields(text: str) -> Iterator[str]:
    """Yield what is wrong with the number of a cron line's fields, or with each of them."""
    fields = text.split()
    if meant := _SHORTHANDS.get(text.strip().lower()):
        yield f"write {meant}"
    elif len(fields) != len(_FIELDS):
        yield f"it has {len(fields)} fields, not five: {', '.join(_FIELDS)}"
    for position, (name, values) in enumerate(_FIELDS.items() if len(fields) == len(_FIELDS) else ()):
        try:
            trigger(" ".join(field if at == position else "*" for at, field in enumerate(fields)), UTC)
        except ValueError:
            yield f"{name} {fields[position]!r} is none: write {values}"


def _cron(text: str) -> str:
    try:
        read = trigger(text, UTC)
    except ValueError as error:
        problem = "; ".join(_wrong_fields(text)) or error
        raise ValueError(f"{text!r} is not a cron line such as 0 17 * * FRI: {problem}") from None
    fields = {field.name: field for field in read.fields}
    firsts = [datetime(_LEAP_YEAR, month, 1, tzinfo=UTC) for month in range(1, 13)]
    months = [first for first in firsts if fields["month"].get_next_value(first) == first.month]
    if all(fields["day"].get_next_value(first) is None for first in months):
        raise ValueError(f"{text!r} never comes: no month that it names has such a day")
    return text


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        # An abbreviation such as CEST is alike to others that are hours away, such as EST.
        meant = did_you_mean(name, (zone for zone in available_timezones() if "/" in zone))
        raise ValueError(f"no time zone is called {name!r}; write one such as Europe/Berlin.{meant}") from None
    return name


Cron = Annotated[str, AfterValidator(_cron)]
"""Cron line with five fields; days of the week by name, or by their numbers of crontab(5)."""
Zone = Annotated[str, AfterValidator(_zone)]
"""Name of a time zone."""
