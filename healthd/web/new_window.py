"""A window as a caller asks for it, and what may be wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar

from pydantic import Field

from healthd.config.model import Model, Reason
from healthd.config.whole import Fault, Whole
from healthd.config.window import (
    LONGEST,
    UNTIL_HEALTHY,
    Labelled,
    WindowKind,
    faults_of_subjects,
    has_labels,
    nothing_covered,
    subjects_of,
)
from healthd.labels import matches
from healthd.nearest import not_under
from healthd.units import Duration, Names, Time

_WILD = frozenset("*?[")
Labels = Mapping[str, Mapping[str, str]]


def ends_too_early(lasts: float | None) -> str:
    """Return what is wrong with an end that is past, or not after the start: `lasts` is what was given in its place."""
    if lasts is None:
        return "to must be later than from, and than now"
    return "it would be over already: write a later from, or a longer for"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Subjects that a window may cover, and the time: it is validated against these. `checks` and `services` have the
    labels of each; `groups_of` returns the groups of a check."""

    checks: Labels
    groups: Collection[str]
    services: Labels
    groups_of: Callable[[str], Collection[str]]
    now: datetime

    @property
    def names(self) -> Mapping[str, Collection[str]]:
        return {"checks": self.checks, "groups": self.groups, "services": self.services}


class NewWindow(Whole, Model):
    """Window to put in force."""

    stand_ins: ClassVar = {"kind": "silence", "reason": "missing"}

    kind: WindowKind
    """`maintenance`: failures do not count; `silence`: no notification; `pause`: no probes; `acknowledgement`: no
    further notification until the check is healthy; `freeze`: no gate of these services starts."""
    checks: Names = ()
    """Names of checks; `*` matches any text."""
    groups: Names = ()
    """Groups whose checks are covered."""
    services: Names = ()
    """Services that a freeze covers; `*` matches any text."""
    labels: Labelled = Field(default_factory=dict)
    """Labels that a check or service must have, each with one of these values."""
    start: Annotated[Time | None, Field(alias="from")] = None
    """Start of the window; now by default."""
    end: Annotated[Time | None, Field(alias="to")] = None
    """End of the window. An acknowledgement needs none: it ends with the failure, after 30 days at the latest."""
    lasts: Annotated[Duration | None, Field(alias="for")] = None
    """Length of the window, instead of its end: `1h`."""
    reason: Reason
    """Reason, shown beside what the window covers."""

    def faults(self, context: Any) -> Iterator[Fault]:
        if not isinstance(context, Surroundings):  # nothing is known to validate it against
            return
        strange = list(self._strangers(context))
        named = {name for name in ("checks", "groups", "services", "labels") if getattr(self, name)}
        subjects = list(faults_of_subjects(named, subjects_of(self.kind)))
        yield from (*strange, *subjects, *self._faults_of_times(context.now))
        if not strange and not subjects and (told := self._covers_nothing(context)) is not None:
            yield Fault(told, ("kind", "checks", "groups", "services", "labels"))

    def times(self, now: datetime) -> tuple[datetime, datetime | None]:
        """Return start and end; an end of None is missing."""
        start, end = self.start or now, self.end
        if self.lasts is not None:
            end = start + timedelta(seconds=min(self.lasts, 2 * LONGEST.total_seconds()))
        elif end is None and self.kind == "acknowledgement":
            end = start + UNTIL_HEALTHY
        return start, end

    def _strangers(self, known: Surroundings) -> Iterator[Fault]:
        """Yield the names that nothing has: a window that covers nothing helps nobody."""
        for section, names in known.names.items():
            for name in getattr(self, section):
                if name not in names and not _WILD & set(name):
                    yield Fault(f"names {not_under(section, name, names)}", (section,))

    def _faults_of_times(self, now: datetime) -> Iterator[Fault]:
        if self.start is not None and self.start - now > LONGEST:  # an end after it may be beyond all times
            yield Fault("from must be within a year from now", ("from",))
            return
        start, end = self.times(now)
        if self.end is not None and self.lasts is not None:
            yield Fault("write to or for, not both", ("to", "for"))
            return
        if self.lasts is not None and self.lasts > LONGEST.total_seconds():
            yield Fault(f"for must not be longer than a year: write at most {LONGEST.days}d", ("for",))
        elif end is None:
            yield Fault("it needs an end: write for, such as 1h, or to", ("kind", "to", "for"))
        elif end - start > LONGEST:
            yield Fault("to must be within a year after from", ("from", "to"))
        elif end <= max(now, start):
            yield Fault(ends_too_early(self.lasts), ("from", "to", "for"))

    def _covers_nothing(self, known: Surroundings) -> str | None:
        """Return what is wrong with patterns and labels that nothing has."""
        if self.kind == "freeze":
            if any(
                has_labels(labels, self.labels) and (not self.services or matches(name, self.services))
                for name, labels in known.services.items()
            ):
                return None
            return nothing_covered("service", self.services, self.labels, known.services)
        for name, labels in known.checks.items():
            is_named = matches(name, self.checks) or any(group in self.groups for group in known.groups_of(name))
            if (is_named or not (self.checks or self.groups)) and has_labels(labels, self.labels):
                return None
        return nothing_covered("check", self.checks, self.labels, known.checks)
