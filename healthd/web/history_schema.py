"""Queries and answers of `GET /history` and `GET /audit`, for the OpenAPI document."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from healthd.config.model import Model
from healthd.model import FailureKind, Status
from healthd.units import Time

PERIODS = {"24h": 1, "7d": 7, "30d": 30, "90d": 90}
"""Days of each period for which there is an uptime."""
Period = Literal["24h", "7d", "30d", "90d"]
_Moment = Annotated[datetime, WithJsonSchema({"type": "string", "format": "date-time"})]


class _Answered(BaseModel):
    model_config = ConfigDict(defer_build=True)


class PeriodAnswer(_Answered):
    """Uptime of one period that ends now."""

    uptime: float | None
    """Share of the known time in which it was healthy or degraded, 0 to 1; null where nothing is known."""
    known: float
    """Share of the period of which it is known whether it was up; maintenance and pauses are not part of it."""


class UptimeAnswer(_Answered):
    """Uptime of a check or group."""

    uptime: dict[Period, PeriodAnswer]


class HistoryAnswer(_Answered):
    """Uptime of all checks, and of all groups but `startup`, which failures do not end. A group is down while any of
    its checks is."""

    timestamp: _Moment
    """Time up to which it is computed; up to 30 seconds ago."""
    checks: dict[str, UptimeAnswer]
    groups: dict[str, UptimeAnswer]


class FailureAnswer(_Answered):
    """Time in which a check was not healthy."""

    start: Annotated[_Moment, Field(alias="from")]
    end: Annotated[_Moment | None, Field(alias="to")] = None
    """End of it; left out while it lasts."""
    status: Status
    """Worst status of this time."""
    kind: FailureKind | None = None
    message: str
    """First message."""
    changes: int
    """Number of changes between statuses within it."""


class CheckHistoryAnswer(UptimeAnswer):
    """History of one check."""

    name: str
    timestamp: _Moment
    status: Status
    """Status of the check now."""
    since: _Moment | None = None
    lastHealthy: _Moment | None = None  # noqa: N815 - as the other members of the API
    """Time at which it was last known to be healthy."""
    failures: list[FailureAnswer]
    """Times in which it was not healthy, the latest first; 100 at most."""


class HistoryQuery(Model):
    """Period of the failures."""

    days: int = Field(90, ge=1, le=366)
    """Number of days back."""


class AuditQuery(Model):
    """Filters of the audit."""

    caller: str | None = Field(None, max_length=300)
    """Name of the caller who made the change."""
    action: str | None = Field(None, max_length=100)
    """Action, such as `window.add`; one that ends with a dot stands for all that begin with it: `gate.`"""
    subject: str | None = Field(None, max_length=300)
    """Id or name of what was changed."""
    since: Time | None = None
    """Earliest time, with its time zone."""
    limit: int = Field(50, ge=1, le=500)
    before: int | None = Field(None, ge=1, le=2**62)
    """`next` of the page before."""


class AuditRowAnswer(_Answered):
    """Change that a caller made."""

    id: int
    at: _Moment
    caller: str
    action: str
    subject: str
    detail: dict[str, Any]


class AuditAnswer(_Answered):
    """Changes, newest first."""

    entries: list[AuditRowAnswer]
    next: int | None
    """`before` of the next page; null at the end."""
