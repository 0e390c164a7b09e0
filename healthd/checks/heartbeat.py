"""Heartbeat: another program, such as a nightly job, must report in within its period."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar, Literal

from healthd.checks.contract import CheckConfig, CheckContext
from healthd.model import FailureKind, Observed, Result
from healthd.units import Duration, show_duration


class HeartbeatConfig(CheckConfig):
    kind: Literal["heartbeat"] = "heartbeat"
    period: Duration
    """Maximum time between two heartbeats."""
    grace: Duration = 60.0
    """Extra time by which a heartbeat may be late."""
    fall: int = 1
    """Number of failures in a row that make the check unhealthy; one is enough, since `grace` already allows for
    delays."""
    rise: int = 1
    """Number of successes in a row that make the check healthy again."""


class Heartbeat:
    """Unhealthy when no heartbeat arrived within the period and its grace; both are also granted after a start."""

    config_model: ClassVar[type[HeartbeatConfig]] = HeartbeatConfig

    def __init__(self, config: HeartbeatConfig, context: CheckContext) -> None:
        self._clock = context.clock
        self._allowed = config.period + config.grace
        self._born = context.clock.steady()
        self._last: float | None = None

    def beat(self) -> None:
        """Record a heartbeat now."""
        self._last = self._clock.steady()

    async def probe(self) -> Result:
        since = self._clock.steady() - (self._born if self._last is None else self._last)
        left, ago = self._allowed - since, show_duration(round(since))
        observed: Observed = {
            "lastBeat": None if self._last is None else self._moment(-since),
            "nextBefore": self._moment(left),
        }
        if left <= 0:
            missing = f"nothing reported in for {ago}" + (", since the start" if self._last is None else "")
            return Result.unhealthy(FailureKind.EXPIRED, missing, observed=observed)
        if self._last is None:
            waiting = f"nothing reported in yet, {ago} after the start"
            return Result.degraded(FailureKind.EXPIRED, waiting, observed=observed)
        return Result.healthy(f"reported in {ago} ago", observed=observed)

    async def close(self) -> None:
        """Do nothing: no resource is open."""

    def _moment(self, seconds: float) -> str:
        return (self._clock.now() + timedelta(seconds=seconds)).isoformat(timespec="seconds").replace("+00:00", "Z")
