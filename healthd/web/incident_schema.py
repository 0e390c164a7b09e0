"""Schemas of the answers about incidents on public pages, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from healthd.config.incident import Effect, Standing
from healthd.web.schema import Answered, Moment


class IncidentUpdateAnswer(Answered):
    """Update of an incident, and its time."""

    at: Moment
    state: Standing
    text: str
    author: str
    """Name of the caller who wrote it; customers do not see it."""


class IncidentAnswer(Answered):
    """Incident, or an announcement, on the public pages."""

    id: str
    title: str
    state: Standing
    impact: Effect
    pages: list[str]
    components: list[str]
    """Components that are affected; `*` stands for all in what an earlier release wrote."""
    opened: Moment
    since: Moment
    """Time at which its state began."""
    start: Annotated[Moment | None, Field(alias="from")] = None
    """Begin of planned maintenance."""
    end: Annotated[Moment | None, Field(alias="to")] = None
    """End of planned maintenance."""
    window: str | None = None
    """Id of the maintenance window that was put in force with it."""
    updates: list[IncidentUpdateAnswer]
    """Updates, the latest first."""
    stored: bool
    """False while the journal does not have the latest update: it is shown by this replica alone until then."""
    withdrawn: Literal[True] | None = None
    """`true` in the answer to a call that withdrew it."""


class IncidentsAnswer(Answered):
    """Incidents, those that are open first, then the latest."""

    incidents: list[IncidentAnswer]
    complete: bool
    """False while the journal cannot be read: it may have others."""
