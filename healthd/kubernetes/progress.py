"""The progress of a workload's pods towards its template. Pure; the rules are those of `kubectl rollout status`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Object = Mapping[str, Any]


def missing(deployment: Object) -> str | None:
    """Return what is still missing, or None when every pod of a Deployment is of its template and available."""
    status = deployment.get("status") or {}
    wanted = deployment["spec"].get("replicas", 1)
    if not is_seen(deployment):
        return "the cluster has not seen the change yet"
    updated = status.get("updatedReplicas", 0)
    if updated < wanted:
        return f"{updated} of {wanted} pods are new{_why(deployment)}"
    if status.get("replicas", 0) > updated:
        return f"{status['replicas'] - updated} old pods are still there"
    available = status.get("availableReplicas", 0)
    return f"{available} of {wanted} pods are available{_why(deployment)}" if available < updated else None


def is_seen(deployment: Object) -> bool:
    """True if the status is about the Deployment as it is now."""
    observed: int = (deployment.get("status") or {}).get("observedGeneration", 0)
    return bool(deployment["metadata"].get("generation", 0) <= observed)


def serves(deployment: Object) -> bool:
    """True if no pod of another template is left, and as many are available as its strategy asks for: a pod that flaps
    does not delay this."""
    status = deployment.get("status") or {}
    wanted, updated = deployment["spec"].get("replicas", 1), status.get("updatedReplicas", 0)
    available = any(each["type"] == "Available" and each.get("status") == "True" for each in _conditions(deployment))
    all_new = is_seen(deployment) and updated >= wanted and status.get("replicas", 0) <= updated
    return bool(all_new and available and status.get("availableReplicas", 0))


def is_stuck(deployment: Object) -> str | None:
    """Return the cluster's message about a rollout that did not complete in `progressDeadlineSeconds`."""
    for condition in _conditions(deployment):
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            return str(condition.get("message") or "its deadline is over")
    return None


def no_pods(workload: Object) -> str | None:
    """Return the reason why no pod can be created: a quota, a policy, or an invalid template. Only the workload has it,
    since there is no pod that could."""
    for condition in _conditions(workload):
        if condition["type"] == "ReplicaFailure" and condition.get("status") == "True":
            return f"{condition.get('reason', 'FailedCreate')}: {condition.get('message', '')}".rstrip(": ")
    return None


def _why(deployment: Object) -> str:
    why = no_pods(deployment)
    return f" ({why})" if why else ""


def _conditions(workload: Object) -> Iterator[Mapping[str, Any]]:
    yield from (workload.get("status") or {}).get("conditions") or ()
