"""State that Redis reports in INFO and CLUSTER INFO, and the status that it means. No I/O here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis.exceptions import MasterDownError, ResponseError

from healthd.checks.database import Limits, Require, percent
from healthd.checks.redis_connection import failure
from healthd.checks.redis_options import RedisConfig
from healthd.model import FailureKind, Result
from healthd.units import show_duration

_SLOTS = 16_384
_PRIMARY = ("master", "active-replica")  # the latter is KeyDB's, of replicas that take writes
_QUIET = 15.0  # seconds: an idle primary sends a ping every 10 s (repl-ping-replica-period)


@dataclass(frozen=True, slots=True)
class Standing:
    """Figures of a server; `cluster` is empty outside of one, `refusal` is the error with which PING was answered, if
    any."""

    info: Mapping[str, str]
    cluster: Mapping[str, str]
    refusal: ResponseError | None = None

    @property
    def is_primary(self) -> bool:
        return self.info.get("role") in _PRIMARY

    @property
    def is_loading(self) -> bool:
        return self.info.get("loading") == "1"

    @property
    def is_linked(self) -> bool:
        return self.info.get("master_link_status") == "up"

    @property
    def lag(self) -> float | None:
        """Seconds since a replica last heard from its primary; None when it never did, or does not report it."""
        name = "master_last_io_seconds_ago" if self.is_linked else "master_link_down_since_seconds"
        seconds = self.number(name, -1)
        return float(seconds) if seconds >= 0 else None

    @property
    def used_memory(self) -> int:
        """Bytes that count against `maxmemory`: buffers of replicas and of the AOF do not."""
        return self.number("used_memory") - self.number("mem_not_counted_for_evict")

    @property
    def max_memory(self) -> int:
        """Limit in bytes; 0 is no limit."""
        return self.number("maxmemory")

    @property
    def evicts(self) -> bool:
        return self.info.get("maxmemory_policy") != "noeviction"

    @property
    def uncovered_slots(self) -> int:
        return _SLOTS - min(self.cluster_number("cluster_slots_assigned"), self.cluster_number("cluster_slots_ok"))

    def number(self, name: str, missing: int = 0) -> int:
        return _number(self.info.get(name), missing)

    def cluster_number(self, name: str) -> int:
        return _number(self.cluster.get(name), 0)

    def observed(self) -> dict[str, Any]:
        seen: dict[str, Any] = {
            "role": "primary" if self.is_primary else "replica",
            "version": self.info.get("redis_version"),
            "mode": self.info.get("redis_mode"),
            "usedMemoryBytes": self.used_memory,
            "maxMemoryBytes": self.max_memory or None,
            "usedMemoryPercent": percent(self.used_memory, self.max_memory) if self.max_memory else None,
            "evictionPolicy": self.info.get("maxmemory_policy"),
            "connectionsUsed": self.number("connected_clients"),
            "maxConnections": self.number("maxclients") or None,
        }
        if self.is_primary:
            seen["replicas"] = self.number("connected_slaves")
        else:
            seen["lagSeconds"] = self.lag
        if self.cluster:
            seen["clusterState"] = self.cluster.get("cluster_state")
            seen["uncoveredSlots"] = self.uncovered_slots
        return seen


def judge(standing: Standing, config: RedisConfig, latency: float) -> Result:
    """Return the result for the worst state of a server that answered."""
    seen: dict[str, Any] = {"observed": standing.observed(), "latency": latency}
    if standing.info.get("redis_mode") == "sentinel":
        text = "a Sentinel, which keeps no data: give the address of a Redis server, or watch it by redis_sentinel"
        return Result.unhealthy(FailureKind.MISCONFIGURED, text, **seen)
    if "role" not in standing.info:
        return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, "INFO names no role: is this Redis?", **seen)
    return (
        _startup(standing, seen)
        or _role(standing, config.require, seen)
        or _link(standing, config.max_lag, seen)
        or _slots(standing, seen)
        or (failure(standing.refusal, **seen) if standing.refusal else None)
        or _memory(standing, config.memory, seen)
        or _connections(standing, config.connections, seen)
        or _persistence(standing, seen)
        or Result.healthy(**seen)
    )


def _startup(standing: Standing, seen: dict[str, Any]) -> Result | None:
    if not standing.is_loading:
        return None
    done, left = standing.info.get("loading_loaded_perc", "?"), standing.number("loading_eta_seconds")
    text = f"still loading its data set: {done}% done, about {left} s left"
    return Result.unhealthy(FailureKind.NOT_PRIMARY, text, **seen)


def _role(standing: Standing, require: Require, seen: dict[str, Any]) -> Result | None:
    if standing.cluster:  # any node leads to the others
        return None
    if require is Require.PRIMARY and not standing.is_primary:
        return Result.unhealthy(FailureKind.NOT_PRIMARY, "a replica where a primary is required", **seen)
    if require is Require.REPLICA and standing.is_primary:
        return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, "a primary where a replica is required", **seen)
    return None


def _link(standing: Standing, max_lag: float, seen: dict[str, Any]) -> Result | None:
    if standing.is_primary:
        return None
    lag = standing.lag
    since = "and never was" if lag is None else f"for {lag:g} s"
    if standing.is_linked:
        text = f"nothing heard from its primary {since}"
    elif standing.info.get("master_sync_in_progress") == "1":
        text = f"not in step with its primary {since}; it is being copied anew"
    else:
        text = f"not connected to its primary {since}"
    if lag is None or lag > (max(max_lag, _QUIET) if standing.is_linked else max_lag):
        return Result.unhealthy(FailureKind.LAGGING, f"{text} (at most {show_duration(max_lag)})", **seen)
    if isinstance(standing.refusal, MasterDownError):
        return Result.unhealthy(FailureKind.LAGGING, f"{text}, and it does not serve stale data", **seen)
    return None if standing.is_linked else Result.degraded(FailureKind.LAGGING, text, **seen)


def _slots(standing: Standing, seen: dict[str, Any]) -> Result | None:
    if not standing.cluster:
        return None
    text = f"{standing.uncovered_slots} of {_SLOTS} hash slots have no primary"
    if standing.cluster.get("cluster_state") != "ok":
        if not standing.uncovered_slots:  # cut off from the majority
            text = "this node has lost the majority of the primaries"
        return Result.unhealthy(FailureKind.NOT_PRIMARY, f"the cluster is down: {text}", **seen)
    return Result.degraded(FailureKind.NOT_PRIMARY, text, **seen) if standing.uncovered_slots else None


def _memory(standing: Standing, limits: Limits, seen: dict[str, Any]) -> Result | None:
    if standing.evicts or not standing.max_memory or not standing.is_primary:
        return None
    share = percent(standing.used_memory, standing.max_memory)
    text = f"{share}% of maxmemory in use, and nothing is evicted (noeviction)"
    return limits.judge(standing.used_memory, standing.max_memory, text, seen["observed"], seen["latency"])


def _connections(standing: Standing, limits: Limits, seen: dict[str, Any]) -> Result | None:
    used, most = standing.number("connected_clients"), standing.number("maxclients")
    if not most:
        return None
    text = f"{used} of {most} connections are in use"
    return limits.judge(used, most, text, seen["observed"], seen["latency"])


def _persistence(standing: Standing, seen: dict[str, Any]) -> Result | None:
    """Return a result for failed persistence. Writes are still accepted, or PING would have been refused; but they
    would not survive a crash."""
    broken = {"rdb_last_bgsave_status": "background save", "aof_last_write_status": "write to the append-only file"}
    for name, what in broken.items():
        if standing.info.get(name, "ok") != "ok":
            return Result.degraded(FailureKind.EXHAUSTED, f"the last {what} failed: see its disk and memory", **seen)
    return None


def _number(text: str | None, missing: int) -> int:
    try:
        return int(float(text)) if text is not None else missing
    except ValueError:
        return missing
