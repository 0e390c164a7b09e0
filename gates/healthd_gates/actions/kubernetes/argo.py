"""An Argo Rollout on its way back to the stable version: aborted, or undone and promoted in full. Pure.

A template that is undone is a new rollout to Argo's controller: it goes through every step, with their pauses and
analyses, unless `status.promoteFull` says otherwise. The controller takes that field and `status.abort` back when it
sees a new template, so neither is set before the template was seen. Rules: argo-rollouts, rollout/canary.go,
rollout/bluegreen.go and rollout/sync.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from healthd.kubernetes.api import Object, Patch
from healthd_gates.actions.contract import ActionResult, Ending
from healthd_gates.actions.kubernetes.move import Move, Waiting
from healthd_gates.actions.kubernetes.revisions import History, is_back, not_the_candidate, undo
from healthd_gates.actions.kubernetes.versions import Versions

ROLLOUT_REVISION = "rollout.argoproj.io/revision"
_UNSEEN = Waiting("Argo's controller has not seen its template yet")


def look_at_rollout(
    rollout: Object, path: str, history: History, versions: Versions, key: str
) -> ActionResult | Move | Waiting:
    """Return the next change for a Rollout that moves the traffic off the candidate."""
    template, status = rollout["spec"].get("template"), rollout.get("status") or {}
    if template is not None and not versions.runs_candidate(template):
        if not is_back(rollout, versions, key):
            return not_the_candidate(template, versions)
        return _came_back(rollout, path, versions.shown(template))
    if status.get("abort"):
        return _aborted(rollout)
    if not _is_seen(rollout):
        return _UNSEEN
    if not _is_promoted(status):
        return _change(rollout, path, {"abort": True}, "abort it")
    if template is None:
        return ActionResult(Ending.REFUSED, "it is promoted, and its pods are described elsewhere (workloadRef)")
    found = undo(rollout, path, history, versions, key)
    return Move(found.patch, f"{found.says} and promote it in full") if isinstance(found, Move) else found


def _came_back(rollout: Object, path: str, runs: str) -> ActionResult | Move | Waiting:
    """Return the next step once the baseline's template is there: it must get all the traffic too."""
    status = rollout.get("status") or {}
    if not _is_seen(rollout):
        return _UNSEEN
    if _is_promoted(status):
        if status.get("phase", "Healthy") == "Healthy":
            return ActionResult(Ending.DONE, f"nothing to do: it runs {runs} already")
        return Waiting(f"it goes back to {runs}: {_standing(status)}")
    if status.get("abort"):
        return ActionResult(
            Ending.REFUSED, f"its way back to {runs} was aborted: somebody wants {status.get('stableRS')}"
        )
    if not status.get("promoteFull"):
        return _change(rollout, path, {"promoteFull": True}, f"promote {runs} in full")
    return Waiting(f"it goes back to {runs}: {_standing(status)}")


def _aborted(rollout: Object) -> ActionResult | Waiting:
    """Return done once the stable version has the traffic: by the active Service, by the weights, or because no pod of
    the candidate is left."""
    strategy, status = rollout["spec"].get("strategy") or {}, rollout.get("status") or {}
    if not status.get("abortedAt"):
        return Waiting("Argo's controller has not seen that it is aborted yet")
    canary = strategy.get("canary") or {}
    if "blueGreen" in strategy:
        active = (status.get("blueGreen") or {}).get("activeSelector")
        left = None if active == status.get("stableRS") else f"its active Service still selects {active}"
    elif canary.get("trafficRouting"):
        weight = (((status.get("canary") or {}).get("weights") or {}).get("canary") or {}).get("weight", 0)
        left = f"the candidate still has {weight} % of the traffic" if weight else None
    else:
        updated = status.get("updatedReplicas", 0)
        left = f"{updated} pods of the candidate are still there" if updated else None
    return (
        Waiting(f"it is aborted, and {left}")
        if left
        else ActionResult(Ending.DONE, "nothing to do: it is aborted already")
    )


def _is_promoted(status: Mapping[str, Any]) -> bool:
    return bool(status.get("stableRS")) and status.get("stableRS") == status.get("currentPodHash")


def _is_seen(rollout: Object) -> bool:
    """True if the controller has seen the newest spec. `observedGeneration` is text; before Argo Rollouts 1.0 it was a
    hash, which says nothing."""
    observed = str((rollout.get("status") or {}).get("observedGeneration", ""))
    return not observed.isdigit() or int(observed) >= rollout["metadata"].get("generation", 0)


def _standing(status: Mapping[str, Any]) -> str:
    return ", ".join(filter(None, (status.get("phase"), status.get("message")))) or "it is being promoted"


def _change(rollout: Object, path: str, status: Mapping[str, Any], says: str) -> Move:
    version = {"resourceVersion": rollout["metadata"]["resourceVersion"]}
    return Move(Patch(f"{path}/status", "merge", {"metadata": version, "status": dict(status)}), says)
