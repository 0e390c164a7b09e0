"""Rolls back a Service that switches between two versions: its selector gets the baseline's labels. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from healthd.kubernetes.api import Object, Patch
from healthd_gates.actions.contract import ActionResult, Ending
from healthd_gates.actions.kubernetes.move import Move


def point_back(
    service: Object, path: str, wanted: Mapping[str, str], candidates: Mapping[str, str]
) -> ActionResult | Move:
    """Return the change that gives a Service's selector the wanted labels, in place of the candidate's."""
    selector = service["spec"].get("selector") or {}
    if all(selector.get(name) == value for name, value in wanted.items()):
        return ActionResult(Ending.DONE, f"nothing to do: it selects {shown(selector)} already")
    if any(selector.get(name) != value for name, value in candidates.items()):
        return ActionResult(Ending.REFUSED, f"it selects {shown(selector)}, not the candidate: somebody changed it")
    version = {"resourceVersion": service["metadata"]["resourceVersion"]}
    patch = Patch(path, "merge", {"metadata": version, "spec": {"selector": dict(wanted)}})
    return Move(patch, f"select {shown(wanted)} instead of {shown(candidates)}")


def ready(pods: Sequence[Object]) -> int:
    """Return the number of pods that could take traffic."""
    return sum(
        "deletionTimestamp" not in pod["metadata"]
        and any(
            c["type"] == "Ready" and c["status"] == "True" for c in (pod.get("status") or {}).get("conditions") or ()
        )
        for pod in pods
    )


def ready_endpoints(slices: Sequence[Object]) -> int:
    """Return the number of endpoints of a Service that could take traffic; one whose state is unknown counts as ready
    (discovery.k8s.io/v1: EndpointConditions)."""
    endpoints = [endpoint for each in slices for endpoint in each.get("endpoints") or ()]
    return sum((endpoint.get("conditions") or {}).get("ready") is not False for endpoint in endpoints)


def shown(labels: Mapping[str, str]) -> str:
    """Return labels for people."""
    return ", ".join(f"{name}={value}" for name, value in sorted(labels.items())) or "nothing"
