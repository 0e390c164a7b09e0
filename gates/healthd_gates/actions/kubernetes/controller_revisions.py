"""The rollback of a StatefulSet and of a DaemonSet to the pods of an earlier ControllerRevision. Pure.

Rules: those of `kubectl rollout undo` and `kubectl rollout status` (kubectl, pkg/polymorphichelpers). Neither kind has
a deadline for its progress, so that pods that do not come up are waited for until the action is given up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from healthd.kubernetes import progress
from healthd.kubernetes.api import Object
from healthd_gates.actions.contract import ActionResult, Ending
from healthd_gates.actions.kubernetes.move import Move, Waiting
from healthd_gates.actions.kubernetes.revisions import History, Revision, is_back, not_the_candidate, owned_by, undo
from healthd_gates.actions.kubernetes.versions import Versions

_UNSEEN = Waiting("the cluster has not seen its template yet")


class _Pods(NamedTuple):
    """The number of pods that should run, and of those that are of the present template, and available."""

    wanted: int
    updated: int
    available: int


def controller_revision_history(owner: Object, matching: Sequence[Object]) -> History:
    """Return the history of a StatefulSet or DaemonSet."""
    return History(
        [
            Revision(each["revision"], _template(each), each["metadata"].get("annotations") or {})
            for each in owned_by(owner, matching)
        ]
    )


def look_at_stateful_set(
    owner: Object, path: str, history: History, versions: Versions, key: str
) -> ActionResult | Move | Waiting:
    """Return the next change for a StatefulSet to run the baseline, with its pods available."""
    return _look(owner, path, history, versions, key, _of_a_stateful_set)


def look_at_daemon_set(
    owner: Object, path: str, history: History, versions: Versions, key: str
) -> ActionResult | Move | Waiting:
    """Return the next change for a DaemonSet to run the baseline, with its pods available."""
    return _look(owner, path, history, versions, key, _of_a_daemon_set)


def _look(
    owner: Object, path: str, history: History, versions: Versions, key: str, count: Callable[[Object], _Pods]
) -> ActionResult | Move | Waiting:
    template = owner["spec"]["template"]
    if versions.runs_candidate(template):
        return undo(owner, path, history, versions, key)
    if not is_back(owner, versions, key):
        return not_the_candidate(template, versions)
    if not progress.is_seen(owner):
        return _UNSEEN
    return _came_back(owner, versions.shown(template), count(owner))


def _came_back(owner: Object, runs: str, pods: _Pods) -> ActionResult | Waiting:
    """Return done once every pod is of the template that was restored, and available."""
    strategy: Mapping[str, Any] = owner["spec"].get("updateStrategy") or {}
    left = pods.wanted - pods.updated
    if left > 0:
        if strategy.get("type") == "OnDelete":
            says = f"it is to run {runs}, and {left} pods are older: by its strategy OnDelete somebody must delete them"
            return ActionResult(Ending.REFUSED, says)
        kept = (strategy.get("rollingUpdate") or {}).get("partition") or 0
        if kept and pods.updated >= pods.wanted - kept and not _was_a_canary(owner):
            says = f"it is to run {runs}, and its partition of {kept} keeps {left} pods as they are: set it to 0"
            return ActionResult(Ending.REFUSED, says)
        return Waiting(f"it goes back to {runs}: {pods.updated} of {pods.wanted} pods are new{_held_up(owner, pods)}")
    if pods.available < pods.wanted:
        return Waiting(f"it goes back to {runs}: {pods.available} of {pods.wanted} pods are available")
    return ActionResult(Ending.DONE, f"nothing to do: it runs {runs} already")


def _was_a_canary(owner: Object) -> bool:
    """True if the pods below the partition of a StatefulSet never left the version that it goes back to."""
    status = owner.get("status") or {}
    return bool(status.get("currentRevision")) and status["currentRevision"] == status.get("updateRevision")


def _held_up(owner: Object, pods: _Pods) -> str:
    """Return a hint where the controller may wait forever: a StatefulSet replaces pods in order, and goes on only once
    each is ready, also one of the version that is to go."""
    spec = owner["spec"]
    in_order = "serviceName" in spec and spec.get("podManagementPolicy", "OrderedReady") == "OrderedReady"
    if not in_order or pods.available >= pods.wanted:
        return ""
    return "; should a pod of the version before not come up, delete it: its controller waits for that pod"


def _of_a_stateful_set(owner: Object) -> _Pods:
    status = owner.get("status") or {}
    return _Pods(owner["spec"].get("replicas", 1), status.get("updatedReplicas", 0), status.get("availableReplicas", 0))


def _of_a_daemon_set(owner: Object) -> _Pods:
    status = owner.get("status") or {}
    return _Pods(
        status.get("desiredNumberScheduled", 0),
        status.get("updatedNumberScheduled", 0),
        status.get("numberAvailable", 0),
    )


def _template(revision: Object) -> dict[str, Any]:
    """Return the pod template of a ControllerRevision, which is kept as a patch that replaces the one that is there."""
    template: dict[str, Any] = {**revision["data"]["spec"]["template"]}
    template.pop("$patch", None)
    return template
