"""Memory: usage of the tightest limit of this process. The limits are found by `cgroups`."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import psutil

from healthd.checks import cgroups
from healthd.checks.contract import CheckContext, Scope
from healthd.checks.thresholds import ThresholdConfig
from healthd.model import FailureKind, Observed, Result, Status


class MemoryConfig(ThresholdConfig):
    kind: Literal["memory"] = "memory"
    scope: Scope = Scope.LOCAL


class Memory:
    """Checks the fullest of the process's cgroup and its ancestors, or the host where none has a limit."""

    config_model: ClassVar[type[MemoryConfig]] = MemoryConfig

    def __init__(self, config: MemoryConfig, context: CheckContext, root: Path = Path("/")) -> None:
        self._config, self._root = config, root
        self._kills: int | None = None

    async def probe(self) -> Result:
        scope, events = cgroups.tightest(self._root), cgroups.events(self._root)
        killed = self._killed_since(events.oom_kills)
        text = f"{scope.share:.1%} of the memory of {scope.name} is in use"
        observed: Observed = {
            "usage": round(scope.share * 100, 1),
            "used": scope.used,
            "limit": scope.limit,
            "limitedBy": scope.name,
            "rss": psutil.Process().memory_info().rss,
            "oomKills": events.oom_kills,
            "pressureSome": events.stalled_some,
            "pressureFull": events.stalled_all,
        }
        match self._config.judge(scope.share):
            case Status.UNHEALTHY:
                return Result.unhealthy(FailureKind.EXHAUSTED, text, observed=observed)
            case Status.DEGRADED:
                return Result.degraded(FailureKind.EXHAUSTED, text, observed=observed)
        if killed:
            text = f"the kernel killed {killed} for want of memory since the last probe; {text}"
            return Result.degraded(FailureKind.EXHAUSTED, text, observed=observed)
        return Result.healthy(text, observed=observed)

    async def close(self) -> None:
        """Do nothing: no resource is open."""

    def _killed_since(self, kills: int | None) -> int:
        before, self._kills = self._kills, kills
        return 0 if before is None or kills is None else kills - before
