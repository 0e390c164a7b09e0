"""How far a Deployment's rollout is, and what holds it up. Pure; the rules are those of `kubectl rollout status`."""

from __future__ import annotations

from collections.abc import Sequence

from healthd_deploy.core.exit import StepFailed
from healthd_deploy.kubernetes.kubectl import Object


def missing(deployment: Object) -> str | None:
    """What is still to be waited for, or None when every pod is of the new version and available.

    Raises StepFailed when it will not come about.
    """
    spec, status = deployment["spec"], deployment.get("status") or {}
    name, wanted = deployment["metadata"]["name"], spec.get("replicas", 1)
    if spec.get("paused"):
        raise StepFailed(f"Deployment {name} is paused: `kubectl rollout resume deployment/{name}`")
    if deployment["metadata"].get("generation", 0) > status.get("observedGeneration", 0):
        return "the cluster has not seen the change yet"
    for condition in status.get("conditions", ()):
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            raise StepFailed(f"Deployment {name} does not progress: {condition.get('message', 'its deadline is over')}")
    updated = status.get("updatedReplicas", 0)
    if updated < wanted:
        return f"{updated} of {wanted} pods are new"
    if status.get("replicas", 0) > updated:
        return f"{status['replicas'] - updated} old pods are still there"
    available = status.get("availableReplicas", 0)
    return f"{available} of {wanted} pods are available" if available < updated else None


def troubles(pods: Sequence[Object]) -> str:
    """Why pods are not ready, as their containers say: one sentence, empty when none says anything."""
    found = set()
    for pod in pods:
        for container in (pod.get("status") or {}).get("containerStatuses", ()):
            state = container.get("state") or {}
            why = state.get("waiting") or state.get("terminated")
            if why and not container.get("ready"):
                said = why.get("message") or (f"exit code {why['exitCode']}" if "exitCode" in why else "")
                found.add(f"{why.get('reason', 'not ready')}{f' ({said})' if said else ''}")
    return ", ".join(sorted(found))
