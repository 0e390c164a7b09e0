"""Progress of a Deployment's rollout, and the reason of a delay. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from healthd.kubernetes import progress
from healthd_deploy.core.exit import StepFailed
from healthd_deploy.kubernetes.kubectl import Object


def missing(deployment: Object) -> str | None:
    """Return what is still missing, or None when every pod is of the new version and available.

    Raises StepFailed when the rollout cannot complete.
    """
    name = deployment["metadata"]["name"]
    if deployment["spec"].get("paused"):
        raise StepFailed(f"Deployment {name} is paused: `kubectl rollout resume deployment/{name}`")
    if progress.is_seen(deployment) and (stuck := progress.is_stuck(deployment)):
        raise StepFailed(f"Deployment {name} does not progress: {stuck}")
    return progress.missing(deployment)


def troubles(deployment: Object, pods: Sequence[Object]) -> str:
    """Return why pods are not ready, in the cluster's words: one sentence, empty when nothing is reported."""
    found = {why for pod in pods for why in _of_pod(pod)}
    if why := progress.no_pods(deployment):
        found.add(why)
    return ", ".join(sorted(found))


def _of_pod(pod: Object) -> Iterator[str]:
    status = pod.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield _told(condition.get("reason", "not scheduled"), condition.get("message", ""))
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        state = container.get("state") or {}
        why = state.get("waiting") or state.get("terminated")
        if why and not container.get("ready") and why.get("exitCode") != 0:
            code = f"exit code {why['exitCode']}" if "exitCode" in why else ""
            yield _told(why.get("reason", "not ready"), why.get("message") or code)


def _told(reason: str, message: str) -> str:
    return f"{reason} ({message})" if message else reason
