"""Incidents that people write about for customers. An incident is its updates: they are added, and never changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

IncidentState = Literal["investigating", "identified", "monitoring", "resolved"]
Impact = Literal["none", "degraded", "outage"]


class Update(BaseModel):
    """Update of an incident, with all that holds from then on. `author` is for those inside."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    id: str
    incident: str
    at: AwareDatetime
    author: str
    pages: tuple[str, ...]
    title: str
    components: tuple[str, ...]
    impact: Impact
    state: IncidentState
    text: str
    withdrawn: bool = False


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
    def is_open(self) -> bool:
        return self.last.state != "resolved"


def incidents_of(updates: Iterable[Update]) -> tuple[Incident, ...]:
    """Return the incidents of these updates that were not withdrawn: those that are open first, then the latest."""
    found: dict[str, list[Update]] = {}
    for update in sorted(updates, key=lambda it: (it.at, it.id)):
        found.setdefault(update.incident, []).append(update)
    incidents = [Incident(tuple(each)) for each in found.values() if not any(it.withdrawn for it in each)]
    return tuple(sorted(incidents, key=lambda it: (it.is_open, it.opened), reverse=True))
