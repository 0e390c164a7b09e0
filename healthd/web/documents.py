"""Documents of the health endpoints: board states → JSON. Pure; it decides what an unauthorised caller may not see."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from healthd.config.in_force import NotInForce, TakenAway
from healthd.config.window import WindowKind
from healthd.journal.outage import Outage
from healthd.model import Status
from healthd.monitoring.cover import Cover
from healthd.monitoring.debounce import Streak
from healthd.monitoring.state import CheckState, GroupState
from healthd.units import stamp

_COVERED: dict[WindowKind, str] = {
    "maintenance": "maintenance", "silence": "silenced", "pause": "paused", "acknowledgement": "acknowledged",
}  # fmt: skip
MEMBERS = {
    "name", "status", "maintenance", "silenced", "paused", "acknowledged", "heldBy", "timestamp", "kind", "overdue",
    "replica", "latency", "duration", "critical", "labels", "since", "message", "streak",
}  # fmt: skip
"""Members of a check's answer that have a meaning of their own: what a check measures has other names."""
_IETF = {Status.HEALTHY: "pass", Status.DEGRADED: "warn", Status.UNHEALTHY: "fail", Status.UNKNOWN: "fail"}


def check_document(state: CheckState, *, detailed: bool) -> dict[str, Any]:
    """Return one check: its status and failure kind for everyone, numbers and messages for the authorised."""
    document: dict[str, Any] = {"status": state.status.value}
    for kind, member in _COVERED.items():
        if (cover := state.covered(kind)) is not None:
            document[member] = _cover_document(cover) if detailed else True
    if state.held_by is not None:
        document["heldBy"] = state.held_by
    probe = state.probe
    if probe is None:
        return document
    result = probe.result
    document["timestamp"] = stamp(probe.at)
    if result.kind is not None:
        document["kind"] = result.kind.value
    if state.overdue:
        document["overdue"] = True
    if detailed:
        if state.replica is not None:
            document["replica"] = state.replica
        if result.latency is not None:
            document["latency"] = milliseconds(result.latency)
        document["duration"] = milliseconds(probe.duration)
        document["critical"] = state.config.critical
        if state.config.labels:
            document["labels"] = dict(state.config.labels)
        if state.since is not None:
            document["since"] = stamp(state.since)
        if result.message:
            document["message"] = result.message
        if (streak := state.streak) is not None:
            document["streak"] = _streak_document(streak)
        document |= {key: value for key, value in result.observed.items() if key not in MEMBERS}
    return document


def _streak_document(it: Streak) -> dict[str, Any]:
    seen = {} if it.seen is None else {"seen": it.seen}
    return {"status": it.status.value, **seen, "needed": it.needed}


def _cover_document(cover: Cover) -> dict[str, Any]:
    by = {"by": cover.author} if cover.author else {}
    until = {"until": stamp(cover.until)} | ({"until_healthy": True} if cover.is_until_healthy else {})
    return {"reason": cover.reason, **until, **by, **({"id": cover.id} if cover.id else {})}


def health_document(
    overall: Status,
    states: tuple[CheckState, ...],
    *,
    now: datetime,
    uptime: float,
    version: str,
    environment: str,
    detailed: bool,
) -> dict[str, Any]:
    """Return the document of `GET /health`; `uptime` in seconds."""
    return {
        "overall": overall.value,
        "timestamp": stamp(now),
        "uptime": round(uptime, 3),
        "version": version,
        "environment": environment,
        "checks": {state.name: check_document(state, detailed=detailed) for state in states},
    }


def outage_document(outage: Outage, *, detailed: bool) -> dict[str, Any]:
    """Return the member `journal` of `GET /health`."""
    return {
        "status": "away",
        "since": stamp(outage.since),
        **({"lastWrite": stamp(outage.last_write)} if outage.last_write is not None else {}),
        **({"message": outage.problem} if detailed else {}),
    }


def configuration_document(it: NotInForce, *, detailed: bool) -> dict[str, Any]:
    """Return the member `configuration` of `GET /health`."""
    told = {"problems": list(it.problems)} if detailed else {}
    return {"status": it.status, "since": stamp(it.since), **told}


def taken_away_document(it: TakenAway, *, detailed: bool) -> dict[str, Any]:
    """Return one entry of `takenAway` in `GET /health`."""
    return {"at": stamp(it.at), **({"gone": list(it.gone)} if detailed else {})}


def group_document(group: GroupState, *, now: datetime, draining: bool, detailed: bool) -> dict[str, Any]:
    """Return the document of `GET /health/ready` and every other group."""
    if group.name == "live":
        status = "alive" if group.ready else "not alive"
    else:
        status = "not ready" if not group.ready else "degraded" if group.tolerating else "ready"
    document: dict[str, Any] = {
        "status": status,
        "checks": {state.name: check_document(state, detailed=detailed) for state in group.checks},
        "timestamp": stamp(now),
    }
    if draining:
        document["draining"] = True
    return document


def ietf_document(overall: Status, states: tuple[CheckState, ...], *, version: str, detailed: bool) -> dict[str, Any]:
    """Return the document of draft-inadarei-api-health-check-06, `application/health+json`."""
    return {
        "status": _IETF[overall],
        "releaseId": version,
        "checks": {f"{state.name}:responseTime": [_ietf_check(state, detailed=detailed)] for state in states},
    }


def _ietf_check(state: CheckState, *, detailed: bool) -> dict[str, Any]:
    check: dict[str, Any] = {"componentType": state.config.kind, "status": _IETF[state.counted]}
    if state.probe is not None:
        check["time"] = stamp(state.probe.at)
        if detailed:
            taken = state.probe.result.latency
            check["observedValue"] = milliseconds(state.probe.duration if taken is None else taken)
            check["observedUnit"] = "ms"
            if state.probe.result.message and not state.status.is_up:
                check["output"] = state.probe.result.message
    return check


def milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
