"""The rollback to the pods of an earlier revision, for a Deployment and for an Argo Rollout that is promoted. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

from healthd.kubernetes import progress
from healthd.kubernetes.api import Object, Patch
from healthd_gates.actions.contract import ActionResult, Ending
from healthd_gates.actions.kubernetes.move import Move, Waiting
from healthd_gates.actions.kubernetes.versions import Versions

DEPLOYMENT_REVISION = "deployment.kubernetes.io/revision"
ROLLED_BACK = "healthd/rolled-back"
"""The annotation with the key of the order that rolled a workload back."""
_POD_HASHES = ("pod-template-hash", "rollouts-pod-template-hash")
# Annotations that `kubectl rollout undo` does not change; every other one comes from the revision that is restored.
_OF_THE_DEPLOYMENT = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        DEPLOYMENT_REVISION,
        "deployment.kubernetes.io/revision-history",
        "deployment.kubernetes.io/desired-replicas",
        "deployment.kubernetes.io/max-replicas",
        "deprecated.deployment.rollback.to",
    }
)


class Revision(NamedTuple):
    """A pod template that a workload had, and its number in the history."""

    number: int
    template: Object
    annotations: Mapping[str, str]


class History(NamedTuple):
    """The revisions of one workload, the present one among them once a controller has seen it. An undo brings back the
    annotations of a revision where `restores_annotations` is true, as kubectl does for a Deployment alone."""

    revisions: Sequence[Revision]
    restores_annotations: bool = False


def owned_by(owner: Object, matching: Sequence[Object]) -> list[Object]:
    """Return the objects that a workload owns, among all that its labels match: those of another say nothing about
    it."""
    uid = owner["metadata"]["uid"]
    return [
        each
        for each in matching
        if any(reference.get("uid") == uid for reference in each["metadata"].get("ownerReferences") or ())
    ]


def replica_set_history(owner: Object, replica_sets: Sequence[Object], revision: str) -> History:
    """Return the history of a Deployment or Rollout. `revision` is the annotation that numbers its ReplicaSets."""
    found = [
        Revision(_number(each, revision), each["spec"]["template"], _annotations(each))
        for each in owned_by(owner, replica_sets)
    ]
    return History(found, revision == DEPLOYMENT_REVISION)


def look_at_deployment(
    owner: Object, path: str, history: History, versions: Versions, key: str
) -> ActionResult | Move | Waiting:
    """Return the next change for a Deployment to run the baseline, with its pods available."""
    template = owner["spec"]["template"]
    if not versions.runs_candidate(template):
        return _came_back(owner, versions) if is_back(owner, versions, key) else not_the_candidate(template, versions)
    if (paused := _paused(owner)) is not None:
        return ActionResult(Ending.RETRY, paused)
    return undo(owner, path, history, versions, key)


def hindrance(owner: Object, versions: Versions, found: ActionResult | Move | Waiting) -> str | None:
    """Return why a workload that runs the candidate could not go back, by what was `found` of it, until somebody mends
    it; None where it could, and for one that does not run the candidate yet."""
    template = owner["spec"].get("template")
    if not isinstance(found, ActionResult) or template is None or not versions.runs_candidate(template):
        return None
    if found.ending is Ending.NO_BASELINE and owner["spec"].get("revisionHistoryLimit") == 0:
        return f"{found.detail}: its revisionHistoryLimit of 0 keeps none, set it to 1 or more"
    return found.detail if found.ending in (Ending.NO_BASELINE, Ending.RETRY) else None


def _paused(deployment: Object) -> str | None:
    if not deployment["spec"].get("paused"):
        return None
    name, namespace = deployment["metadata"]["name"], deployment["metadata"]["namespace"]
    resume = f"kubectl rollout resume deployment/{name} --namespace {namespace}"
    return f"it is paused: a change would have no effect until it is resumed ({resume})"


def is_back(owner: Object, versions: Versions, key: str) -> bool:
    """True if a workload that does not run the candidate runs the version to go back to: the baseline, or the one that
    this very order has restored in its place."""
    return versions.runs_baseline(owner["spec"]["template"]) or _annotations(owner).get(ROLLED_BACK) == key


def undo(owner: Object, path: str, history: History, versions: Versions, key: str) -> ActionResult | Move:
    """Move a workload that runs the candidate back to the pods of an earlier revision."""
    if _annotations(owner).get(ROLLED_BACK) == key:
        says = f"it was rolled back already, and {_who_set_it(owner)} set {versions.candidate} again"
        return ActionResult(Ending.REFUSED, says)
    earlier = _earlier(history, versions)
    if isinstance(earlier, ActionResult):
        return earlier
    pods = deepcopy(dict(earlier.template))
    for name in _POD_HASHES:
        pods.get("metadata", {}).get("labels", {}).pop(name, None)
    annotations = {**_restored(owner, history, earlier), ROLLED_BACK: key}
    operations: list[Mapping[str, Any]] = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": owner["metadata"]["resourceVersion"]},
        {"op": "replace", "path": "/spec/template", "value": pods},
        # `add` of the whole: below annotations that are not there, nothing can be added.
        {"op": "add", "path": "/metadata/annotations", "value": annotations},
    ]
    says = f"go back to revision {earlier.number} ({versions.shown(earlier.template)})"
    if versions.baseline is not None and not versions.runs_baseline(earlier.template):
        says += f", since {versions.baseline} is not in its history"
    return Move(Patch(path, "json", operations), says)


def not_the_candidate(template: Object, versions: Versions) -> ActionResult:
    """Explain why a workload that runs neither version is left as it is."""
    says = f"its pods are {versions.shown(template)}, not {versions.candidate}"
    return ActionResult(
        Ending.REFUSED,
        f"{says}, by label {versions.label} or the image: somebody changed it, or version_label or container must say "
        "where the version is",
    )


def _came_back(deployment: Object, versions: Versions) -> ActionResult | Waiting:
    """Return done once the pods are available: a changed template is only a request."""
    runs = versions.shown(deployment["spec"]["template"])
    missing = progress.missing(deployment)
    if missing is None or progress.serves(deployment):
        return ActionResult(Ending.DONE, f"nothing to do: it runs {runs} already")
    if deployment["spec"].get("paused"):
        return ActionResult(Ending.RETRY, f"it is to run {runs}, and is paused: {missing}")
    if (stuck := progress.is_stuck(deployment)) and progress.is_seen(deployment):
        return ActionResult(Ending.REFUSED, f"it is to run {runs}, whose pods do not come up: {missing}; {stuck}")
    return Waiting(f"it goes back to {runs}: {missing}")


def _restored(owner: Object, history: History, earlier: Revision) -> dict[str, str]:
    """Return the annotations as an undo by the platform's own tool leaves them, so that the history is true of each
    revision."""
    own = _annotations(owner)
    if not history.restores_annotations:
        return dict(own)
    kept = {name: value for name, value in own.items() if name in _OF_THE_DEPLOYMENT}
    return kept | {name: value for name, value in earlier.annotations.items() if name not in _OF_THE_DEPLOYMENT}


def _earlier(history: History, versions: Versions) -> Revision | ActionResult:
    """Return the latest revision that runs the baseline, or else one that runs neither the candidate nor a version in
    quarantine.

    The numbers say which is the latest, and not which are earlier: a controller numbers ReplicaSets first and the
    workload later, so that the history may be older or newer than the workload that was read.
    """
    past = [
        each
        for each in sorted(history.revisions, key=lambda each: -each.number)
        if each.number > 0 and not versions.runs_candidate(each.template)
    ]
    for each in past:
        if versions.runs_baseline(each.template):
            return each
    for each in past:
        if not versions.is_quarantined(each.template):
            return each
    if not past:
        return ActionResult(Ending.NO_BASELINE, "there is no earlier revision without the candidate")
    bad = ", ".join(dict.fromkeys(versions.shown(each.template) for each in past))
    return ActionResult(Ending.NO_BASELINE, f"every earlier revision failed a gate and is in quarantine: {bad}")


def _who_set_it(owner: Object) -> str:
    """Return the manager that last changed the pod template, by `managedFields`."""
    changes = [
        entry
        for entry in owner["metadata"].get("managedFields") or ()
        if "f:template" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
    ]
    last = max(changes, key=lambda entry: str(entry.get("time", "")), default=None)
    return "somebody" if last is None else f"{last.get('manager')} (at {last.get('time')})"


def _number(each: Object, revision: str) -> int:
    text = _annotations(each).get(revision, "0")
    return int(text) if text.isdigit() else 0


def _annotations(each: Object) -> Mapping[str, str]:
    return each["metadata"].get("annotations") or {}
