"""Contract of every check: a config model and a class with `probe` and `close`. Each kind has its own file in this
folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, Field, model_validator

from healthd.checks.heartbeat_record import Records
from healthd.labels import MOST_LABELS, Labels
from healthd.model import Result
from healthd.runtime.clock import Clock
from healthd.units import Duration, LinkForPeople, Names, show_duration

SHORTEST_SPREAD = 5.0
"""Shortest interval of a check that is spread: replicas hear of each other's results within as many seconds."""


class Scope(StrEnum):
    """Scope of a failure: this host alone, or every replica at once."""

    LOCAL = "local"
    SHARED = "shared"


class Agreement(StrEnum):
    """Number of replicas that must see a failure for it to be told: one, more than half, or all."""

    ANY = "any"
    MOST = "most"
    ALL = "all"

    def of(self, total: int) -> int:
        """Return the number for a total of replicas."""
        return {Agreement.ANY: 1, Agreement.MOST: total // 2 + 1, Agreement.ALL: total}[self]


class Level(StrEnum):
    """Monitoring level; each level includes the one before."""

    BASIC = "basic"
    ENHANCED = "enhanced"
    COMPREHENSIVE = "comprehensive"

    def includes(self, other: Level) -> bool:
        order = list(Level)
        return order.index(other) <= order.index(self)


class CheckConfig(BaseModel):
    """Options of every kind of check. Durations are seconds in code."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    kind: str
    """Kind of check; see below."""
    enabled: bool = True
    """`false` switches the check off."""
    level: Level = Level.BASIC
    """Lowest monitoring level at which the check runs."""
    critical: bool = False
    """True if a failure of the check makes the overall status unhealthy, and the daemon not ready."""
    scope: Scope = Scope.SHARED
    """Scope of a failure: this host alone, or every replica at once."""
    interval: Duration = 15.0
    """Time between probes, plus or minus a tenth."""
    timeout: Duration = 2.0
    """Hard deadline of a probe."""
    fast_interval: Duration | None = None
    """Time between probes while a status is about to change; a third of the interval by default."""
    fall: int = Field(3, ge=1)
    """Number of failures in a row that make the check unhealthy."""
    rise: int = Field(2, ge=1)
    """Number of successes in a row that make the check healthy again."""
    optional: bool = False
    """True to skip the check, rather than report it as misconfigured, when a variable that it needs is unset."""
    depends_on: Names = ()
    """Names of checks without which this one cannot be healthy: while one of them is down, this one sends no
    notification."""
    replicas: Agreement = Agreement.ANY
    """Number of the replicas sharing the journal that must see a failure before it is notified: `any` (one), `most`
    (more than half) or `all`. Status and readiness of each replica remain its own."""
    spread: int | None = Field(None, ge=1)
    """Number of the replicas sharing the journal that run the check; the others show what those found. By default all
    run it, and always where it decides about readiness, is in scope `local`, a heartbeat, or runs more often than every
    5 s."""
    runbook_url: LinkForPeople = None
    """Link to instructions for the person on call. What is no web address is shown as a text."""
    labels: Labels = Field({}, max_length=MOST_LABELS)
    """Labels, such as `team: payments`: they stand in metrics, answers and notifications, and routes can match them."""
    template: str | None = None
    """Name of a template under `templates.checks` whose options apply where this entry has none."""
    values: Mapping[str, Any] = {}
    """Values for `${values.KEY}` in this entry and its template."""

    @model_validator(mode="after")
    def _consistent(self) -> CheckConfig:
        if self.timeout > self.interval:
            longest = show_duration(self.timeout) + ("" if "timeout" in self.model_fields_set else ", unless given")
            raise ValueError(
                f"timeout ({longest}) must not be longer than interval ({show_duration(self.interval)}): probes of one "
                "check never overlap"
            )
        return self

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on options that are valid but deserve attention. None contains a secret."""
        return ()

    @property
    def may_be_spread(self) -> bool:
        """True if replicas may run the check for each other."""
        return self.spread is not None and self.scope is Scope.SHARED and self.interval >= SHORTEST_SPREAD

    def looks_as(self, other: CheckConfig) -> bool:
        """Return whether both look at the same in the same way: what every kind has, such as times, may differ."""
        own = type(self).model_fields.keys() - CheckConfig.model_fields.keys()
        return type(self) is type(other) and all(getattr(self, name) == getattr(other, name) for name in own)

    @property
    def recheck_interval(self) -> float:
        """Seconds between probes while a status is about to change."""
        return min(self.interval, self.fast_interval or max(1.0, self.interval / 3))

    @property
    def patience(self) -> float:
        """Seconds that a check itself should wait for its peer: a little less than the timeout, after which the monitor
        cancels the probe and no message can say what it was waiting for."""
        return max(self.timeout - 0.1, 0.9 * self.timeout)

    @property
    def fresh_for(self) -> float:
        """Seconds for which a result stays valid: three intervals, and the time that a probe may take."""
        return 3 * self.interval + self.timeout


@dataclass(frozen=True, slots=True)
class CheckContext:
    """Objects that the daemon passes to a check when it creates it. `heartbeats` are the reports of jobs."""

    name: str
    clock: Clock
    environ: Mapping[str, str]
    heartbeats: Records = field(default_factory=Records)


class Check(Protocol):
    """One configured check.

    `probe` looks once and returns a result; it may raise: the monitor turns an exception into a result by
    `healthd.checks.failures`. It is cancelled at the check's timeout. `close` drops every connection at once, without a
    polite goodbye to a peer that may be dead; it is called after a timeout (the next probe opens a new connection) and
    at the end.
    """

    config_model: ClassVar[type[CheckConfig]]

    def __init__(self, config: Any, context: CheckContext) -> None: ...

    async def probe(self) -> Result: ...

    async def close(self) -> None: ...
