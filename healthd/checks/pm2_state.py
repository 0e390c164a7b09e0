"""State of an application under PM2, and the status that it means. No I/O here.

By PM2's own source (`lib/God.js`, 7.0): a process is `online` as soon as it has been started, so that one that ends
right away is online most of the time; `restart_time` counts every start but the first, a reload's too, and only
`pm2 reset` takes it back; `unstable_restarts` counts those within `min_uptime` (1 s) since `created_at`, and at
`max_restarts` (16) of them PM2 gives up: `errored`. While a reload replaces a process, the old one is listed as
`_old_ID`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from healthd.checks.contract import CheckConfig, Scope
from healthd.checks.finding import Finding, degraded, sum_up, unhealthy
from healthd.checks.limits import NumberLimits, beyond
from healthd.model import FailureKind, Measure, Result
from healthd.nearest import did_you_mean
from healthd.units import Duration, show_duration


class Pm2Config(CheckConfig):
    kind: Literal["pm2"] = "pm2"
    scope: Scope = Scope.LOCAL
    app: str = Field(min_length=1)
    """Name of the application in PM2."""
    instances: int = Field(1, ge=1, le=1000)
    """Least number of its processes that must be online."""
    restarts: NumberLimits = NumberLimits(degraded=3, unhealthy=10)
    """Limits on the restarts of one process within `window`, a reload included."""
    window: Duration = 600.0
    """Time in which restarts are counted."""
    home: Path | None = None
    """PM2's folder; by default the daemon's own `PM2_HOME`, or `.pm2` in its home folder."""
    program: str = Field("pm2", min_length=1)
    """PM2's program; a whole path where it is in no folder of the system. Node.js is looked for beside it, too."""
    timeout: Duration = 10.0
    """Hard deadline of a probe."""
    interval: Duration = 60.0
    """Time between probes, plus or minus a tenth."""


@dataclass(frozen=True, slots=True)
class Process:
    """Process of the application. Times are Unix seconds, memory is in bytes, CPU in percent of a core."""

    id: str
    status: str
    restarts: int
    unstable_restarts: int
    created_at: float
    memory: float
    cpu: float


def processes_of(app: str, listed: Sequence[Mapping[str, Any]]) -> list[Process]:
    """Return the processes of an application, those left out that a reload is taking away. Raises KeyError, TypeError
    or ValueError for what PM2 does not write."""
    found = []
    for each in listed:
        own = each["pm2_env"]
        if each["name"] == app and not str(each["pm_id"]).startswith("_old_"):
            monit = each.get("monit") or {}
            found.append(
                Process(
                    id=str(each["pm_id"]),
                    status=str(own["status"]),
                    restarts=int(own["restart_time"]),
                    unstable_restarts=int(own.get("unstable_restarts") or 0),
                    created_at=float(own.get("created_at") or 0) / 1000,
                    memory=float(monit.get("memory") or 0),
                    cpu=float(monit.get("cpu") or 0),
                )
            )
    return found


def unstable(processes: Sequence[Process], since: float) -> dict[str, int]:
    """Return the restarts that PM2 found unstable, by process, where all of them came after a Unix time."""
    return {each.id: each.unstable_restarts for each in processes if each.created_at > since}


def judge(processes: Sequence[Process], restarts: Mapping[str, int], config: Pm2Config, names: Sequence[str]) -> Result:
    """Return the result for an application's processes and their restarts within the window; `names` are those of all
    applications that PM2 knows."""
    if not processes:
        known = ", ".join(sorted(set(names))) or "nothing"
        says = f"PM2 knows no {config.app}, only: {known}.{did_you_mean(config.app, names)}"
        return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, says)
    states = Counter(each.status for each in processes)
    most = max(restarts.values(), default=0)
    memory, cpu = sum(each.memory for each in processes), sum(each.cpu for each in processes)
    return sum_up(
        list(_wrong(states, most, config)),
        fine=f"{states['online']} of {len(processes)} online",
        observed={"processes": len(processes), "online": states["online"], "restarts": most, "memoryBytes": memory},
        measures=(
            Measure("processes", len(processes)),
            Measure("online", states["online"]),
            Measure("restarts", most),
            Measure("memory", memory, "B"),
            Measure("cpu", cpu, "%"),
        ),
    )


def _wrong(states: Counter[str], restarts: int, config: Pm2Config) -> Iterator[Finding]:
    total, online = states.total(), states["online"]
    others = ", ".join(f"{count} {state}" for state, count in sorted(states.items()) if state != "online")
    there = f"{online} of {total} processes {'is' if online == 1 else 'are'} online"
    if online < config.instances:
        yield unhealthy(f"{there}, at least {config.instances} should be" + (f": {others}" if others else ""))
    elif others:
        yield degraded(f"{there}: {others}")
    yield from beyond(f"restarts of a process within {show_duration(config.window)}:", restarts, config.restarts)
