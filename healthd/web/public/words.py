"""Words of a language, and how it writes numbers, days and times. The words themselves are in `catalogue`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, tzinfo


@dataclass(frozen=True, slots=True)
class Words:
    """Words of one language. `months` are short; `day` and `moment` are forms of a date and of a time."""

    name: str
    operational: str
    degraded: str
    outage: str
    maintenance: str
    unknown: str
    all_operational: str
    some_degraded: str
    partial_outage: str
    full_outage: str
    in_maintenance: str
    not_known: str
    skip: str
    as_of: str
    reload: str
    announcement: str
    components: str
    current_incidents: str
    past_incidents: str
    no_incidents: str
    incidents_not_known: str
    planned: str
    until: str
    now: str
    affects: str
    investigating: str
    identified: str
    monitoring: str
    resolved: str
    scheduled: str
    in_progress: str
    completed: str
    cancelled: str
    uptime: str
    one_day: str
    history_as_of: str
    history_not_known: str
    bad_days: str
    days_ago: str
    today: str
    legend: str
    day_operational: str
    day_degraded: str
    day_outage: str
    day_unknown: str
    feeds: str
    languages: str
    months: tuple[str, ...]
    day: str
    moment: str
    decimal: str
    percent: str

    def of(self, key: str) -> str:
        """Return the word for a state of `standing`, or of an incident. Raises AttributeError."""
        word: str = getattr(self, key)
        return word

    def show_day(self, day: date) -> str:
        return self.day.format(day=day.day, month=self.months[day.month - 1], year=day.year)

    def show_moment(self, moment: datetime, zone: tzinfo) -> str:
        """Return a time with its zone, to the minute."""
        local = moment.astimezone(zone)
        return self.moment.format(day=self.show_day(local.date()), time=f"{local:%H:%M}", zone=local.tzname())

    def show_percent(self, ratio: float) -> str:
        """Return a share rounded down, so that 100 % means all of it."""
        hundredths = int(ratio * 1e4 + 1e-6)
        whole, part = divmod(hundredths, 100)
        number = f"{whole}" if hundredths == 10_000 else f"{whole}{self.decimal}{part:02}"
        return self.percent.format(number=number)
