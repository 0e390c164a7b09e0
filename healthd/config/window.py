"""Windows: times in which checks are in maintenance, silenced, paused or acknowledged, or deploys are frozen. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import ConfigDict, Field

from healthd.config.model import Reason
from healthd.config.whole import Fault, Whole
from healthd.cron import Cron, Zone, next_time, trigger
from healthd.labels import matches
from healthd.nearest import nearest
from healthd.units import Duration, Names, Time, stamp

if TYPE_CHECKING:
    from apscheduler.triggers.cron import CronTrigger

WindowKind = Literal["maintenance", "silence", "pause", "acknowledgement", "freeze"]
Labelled = Mapping[str, Names]
LONGEST = timedelta(days=366)
"""Longest window that callers may add."""
UNTIL_HEALTHY = timedelta(days=30)
"""Latest end of an acknowledgement that ends with the failure: one of its checks may never be healthy again."""
_MINUTE = timedelta(minutes=1)
_DAY, _WEEK, _AHEAD = 86400.0, timedelta(days=8), timedelta(days=400)
_GAPLESS_STEPS = 3000


class Times(Whole):
    """Times of a window. It starts at every time that `cron` names in `timezone` and lasts `for`; or it runs from
    `from` to `to`."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    cron: Cron | None = None
    """Start of the window, as a cron line; days of the week by name or number, 0 to 7."""
    lasts: Duration | None = Field(None, alias="for")
    """Length of the window."""
    timezone: Zone = "UTC"
    """The time zone of `cron`."""
    start: Time | None = Field(None, alias="from")
    """Start of a window that occurs once: ISO 8601 with a time zone."""
    end: Time | None = Field(None, alias="to")
    """End of a window that occurs once."""
    reason: Reason
    """Reason, shown beside what the window covers and to a caller that is refused."""

    stand_ins: ClassVar = {"reason": "missing"}

    def faults(self, context: Any) -> Iterator[Fault]:
        recurring = self.cron is not None and self.lasts is not None
        once = self.start is not None and self.end is not None
        given = sum(value is not None for value in (self.cron, self.lasts, self.start, self.end))
        if given != 2 or recurring == once:
            yield Fault("write either cron and for, or from and to", ("cron", "for", "from", "to"))
        if self.start and self.end and self.end <= self.start:
            yield Fault("to must be later than from", ("from", "to"))
        if self.lasts is not None and self.lasts > 366 * 86400:
            yield Fault("for must not be longer than a year", ("for",))

    def until(self, moment: datetime) -> datetime | None:
        """Return the end of the window that covers this moment; None if none does."""
        if self.start is not None and self.end is not None:
            return self.end if self.start <= moment < self.end else None
        assert self.lasts is not None
        length = timedelta(seconds=self.lasts)
        start = _last_start(self._trigger(), moment.astimezone(UTC), length)
        return start + length if start is not None else None

    def has_no_gap(self, moment: datetime) -> bool:
        """Return whether it is in force at every time from a moment on, for as long as `_AHEAD`. Where it lasts less
        than `_GAPLESS_STEPS` allows to look so far, False."""
        covered = moment
        for _ in range(_GAPLESS_STEPS):
            if (end := self.until(covered)) is None:
                return False
            covered = end
            if covered >= moment + (_AHEAD if self.lasts is None or self.lasts >= _DAY else _WEEK):
                return True
        return False

    def next_start(self, moment: datetime) -> datetime | None:
        """Return the first start after a moment that the window does not cover; None if there is none."""
        if self.start is not None:
            return self.start if moment < self.start else None
        return next_time(self._trigger(), moment.astimezone(UTC))

    def _trigger(self) -> CronTrigger:
        assert self.cron is not None
        return trigger(self.cron, ZoneInfo(self.timezone))


class CheckWindow(Times):
    """Window that covers checks: those that are named, or in a named group, and have the labels."""

    checks: Names = ()
    """Names of checks; `*` matches any text."""
    groups: Names = ()
    """Groups whose checks are covered."""
    labels: Labelled = Field(default_factory=dict)
    """Labels that a check must have, each with one of these values; `*` matches any text."""

    def faults(self, context: Any) -> Iterator[Fault]:
        yield from super().faults(context)
        named = {name for name in ("checks", "groups", "services", "labels") if getattr(self, name, ())}
        yield from faults_of_subjects(named, self._subjects())

    @property
    def window_kind(self) -> WindowKind:
        return "maintenance"

    def _subjects(self) -> tuple[str, ...]:
        return subjects_of(self.window_kind)

    def takes(self, check: str, labels: Mapping[str, str], groups: Collection[str]) -> bool:
        """True if it covers this check, which is in these groups, at its times."""
        named = matches(check, self.checks) or any(group in groups for group in self.groups)
        return (named or not (self.checks or self.groups)) and has_labels(labels, self.labels)


