"""State of a workload, a node or a CronJob of Kubernetes, and the status that it means. No I/O and no clock here.

Fields and conditions are those of the API reference: apps/v1, batch/v1 and core/v1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from healthd.checks.finding import Finding, degraded, sum_up, unhealthy
from healthd.checks.limits import show_age
from healthd.kubernetes.progress import is_seen, is_stuck, no_pods
from healthd.model import FailureKind, Measure, Observed, Result
from healthd.units import show_duration

Object = Mapping[str, Any]
_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")


def deployment(found: Object, at_least: int | None) -> Result:
    """Return the result for a Deployment; without `at_least` its own strategy says how many pods are enough."""
    status, wanted = found.get("status") or {}, int(found["spec"].get("replicas", 1))
    available = int(status.get("availableReplicas") or 0)
    condition = _condition(found, "Available")
    too_few = at_least is None and (condition or {}).get("status") == "False"
    rolling = (_condition(found, "Progressing") or {}).get("reason") in ("ReplicaSetUpdated", "NewReplicaSetCreated")
    findings = list(_pods(available, wanted, at_least, too_few=too_few, may_be_fewer=rolling))
    if (stuck := is_stuck(found)) is not None:
        findings.append(degraded(f"its rollout is stuck: {stuck}"))
    return _workload(findings, found, available, wanted, int(status.get("updatedReplicas") or 0))


def stateful_set(found: Object, at_least: int | None) -> Result:
    """Return the result for a StatefulSet."""
    status, wanted = found.get("status") or {}, int(found["spec"].get("replicas", 1))
    available = int(status.get("availableReplicas") or 0)
    findings = list(_pods(available, wanted, at_least))
    return _workload(findings, found, available, wanted, int(status.get("updatedReplicas") or 0))


def daemon_set(found: Object, at_least: int | None) -> Result:
    """Return the result for a DaemonSet, which wants a pod on each node that it selects."""
    status = found.get("status") or {}
    wanted, available = int(status.get("desiredNumberScheduled") or 0), int(status.get("numberAvailable") or 0)
    findings = list(_pods(available, wanted, at_least))
    return _workload(findings, found, available, wanted, int(status.get("updatedNumberScheduled") or 0))


def node(found: Object) -> Result:
    """Return the result for one node."""
    name = str(found["metadata"]["name"])
    cordoned = bool(found["spec"].get("unschedulable"))
    return sum_up(
        list(_node(found)),
        fine=f"{name} is ready{', and cordoned: no new pod comes to it' if cordoned else ''}",
        observed={"ready": _is_ready(found), "cordoned": cordoned},
    )


def nodes(found: Sequence[Object], at_least: int | None) -> Result:
    """Return the result for all nodes of a selection."""
    ready = sum(map(_is_ready, found))
    observed: Observed = {"nodes": len(found), "ready": ready}
    findings = [each for one in found for each in _node(one)]
    least = 1 if at_least is None else at_least
    if ready >= least:  # a node that is not ready is the matter of a few pods
        findings = [degraded(each.message, each.kind) for each in findings]
    else:
        findings.append(unhealthy(f"{ready} of {len(found)} nodes are ready, at least {least} should be"))
    measures = (Measure("nodes", len(found)), Measure("ready", ready))
    return sum_up(findings, fine=f"{ready} of {len(found)} ready", observed=observed, measures=measures)


def cron_job(found: Object, max_age: float, now: datetime) -> Result:
    """Return the result for a CronJob: the age of its last success, and whether the run after that has failed."""
    status = found.get("status") or {}
    success, run = _time(status.get("lastSuccessfulTime")), _time(status.get("lastScheduleTime"))
    since = success or _time(found["metadata"].get("creationTimestamp")) or now
    age = max(0.0, (now - since).total_seconds())
    told = "the last success was" if success else "it has never succeeded; it was made"
    active = len(status.get("active") or ())
    findings = []
    if age > max_age:
        findings.append(unhealthy(f"{told} {show_age(age)} ago, more than {show_duration(max_age)}"))
    if found["spec"].get("suspend"):
        findings.append(degraded("it is suspended"))
    elif run is not None and (success is None or run > success) and not active:
        findings.append(degraded(f"its run of {run:%Y-%m-%d %H:%M:%SZ} ended without success"))
    observed: Observed = {
        "active": len(status.get("active") or ()),
        "lastSuccessSeconds": round(age) if success else None,
    }
    measures = (Measure("last_success", age, "s"),) if success else ()
    return sum_up(findings, fine=f"{told} {show_age(age)} ago", observed=observed, measures=measures)


def _pods(
    available: int, wanted: int, at_least: int | None, *, too_few: bool = False, may_be_fewer: bool = False
) -> Iterator[Finding]:
    there = f"{available} of {wanted} pods are available"
    if too_few or available < (1 if at_least is None else at_least):
        if wanted == 0:
            yield unhealthy("it wants no pod at all: it is scaled to none, or no node is meant for it")
        else:
            yield unhealthy(there + (f", at least {at_least} should be" if at_least is not None else ""))
    elif available < wanted and not may_be_fewer:
        yield degraded(there)


def _workload(findings: list[Finding], found: Object, available: int, wanted: int, updated: int) -> Result:
    if (why := no_pods(found)) is not None:
        findings.append(degraded(f"no pod can be made: {why}"))
    if not is_seen(found):
        findings.append(degraded("its controller has not seen the last change", FailureKind.LAGGING))
    observed: Observed = {"wanted": wanted, "available": available, "updated": updated}
    measures = (Measure("wanted", wanted), Measure("available", available), Measure("updated", updated))
    return sum_up(findings, fine=f"{available} of {wanted} available", observed=observed, measures=measures)


def _node(found: Object) -> Iterator[Finding]:
    name = found["metadata"]["name"]
    ready = _condition(found, "Ready")
    if not _is_ready(found):
        why = " ".join(str((ready or {}).get("message") or (ready or {}).get("reason") or "no condition").split())
        yield unhealthy(f"{name} is not ready: {why}")
    for pressure in _PRESSURES:
        if (_condition(found, pressure) or {}).get("status") == "True":
            yield degraded(f"{name} has {pressure}", FailureKind.EXHAUSTED)


def _is_ready(found: Object) -> bool:
    return (_condition(found, "Ready") or {}).get("status") == "True"


def _condition(found: Object, kind: str) -> Mapping[str, Any] | None:
    conditions = (found.get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each.get("type") == kind), None)


def _time(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None
