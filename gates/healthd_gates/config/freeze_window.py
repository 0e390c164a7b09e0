"""Windows in which nothing is deployed: `{cron: "0 17 * * FRI", for: 62h}` or `{from: …, to: …}`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apscheduler.triggers.cron import CronTrigger
from pydantic import AfterValidator, AwareDatetime, Field, model_validator

from healthd.config.settings import Model, Name
from healthd.units import Duration

_MINUTE = timedelta(minutes=1)


def _cron(text: str) -> str:
    try:
        CronTrigger.from_crontab(text, UTC)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a cron line such as 0 17 * * FRI: {error}") from None
    if re.search(r"\d", text.split()[4]):
        raise ValueError("write the day of the week by name, such as FRI: its number is not the same day everywhere")
    return text


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"no time zone is called {name!r}; write one such as Europe/Berlin") from None
    return name


class Freeze(Model):
    """One window. It starts at every time that `cron` names in `timezone` and lasts `for`; or it runs from `from` to
    `to`.

    An empty `services` means all services.
    """

    cron: Annotated[str, AfterValidator(_cron)] | None = None
    """Start of the window, as a cron line; days of the week by name."""
    lasts: Duration | None = Field(None, alias="for")
    """Length of the window."""
    timezone: Annotated[str, AfterValidator(_zone)] = "UTC"
    """The time zone of `cron`."""
    start: AwareDatetime | None = Field(None, alias="from")
    """Start of a window that occurs once."""
    end: AwareDatetime | None = Field(None, alias="to")
    """End of a window that occurs once."""
    services: tuple[Name, ...] = ()
    """The services that are frozen; all of them unless given."""
    reason: str = Field(min_length=1, max_length=200)
    """The reason, shown to a caller that is refused."""

    @model_validator(mode="after")
    def _is_one_of_the_two(self) -> Self:
        recurring = self.cron is not None and self.lasts is not None
        once = self.start is not None and self.end is not None
        given = sum(value is not None for value in (self.cron, self.lasts, self.start, self.end))
        if given != 2 or recurring == once:
            raise ValueError("a freeze has either cron and for, or from and to")
        if self.start and self.end and self.end <= self.start:
            raise ValueError("to must be later than from")
        if self.lasts is not None and self.lasts > 366 * 86400:
            raise ValueError("for must not be longer than a year")
        return self

    def until(self, moment: datetime) -> datetime | None:
        """Return the end of the window that covers this moment; None if none does."""
        if self.start is not None and self.end is not None:
            return self.end if self.start <= moment < self.end else None
        assert self.cron is not None
        assert self.lasts is not None
        length = timedelta(seconds=self.lasts)
        start = _last_start(
            CronTrigger.from_crontab(self.cron, ZoneInfo(self.timezone)), moment.astimezone(UTC), length
        )
        return start + length if start is not None else None


def _last_start(trigger: CronTrigger, moment: datetime, length: timedelta) -> datetime | None:
    """Return the last start up to the moment and less than `length` before it. However many starts there are in
    between, few are computed: the search goes back twice as far until there is one, and from there half as far each
    time."""
    trigger.end_date = moment  # nor is a later one searched for
    earliest, back = moment - length + timedelta(microseconds=1), _MINUTE
    while (start := _next_start(trigger, max(moment - back, earliest))) is None:
        if moment - back <= earliest:
            return None
        back *= 2
    none_after = moment
    while none_after - start > _MINUTE:
        middle = start + (none_after - start) / 2
        later = _next_start(trigger, middle)
        if later is None:
            none_after = middle
        else:
            start = later
    return start


def _next_start(trigger: CronTrigger, moment: datetime) -> datetime | None:
    """Return the first start from the moment on, up to the trigger's end."""
    start: datetime | None = trigger.get_next_fire_time(None, moment)
    return None if start is None else start.astimezone(UTC)


def frozen(windows: Iterable[Freeze], service: str, moment: datetime) -> tuple[datetime, str] | None:
    """Return until when, and why, the service is frozen at this moment: by the window that ends last."""
    covering = [
        (until, window.reason)
        for window in windows
        if (not window.services or service in window.services) and (until := window.until(moment)) is not None
    ]
    return max(covering, default=None)