class Maintenance(CheckWindow):
    """Planned window in which failures of these checks are ignored and send no notification."""


class Silence(CheckWindow):
    """Planned window in which these checks send no notification; their failures count as always."""

    @property
    def window_kind(self) -> WindowKind:
        return "silence"


class Window(CheckWindow):
    """Window that was added while the daemon runs, by a caller of the API."""

    id: str
    """Identifier of the window."""
    kind: WindowKind
    """`maintenance`: failures do not count; `silence`: no notification; `pause`: no probes; `acknowledgement`: no
    further notification until the check is healthy; `freeze`: no gate of these services starts."""
    services: Names = ()
    """Services whose gates a freeze refuses; `*` matches any text."""
    author: str
    """Name of the caller who added it."""
    reason: str = Field(min_length=1, max_length=200)
    """Reason, shown beside what the window covers; one that is stored is in force whatever characters it has."""

    @property
    def window_kind(self) -> WindowKind:
        return self.kind

    @property
    def is_until_healthy(self) -> bool:
        """True for an acknowledgement without an end of its own: it ends with the failure."""
        has_no_end = self.start is None or self.end is None or self.end - self.start == UNTIL_HEALTHY
        return self.kind == "acknowledgement" and has_no_end

    def takes(self, check: str, labels: Mapping[str, str], groups: Collection[str]) -> bool:
        return self.kind != "freeze" and super().takes(check, labels, groups)

    def freezes(self, service: str, labels: Mapping[str, str]) -> bool:
        named = not self.services or matches(service, self.services)
        return self.kind == "freeze" and named and has_labels(labels, self.labels)


def faults_of_subjects(named: Collection[str], subjects: Sequence[str]) -> Iterator[Fault]:
    """Yield what is wrong with what a window names, of the `subjects` that its kind covers."""
    surplus = [name for name in ("checks", "groups", "services") if name in named and name not in subjects]
    if surplus:
        yield Fault(f"has nothing to do with {' and '.join(surplus)}: leave that out", ("kind", *surplus))
    if not any(name in named for name in subjects):
        told = f"names nothing: write {', '.join(subjects[:-1])} or labels; `{subjects[0]}: '*'` are all"
        yield Fault(told, ("kind", *subjects))


def subjects_of(kind: WindowKind) -> tuple[str, ...]:
    """Return the options by which a window of this kind names what it covers."""
    return ("services", "labels") if kind == "freeze" else ("checks", "groups", "labels")


def notes_on_times(section: str, windows: Sequence[Times]) -> Iterator[str]:
    """Yield a note for each window that is over, or never is. Neither is an error: a file that was valid stays so."""
    now = datetime.now(UTC)
    for number, window in enumerate(windows):
        if window.end is not None and window.end <= now:
            yield f"{section}.{number}: ended at {stamp(window.end)}: take it out"
        elif window.cron is not None and window.has_no_gap(now):
            yield f"{section}.{number}: always in force: it begins again before its `for` is over: write a shorter one"


def nothing_covered(what: str, patterns: Names, labels: Labelled, known: Mapping[str, Mapping[str, str]]) -> str:
    """Return text such as `covers no check: none has the label tema=shop; did you mean team?`, for a window that takes
    none of what is known by its name and labels."""
    if patterns and not any(matches(name, patterns) for name in known):
        return f"covers no {what}: none is called {' or '.join(patterns)}"
    names = {name for each in known.values() for name in each}
    for name, values in labels.items():
        if not any(name in each and matches(each[name], values) for each in known.values()):
            there = {each[name] for each in known.values() if name in each}
            alike = nearest(name, names) if name not in names else nearest(values[0], there)
            meant = f"; did you mean {alike}?" if alike else ""
            return f"covers no {what}: none has the label {name}={'|'.join(values)}{meant}"
    return f"covers no {what}: none is in all that it names"


def has_labels(labels: Mapping[str, str], wanted: Labelled) -> bool:
    return all(matches(labels.get(name, ""), values) for name, values in wanted.items())


def _last_start(times: CronTrigger, moment: datetime, length: timedelta) -> datetime | None:
    """Return the last start up to the moment and less than `length` before it. However many starts there are in
    between, few are computed: the search goes back twice as far until there is one, and from there half as far each
    time."""
    times.end_date = moment  # nor is a later one searched for
    earliest, back = moment - length + timedelta(microseconds=1), _MINUTE
    while (start := next_time(times, max(moment - back, earliest))) is None:
        if moment - back <= earliest:
            return None
        back *= 2
    none_after = moment
    while none_after - start > _MINUTE:
        middle = start + (none_after - start) / 2
        later = next_time(times, middle)
        if later is None:
            none_after = middle
        else:
            start = later
    return start
