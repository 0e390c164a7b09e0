"""Schemas of the answers of the daemon's own endpoints, for the OpenAPI document. `documents.py` makes the answers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from healthd.config.model import Model
from healthd.config.window import WindowKind
from healthd.model import FailureKind, Status

Moment = Annotated[datetime, WithJsonSchema({"type": "string", "format": "date-time"})]


class Answered(BaseModel):
    """Base of the answers. A member that may be null is left out instead."""

    model_config = ConfigDict(defer_build=True)


class CoverAnswer(Answered):
    """Window that covers a check now."""

    reason: str
    until: Moment
    """End of the window at the latest."""
    until_healthy: Literal[True] | None = None
    """`true` of an acknowledgement that ends with the failure."""
    by: str | None = None
    """Name of the caller who added it."""
    id: str | None = None
    """Identifier of a window that was added while the daemon ran."""


class StreakAnswer(Answered):
    """The last results of a check where they are too few to change its status, by its `rise` and `fall`."""

    status: Status
    """Status of the last result."""
    seen: int | None = None
    """Results in a row, so far, that contradict the status; left out where another replica counts them."""
    needed: int
    """Results in a row that change the status."""


class CheckAnswer(Answered):
    """One check. Callers without access to details get its status, the kind of its failure and the time of the last
    probe; measured values are further members, under their own names."""

    model_config = ConfigDict(extra="allow")

    status: Status
    """Status of the check; `unknown`: it has not been probed yet, or its last result is too old to be valid."""
    maintenance: CoverAnswer | bool | None = None
    """Window in which the failures of the check do not count; `true` for callers who may not see it."""
    silenced: CoverAnswer | bool | None = None
    """Window in which the check sends no notification; `true` for callers who may not see it."""
    paused: CoverAnswer | bool | None = None
    """Window in which the check does not run."""
    acknowledged: CoverAnswer | bool | None = None
    """Word of a person who takes care of the failure."""
    heldBy: str | None = None  # noqa: N815 - a member of JSON
    """Check, down or about to be, for which the notifications of this one are held back: this one depends on it."""
    timestamp: Moment | None = None
    """Time of the last probe."""
    kind: FailureKind | None = None
    """Kind of the failure."""
    overdue: bool | None = None
    """`true` if the last result is too old."""
    replica: str | None = None
    """Replica that ran the check, where replicas run it for each other."""
    latency: float | None = None
    """Response time of the dependency in milliseconds."""
    duration: float | None = None
    """Duration of the whole probe in milliseconds."""
    labels: dict[str, str] | None = None
    """Labels of the check."""
    critical: bool | None = None
    """True if a failure of the check makes the overall status unhealthy."""
    since: Moment | None = None
    """Time of the change to this status."""
    message: str | None = None
    """Message about the failure, for people."""
    streak: StreakAnswer | None = None
    """Last results that the status does not follow yet, such as the first of three failures."""


class WindowAnswer(Answered):
    """Window that is in force, or will be."""

    id: str
    kind: WindowKind
    checks: list[str] | None = None
    groups: list[str] | None = None
    services: list[str] | None = None
    labels: dict[str, list[str]] | None = None
    start: Annotated[Moment, Field(alias="from")]
    end: Annotated[Moment, Field(alias="to")]
    """End of the window at the latest."""
    until_healthy: Literal[True] | None = None
    """`true` of an acknowledgement that ends with the failure."""
    reason: str
    author: str
    """Name of the caller who added it."""
    stored: bool
    """False while the journal does not have the latest change: it holds on this replica alone until then."""
    ended: Literal[True] | None = None
    """`true` in the answer to a call that ended it."""


class WindowsAnswer(Answered):
    """Windows that are in force, or will be, the first to end first."""

    windows: list[WindowAnswer]
    complete: bool
    """False while the journal cannot be read: it may have others."""


class NamedCheckAnswer(CheckAnswer):
    """Check that was run, with all details."""

    name: str


class TroubleAnswer(Answered):
    """Rollback that failed or was not confirmed, and needs a person."""

    service: str
    state: str
    since: Moment
    version: str | None = None
    gate: str | None = None
    message: str | None = None


class ReplicaAnswer(Answered):
    """Replica that shares the journal."""

    host: str
    address: str
    here: bool | None = None
    """`true` for the one that answers."""
    runs: int | None = None
    """Number of the spread checks that it is to run."""


class JournalAnswer(Answered):
    """Journal that cannot be used: no gate starts or is decided, no window or transition is stored, until it is back.
    Health does not depend on it."""

    status: Literal["away"]
    since: Moment
    lastWrite: Moment | None = None  # noqa: N815
    """Last write that was stored since, where the journal comes and goes."""
    message: str | None = None
    """Reason, for people."""


class ConfigurationAnswer(Answered):
    """Configuration that was read and is not in force: the one before is. Health does not depend on it."""

    status: Literal["refused", "restart"]
    """`refused`: it is invalid as a whole; `restart`: some of its options change only with a restart."""
    since: Moment
    """Time of the first reload that did so, since the last that did not."""
    problems: list[str] | None = None
    """Reasons, for people."""


class TakenAwayAnswer(Answered):
    """All that one reload of the last 12 hours took away and none brought back. It may be meant so, or a file
    that lost its end."""

    at: Moment
    gone: list[str] | None = None
    """Names by what they name, for people."""


class HealthAnswer(Answered):
    """The whole daemon."""

    overall: Status
    timestamp: Moment
    uptime: float
    """Seconds since the daemon started."""
    version: str
    environment: str
    checks: dict[str, CheckAnswer]
    rollbacks: list[TroubleAnswer] | None = None
    """Rollbacks that need a person; left out while there is none."""
    replicas: list[ReplicaAnswer] | None = None
    """Living replicas that share the journal; left out where this one is alone."""
    configuration: ConfigurationAnswer | None = None
    """Left out while all that was read last is in force."""
    takenAway: list[TakenAwayAnswer] | None = None  # noqa: N815
    """The newest first; left out where nothing was."""
    journal: JournalAnswer | None = None
    """Left out while the journal can be used."""


class GroupAnswer(Answered):
    """One group of checks."""

    status: Literal["ready", "degraded", "not ready", "alive", "not alive", "stuck"]
    """Status of the group; `degraded`: an unhealthy dependency that all replicas share is tolerated. `alive`, `not
    alive` and `stuck` are those of the group `live`."""
    timestamp: Moment
    checks: dict[str, CheckAnswer] | None = None
    draining: bool | None = None
    """`true` if the daemon is stopping."""
    tasks: list[str] | None = None
    """Background tasks of the daemon that no longer work: only a restart helps."""


class IetfCheck(Answered):
    """One check in the format of draft-inadarei-api-health-check-06."""

    componentType: str  # noqa: N815 - the draft's word
    status: Literal["pass", "warn", "fail"]
    time: Moment | None = None
    observedValue: float | None = None  # noqa: N815
    observedUnit: Literal["ms"] | None = None  # noqa: N815
    output: str | None = None


class IetfAnswer(Answered):
    """Overall status in the format of draft-inadarei-api-health-check-06, for callers who accept
    `application/health+json`."""

    status: Literal["pass", "warn", "fail"]
    releaseId: str | None = None  # noqa: N815
    checks: dict[str, list[IetfCheck]] | None = None


class MetricsQuery(Model):
    """Selection of metrics."""

    name: tuple[str, ...] = Field((), alias="name[]")
    """Metrics to return, by the names of their series; all by default."""


class PingQuery(Model):
    """Report of one run among several."""

    rid: str = ""
    """Identifier of the run, such as a UUID, the same at its start and its end."""
