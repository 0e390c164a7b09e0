"""The shapes of what the daemon's own endpoints answer, for the OpenAPI document. `documents.py` makes the answers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from healthd.config.settings import Model
from healthd.model import FailureKind, Status

_Moment = Annotated[datetime, WithJsonSchema({"type": "string", "format": "date-time"})]


class _Answered(BaseModel):
    """Something that is answered. A member that may be null is left out instead."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class CheckAnswer(_Answered):
    """One check. Callers who may see no details get its status, the kind of its failure and when it was probed; what
    the check measured stands beside these members, under names of its own."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)

    status: Status
    """`unknown`: it has not been probed yet, or its last result is too old to be believed."""
    maintenance: str | bool | None = None
    """The reason of the planned window in which the check is now; `true` for callers who may not see it."""
    timestamp: _Moment | None = None
    """When it was probed last."""
    kind: FailureKind | None = None
    """The kind of its failure."""
    overdue: bool | None = None
    """`true` where its last result is too old."""
    latency: float | None = None
    """Milliseconds that the dependency took to answer."""
    duration: float | None = None
    """Milliseconds that the whole probe took."""
    critical: bool | None = None
    """Whether its failure makes the whole unhealthy."""
    since: _Moment | None = None
    """Since when it has this status."""
    message: str | None = None
    """What went wrong, for people."""


class NamedCheckAnswer(CheckAnswer):
    """The check that was run, with all details."""

    name: str


class TroubleAnswer(_Answered):
    """A rollback that failed or was not confirmed, and wants a person."""

    service: str
    state: str
    since: _Moment
    version: str | None = None
    gate: str | None = None
    message: str | None = None


class HealthAnswer(_Answered):
    """The whole daemon."""

    overall: Status
    timestamp: _Moment
    uptime: float
    """Seconds since the daemon started."""
    version: str
    environment: str
    checks: dict[str, CheckAnswer]
    rollbacks: list[TroubleAnswer] | None = None
    """The rollbacks that want a person; left out while there is none."""


class GroupAnswer(_Answered):
    """One group of checks."""

    status: Literal["ready", "degraded", "not ready", "alive", "not alive", "stuck"]
    """`degraded`: an unhealthy dependency that all replicas share is tolerated. `alive`, `not alive` and `stuck` are
    those of the group `live`."""
    timestamp: _Moment
    checks: dict[str, CheckAnswer] | None = None
    draining: bool | None = None
    """`true` where the daemon is stopping."""
    tasks: list[str] | None = None
    """The background tasks of the daemon that do their work no more: only a restart helps."""


class IetfCheck(_Answered):
    """One check in the words of draft-inadarei-api-health-check-06."""

    componentType: str  # noqa: N815 - the draft's word
    status: Literal["pass", "warn", "fail"]
    time: _Moment | None = None
    observedValue: float | None = None  # noqa: N815
    observedUnit: Literal["ms"] | None = None  # noqa: N815
    output: str | None = None


class IetfAnswer(_Answered):
    """The same as draft-inadarei-api-health-check-06 words it, for callers who accept `application/health+json`."""

    status: Literal["pass", "warn", "fail"]
    releaseId: str | None = None  # noqa: N815
    checks: dict[str, list[IetfCheck]] | None = None


class MetricsQuery(Model):
    """Which metrics are wanted."""

    name: tuple[str, ...] = Field((), alias="name[]")
    """Only these metrics, by the names of their series; all unless given."""
