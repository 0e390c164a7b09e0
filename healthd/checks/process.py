"""The daemon's own process: open file descriptors against their limit, and the lag of its event loop."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path
from typing import ClassVar, Literal

from healthd.checks.contract import CheckContext, Scope
from healthd.checks.thresholds import ThresholdConfig
from healthd.model import FailureKind, Result, Status
from healthd.units import Duration

_NAP = 0.01  # seconds that the loop is asked to sleep; the excess is its lag


class ProcessConfig(ThresholdConfig):
    kind: Literal["process"] = "process"
    scope: Scope = Scope.LOCAL
    loop_lag: Duration = 0.25
    """Event loop lag at which the check becomes degraded."""


class Process:
    """Reports when the daemon itself runs short of file descriptors or its event loop answers late."""

    config_model: ClassVar[type[ProcessConfig]] = ProcessConfig

    def __init__(self, config: ProcessConfig, context: CheckContext) -> None:
        self._config = config
        self._clock = context.clock

    async def probe(self) -> Result:
        lag = await self._loop_lag()
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        unlimited = limit == resource.RLIM_INFINITY
        used = sum(1 for _ in Path("/proc/self/fd").iterdir())
        text = f"{used} of {limit} file descriptors are open"
        observed = {
            "openFiles": used,
            "openFilesLimit": None if unlimited else limit,
            "eventLoopLagMs": round(lag * 1000, 3),
        }
        match self._config.judge(0.0 if unlimited else used / limit):
            case Status.UNHEALTHY:
                return Result.unhealthy(FailureKind.EXHAUSTED, text, observed=observed)
            case Status.DEGRADED:
                return Result.degraded(FailureKind.EXHAUSTED, text, observed=observed)
        if lag >= self._config.loop_lag:
            late = f"the event loop answers {lag * 1000:.0f} ms late"
            return Result.degraded(FailureKind.THRESHOLD, late, observed=observed)
        return Result.healthy(observed=observed)

    async def close(self) -> None:
        """Do nothing: no resource is open."""

    async def _loop_lag(self) -> float:
        """Return the seconds by which a short sleep took too long."""
        start = self._clock.steady()
        await asyncio.sleep(_NAP)
        return max(0.0, self._clock.steady() - start - _NAP)
