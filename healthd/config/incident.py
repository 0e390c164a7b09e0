"""Incidents that people write about for customers. An incident is its updates: they are added, and never changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

IncidentState = Literal["investigating", "identified", "monitoring", "resolved"]
Impact = Literal["none", "degraded", "outage"]
Standing = Literal[
    "investigating", "identified", "monitoring", "resolved", "scheduled", "in_progress", "completed", "cancelled"
]
"""State of an incident, or of planned maintenance: `scheduled`, `in_progress` and `completed` by its times, `cancelled`
where somebody ended it before its begin."""
Effect = Literal["none", "degraded", "outage", "maintenance"]
OVER: tuple[Standing, ...] = ("resolved", "completed", "cancelled")


class Update(BaseModel):
    """Update of an incident, with all that holds from then on. `author` is for those inside. Planned maintenance has
    times, and `window` is the id of the maintenance window that was put in force with it, if any. An update is `exact`
    where no components mean none: an earlier release wrote no such mark, and meant all of them."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    id: str
    incident: str
    at: AwareDatetime
    author: str
    pages: tuple[str, ...]
    title: str
    components: tuple[str, ...]
    impact: Effect
    state: Standing
    text: str
    exact: bool = False
    withdrawn: bool = False
    starts: AwareDatetime | None = None
    ends: AwareDatetime | None = None
    window: str | None = None

    @property
    def is_over(self) -> bool:
        return self.state in OVER

    @property
    def is_of_all(self) -> bool:
        """True for an update of an earlier release that is about all components."""
        return not self.components and not self.exact

    def affects(self, component: str) -> bool:
        return self.is_of_all or component in self.components

    def until(self, moment: datetime) -> Iterator[Update]:
        """Yield what follows from its times alone, up to a moment: that the maintenance has begun, and is over."""
        steps: tuple[tuple[Standing, datetime | None], ...] = (("in_progress", self.starts), ("completed", self.ends))
        for state, at in steps:
            is_news = not self.is_over and state != self.state
            if at is not None and is_news and self.at < at <= moment:
                yield self.model_copy(update={"id": f"{self.id}.{state}", "at": at, "state": state, "text": ""})


@dataclass(frozen=True, slots=True)
class Incident:
    """Incident with all its updates, the first one first."""

    updates: tuple[Update, ...]

    @property
    def id(self) -> str:
        return self.updates[0].incident

    @property
    def last(self) -> Update:
        """Update that holds now."""
        return self.updates[-1]

    @property
    def opened(self) -> datetime:
        return self.updates[0].at

    @property
    def turned(self) -> Update:
        """Update that brought about the state that holds now."""
        return list(takewhile(lambda it: it.state == self.last.state, reversed(self.updates)))[-1]

    @property
    def is_open(self) -> bool:
        return not self.last.is_over

    @property
    def is_to_come(self) -> bool:
        """True for maintenance that has not begun."""
        return self.last.state == "scheduled"

    def as_of(self, now: datetime) -> Incident:
        """Return it with what its times have brought about up to now."""
        if all(it.starts is None for it in self.updates):
            return self
        ends = [*(it.at for it in self.updates[1:]), now]
        told = (each for it, end in zip(self.updates, ends, strict=True) for each in (it, *it.until(end)))
        return Incident(tuple(told))


def incidents_of(updates: Iterable[Update]) -> tuple[Incident, ...]:
    """Return the incidents of these updates that were not withdrawn, by what was written alone."""
    found: dict[str, list[Update]] = {}
    for update in sorted(updates, key=lambda it: (it.at, it.id)):
        found.setdefault(update.incident, []).append(update)
    return tuple(Incident(tuple(each)) for each in found.values() if not any(it.withdrawn for it in each))


def in_order(incidents: Iterable[Incident]) -> tuple[Incident, ...]:
    """Return those that are open first, then the latest."""
    return tuple(sorted(incidents, key=lambda it: (it.is_open, it.opened), reverse=True))
