"""What there is to change in a cluster to roll back, from the objects as they are. Pure; who reads and patches them is
`actions.kubernetes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from healthd_gates.actions.contract import ActionResult, Ending
from healthd_gates.actions.kubernetes_api import Object, Patch

ROLLED_BACK = "healthd/rolled-back"
"""The annotation with the key of the order that rolled a workload back: undone twice, the candidate would be back."""
_POD_HASHES = ("pod-template-hash", "rollouts-pod-template-hash")


@dataclass(frozen=True, slots=True)
class Move:
    """A change, and the same in words."""

    patch: Patch
    says: str


@dataclass(frozen=True, slots=True)
class Versions:
    """How the two versions are told apart: by a label of the pods, or by the tag of an image."""

    label: str
    candidate: str
    baseline: str | None

    def runs_candidate(self, template: Object) -> bool:
        return self._runs(template, self.candidate)

    def runs_baseline(self, template: Object) -> bool:
        return self.baseline is not None and self._runs(template, self.baseline)

    def _runs(self, template: Object, version: str) -> bool:
        labels = template.get("metadata", {}).get("labels") or {}
        if self.label in labels:
            return bool(labels[self.label] == version)
        images = [str(container.get("image", "")) for container in template["spec"].get("containers", ())]
        return any(image.endswith((f":{version}", f"@{version}")) for image in images)


def point_back(
    service: Object, path: str, wanted: Mapping[str, str], candidates: Mapping[str, str]
) -> ActionResult | Move:
    """A Service whose selector is to have the wanted labels, in place of the candidate's."""
    selector = service["spec"].get("selector") or {}
    if all(selector.get(name) == value for name, value in wanted.items()):
        return ActionResult(Ending.DONE, f"nothing to do: it selects {_shown(selector)} already")
    if any(selector.get(name) != value for name, value in candidates.items()):
        return ActionResult(Ending.REFUSED, f"it selects {_shown(selector)}, not the candidate: somebody changed it")
    version = {"resourceVersion": service["metadata"]["resourceVersion"]}
    patch = Patch(path, "merge", {"metadata": version, "spec": {"selector": dict(wanted)}})
    return Move(patch, f"select {_shown(wanted)} instead of {_shown(candidates)}")


def ready(pods: Sequence[Object]) -> int:
    """How many pods could take traffic."""
    return sum(
        "deletionTimestamp" not in pod["metadata"]
        and any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", ()))
        for pod in pods
    )


def undo(
    owner: Object, path: str, replica_sets: Sequence[Object], revision: str, versions: Versions, key: str
) -> ActionResult | Move:
    """A Deployment, or a Rollout, back at the baseline's pods. `revision` is the annotation that numbers revisions."""
    annotations = owner["metadata"].get("annotations") or {}
    if annotations.get(ROLLED_BACK) == key:
        return ActionResult(Ending.DONE, "nothing to do: it was rolled back already")
    template = owner["spec"]["template"]
    if not versions.runs_candidate(template):
        return not_the_candidate(template, versions)
    if owner["spec"].get("paused"):
        return ActionResult(Ending.RETRY, "it is paused: a change would have no effect until it is resumed")
    earlier = _earlier(owner, replica_sets, revision, versions)
    if earlier is None:
        return ActionResult(Ending.NO_BASELINE, "there is no earlier revision without the candidate")
    number = earlier["metadata"]["annotations"][revision]
    pods = deepcopy(dict(earlier["spec"]["template"]))
    for name in _POD_HASHES:
        pods.get("metadata", {}).get("labels", {}).pop(name, None)
    annotation = ROLLED_BACK.replace("~", "~0").replace("/", "~1")
    operations: list[Mapping[str, Any]] = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": owner["metadata"]["resourceVersion"]},
        {"op": "replace", "path": "/spec/template", "value": pods},
        {"op": "add", "path": f"/metadata/annotations/{annotation}", "value": key},
    ]
    return Move(Patch(path, "json", operations), f"go back to revision {number}")


def abort(rollout: Object, path: str, versions: Versions) -> ActionResult | Move | None:
    """An Argo Rollout that gives its candidate up; None when the candidate is fully promoted, so that only an undo
    would help."""
    template, status = rollout["spec"].get("template"), rollout.get("status") or {}
    if template is not None and not versions.runs_candidate(template):
        return not_the_candidate(template, versions)
    if status.get("abort"):
        return ActionResult(Ending.DONE, "nothing to do: it is aborted already")
    if status.get("stableRS") and status.get("stableRS") == status.get("currentPodHash"):
        if template is None:
            return ActionResult(Ending.REFUSED, "it is promoted, and its pods are described elsewhere (workloadRef)")
        return None
    version = {"resourceVersion": rollout["metadata"]["resourceVersion"]}
    return Move(Patch(f"{path}/status", "merge", {"metadata": version, "status": {"abort": True}}), "abort it")


def not_the_candidate(template: Object, versions: Versions) -> ActionResult:
    """Why a workload that does not run the candidate is left as it is."""
    if versions.runs_baseline(template):
        return ActionResult(Ending.DONE, f"nothing to do: it runs {versions.baseline} already")
    says = f"its pods are not {versions.candidate}, by label {versions.label} or the tag of an image"
    return ActionResult(Ending.REFUSED, f"{says}: somebody changed it, or version_label must say where the version is")


def _earlier(owner: Object, replica_sets: Sequence[Object], revision: str, versions: Versions) -> Object | None:
    """The latest revision before this one that runs the baseline, or else one that does not run the candidate."""
    uid, now = owner["metadata"]["uid"], _number(owner, revision)
    past = [
        each
        for each in sorted(replica_sets, key=lambda each: -_number(each, revision))
        if any(reference.get("uid") == uid for reference in each["metadata"].get("ownerReferences", ()))
        and 0 < _number(each, revision) < now
        and not versions.runs_candidate(each["spec"]["template"])
    ]
    return next((each for each in past if versions.runs_baseline(each["spec"]["template"])), next(iter(past), None))


def _number(each: Object, revision: str) -> int:
    text = (each["metadata"].get("annotations") or {}).get(revision, "0")
    return int(text) if text.isdigit() else 0


def _shown(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(labels.items())) or "nothing"
