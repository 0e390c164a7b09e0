"""The daemon's own process: open file descriptors against their limit."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path
from typing import ClassVar, Literal

from healthd.checks.contract import CheckConfig, CheckContext, Scope
from healthd.model import FailureKind, Result
from healthd.units import Duration, Ratio


class ProcessConfig(CheckConfig):
    kind: Literal["process"] = "process"
    scope: Scope = Scope.LOCAL
    unhealthy: Ratio = 0.9
    degraded: Ratio = 0.8
    loop_lag: Duration = 0.25


class Process:
    """Says when the daemon itself runs short of file descriptors or its event loop answers late."""

    config_model: ClassVar[type[CheckConfig]] = ProcessConfig

    def __init__(self, config: ProcessConfig, context: CheckContext) -> None:
        self._config = config
        self._clock = context.clock

    async def probe(self) -> Result:
        lag = await self._loop_lag()
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        used = sum(1 for _ in Path("/proc/self/fd").iterdir())
        observed = {
            "openFiles": used,
            "openFilesLimit": limit if limit != resource.RLIM_INFINITY else None,
            "eventLoopLagMs": round(lag * 1000, 3),
        }
        share = 0.0 if limit == resource.RLIM_INFINITY else used / limit
        text = f"{used} of {limit} file descriptors are open"
        if share >= self._config.unhealthy:
            return Result.unhealthy(FailureKind.EXHAUSTED, text, observed=observed)
        if share >= self._config.degraded:
            return Result.degraded(FailureKind.EXHAUSTED, text, observed=observed)
        if lag >= self._config.loop_lag:
            return Result.degraded(
                FailureKind.THRESHOLD, f"the event loop answers {lag * 1000:.0f} ms late", observed=observed
            )
        return Result.healthy(observed=observed)

    async def close(self) -> None:
        """Holds nothing open."""

    async def _loop_lag(self) -> float:
        """Seconds by which a short sleep overran."""
        asked = 0.01
        start = self._clock.steady()
        await asyncio.sleep(asked)
        return max(0.0, self._clock.steady() - start - asked)
