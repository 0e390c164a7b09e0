"""Basic types of health: Status, FailureKind, Result, Probe, Transition. Frozen values; no I/O and no clock here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Self

JSONScalar = str | int | float | bool | None
Observed = Mapping[str, "JSONScalar | list[str]"]


class Status(StrEnum):
    """Status of a check. `UNKNOWN` means that it never ran or that its last result is too old to be valid."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"

    @property
    def is_up(self) -> bool:
        """True if traffic may still be sent here: healthy or degraded."""
        return self in (Status.HEALTHY, Status.DEGRADED)


class FailureKind(StrEnum):
    """Reason of a failed probe: one of a bounded list, fit for a metric's label and an alert's route."""

    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    AUTH = "auth"
    PERMISSION = "permission"
    RATE_LIMITED = "rate_limited"
    READ_ONLY = "read_only"
    NOT_PRIMARY = "not_primary"
    LAGGING = "lagging"
    EXHAUSTED = "exhausted"
    TIMEOUT = "timeout"
    EXPIRED = "expired"
    THRESHOLD = "threshold"
    UNEXPECTED_RESPONSE = "unexpected_response"
    MISCONFIGURED = "misconfigured"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Measure:
    """Number that a check measured, in a unit: `s`, `B`, `%`, or one of its own."""

    name: str
    value: float
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """Result of one probe.

    `latency` is the dependency's own response time in seconds. `observed` holds the measured values, in the names and
    units of the JSON answer (`usage` in percent, `statusCode`); it never holds a secret. `message` is for people with a
    token. `retry_after` asks the monitor not to probe the dependency for that many seconds, `changes_in` to probe
    after so many at the latest, because the result changes by itself then. `measures` are numbers for metrics. A state
    that is `expected`, such as that of a job whose first report is not due yet, sends no notification.
    """

    status: Status
    kind: FailureKind | None = None
    message: str = ""
    latency: float | None = None
    observed: Observed = field(default_factory=dict)
    retry_after: float | None = None
    measures: tuple[Measure, ...] = ()
    changes_in: float | None = None
    expected: bool = False

    def __post_init__(self) -> None:
        if self.status is Status.UNKNOWN:
            raise ValueError("a probe that ran has a status: healthy, degraded or unhealthy")
        if (self.status is Status.HEALTHY) == (self.kind is not None):
            raise ValueError("a result has a failure kind exactly when it is not healthy")

    @classmethod
    def healthy(cls, message: str = "", *, latency: float | None = None, observed: Observed | None = None) -> Self:
        return cls(Status.HEALTHY, None, message, latency, observed or {})

    @classmethod
    def degraded(
        cls,
        kind: FailureKind,
        message: str,
        *,
        latency: float | None = None,
        observed: Observed | None = None,
        retry_after: float | None = None,
    ) -> Self:
        return cls(Status.DEGRADED, kind, message, latency, observed or {}, retry_after)

    @classmethod
    def unhealthy(
        cls,
        kind: FailureKind,
        message: str,
        *,
        latency: float | None = None,
        observed: Observed | None = None,
        retry_after: float | None = None,
    ) -> Self:
        return cls(Status.UNHEALTHY, kind, message, latency, observed or {}, retry_after)


def require_aware(moment: datetime) -> None:
    """Raise ValueError for a naive datetime: a time without a zone is a bug that shows up at night."""
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise ValueError("a time needs a zone: use datetime.now(UTC)")


@dataclass(frozen=True, slots=True)
class Probe:
    """One execution of a check: its end (aware), its duration in seconds, and its result."""

    at: datetime
    duration: float
    result: Result

    def __post_init__(self) -> None:
        require_aware(self.at)


@dataclass(frozen=True, slots=True)
class Transition:
    """Change of a check's status, after rise and fall thresholds. `probe` is None when the check became overdue."""

    check: str
    old: Status
    new: Status
    at: datetime
    probe: Probe | None

    def __post_init__(self) -> None:
        require_aware(self.at)
