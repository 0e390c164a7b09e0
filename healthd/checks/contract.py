"""What every check is: a config model and a class with `probe` and `close`. The kinds themselves live beside this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, model_validator

from healthd.model import Result
from healthd.runtime.clock import Clock
from healthd.units import Duration


class Scope(StrEnum):
    """Whom a failure concerns: this host alone, or every replica at once."""

    LOCAL = "local"
    SHARED = "shared"


class Level(StrEnum):
    """How much is monitored; each level includes the one before."""

    BASIC = "basic"
    ENHANCED = "enhanced"
    COMPREHENSIVE = "comprehensive"

    def includes(self, other: Level) -> bool:
        order = list(Level)
        return order.index(other) <= order.index(self)


class CheckConfig(BaseModel):
    """What every kind of check can be told. Durations are seconds in code."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: str
    """What it looks at; see below."""
    enabled: bool = True
    """`false` leaves it out."""
    level: Level = Level.BASIC
    """The monitoring level from which on it runs."""
    critical: bool = False
    """Whether its failure makes the whole unhealthy, and not ready."""
    scope: Scope = Scope.SHARED
    """Whom its failure concerns: this host alone, or every replica at once."""
    interval: Duration = 15.0
    """Time between probes, give or take a tenth."""
    timeout: Duration = 2.0
    """The hard deadline of a probe."""
    fast_interval: Duration | None = None
    """Time between probes while a status is about to change; a third of the interval by default."""
    fall: int = 3
    """Failures in a row that make it unhealthy."""
    rise: int = 2
    """Successes in a row that make it healthy again."""
    optional: bool = False
    """Leaves it out, rather than calling it misconfigured, when a variable that it needs is unset."""
    runbook_url: str | None = None
    """A link for whoever is called at night."""

    @model_validator(mode="after")
    def _consistent(self) -> CheckConfig:
        if self.fall < 1 or self.rise < 1:
            raise ValueError("fall and rise count results in a row: at least 1 each")
        if self.timeout > self.interval:
            raise ValueError("timeout must not be longer than interval: probes of one check never overlap")
        return self

    @property
    def notes(self) -> tuple[str, ...]:
        """What is told of the configuration that is no mistake. Nothing in it is secret."""
        return ()

    @property
    def recheck_interval(self) -> float:
        """Seconds between probes while a status is about to change."""
        return min(self.interval, self.fast_interval or max(1.0, self.interval / 3))

    @property
    def patience(self) -> float:
        """Seconds for which a check itself should wait for its peer: a little less than the timeout, after which
        the monitor takes the probe away and nobody can say what it was waiting for."""
        return max(self.timeout - 0.1, 0.9 * self.timeout)

    @property
    def fresh_for(self) -> float:
        """Seconds for which a result is believed: three intervals, and the time that a probe may take."""
        return 3 * self.interval + self.timeout


@dataclass(frozen=True, slots=True)
class CheckContext:
    """What the daemon hands to a check at birth."""

    name: str
    clock: Clock
    environ: Mapping[str, str]


class Check(Protocol):
    """One configured check.

    `probe` looks once and says what it found; it may raise: the monitor turns an exception into a result by
    `healthd.checks.failures`. It is given up at the check's timeout, by cancellation. `close` drops every
    connection at once, without a polite goodbye to a peer that may be dead; it is called after a timeout (the
    next probe starts afresh) and at the end.
    """

    config_model: ClassVar[type[CheckConfig]]

    def __init__(self, config: Any, context: CheckContext) -> None: ...

    async def probe(self) -> Result: ...

    async def close(self) -> None: ...
