"""What a cluster does about Deployments, Argo Rollouts and HTTPRoutes by itself: sees a change, keeps a ReplicaSet for
each template, makes pods of the new one, tells how far it is. StatefulSets and DaemonSets are in
`kubernetes_revisions.py`.

It works in steps, one at each `act`, so that a test can look at a rollout in the middle; `running` takes them all.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from tests.servers.kubernetes import Api
from tests.servers.kubernetes_revisions import Revisions

Start = Callable[[str, str, int], Awaitable[bool]]
"""Told of a Deployment's name, the image and how many pods it is to have; whether that image runs."""
Refuse = Callable[[Mapping[str, Any]], str | None]
"""Told of a pod; why the API server does not let it in."""

_NOT_COPIED = ("kubectl.kubernetes.io/last-applied-configuration", "deployment.kubernetes.io/revision")
_STUCK = {
    "type": "Progressing",
    "status": "False",
    "reason": "ProgressDeadlineExceeded",
    "message": "ReplicaSet has timed out progressing.",
}


async def every_image_runs(_name: str, _image: str, _replicas: int) -> bool:
    return True


def every_pod_is_let_in(_pod: Mapping[str, Any]) -> str | None:
    return None


@dataclass(frozen=True)
class History:
    """The ReplicaSets of one workload, and the annotation that numbers them."""

    api: Api
    path: str
    revision: str
    hashed: str

    def use(self, owner: dict[str, Any]) -> tuple[str, bool]:
        """The hash of the template's ReplicaSet, and whether it is another one than before. One that is used again gets
        the new number, and its old number is gone; a new one gets the annotations of its owner."""
        template, past = owner["spec"]["template"], self._all()
        found = next((path for path, each in past.items() if self._bare(each["spec"]["template"]) == template), None)
        now = max((self._number(each) for each in past.values()), default=0)
        if found is not None and self._number(past[found]) == now:
            return self._hash(past[found]), False
        digest = self._hash(past[found]) if found else sha256(json.dumps(template).encode()).hexdigest()[:10]
        annotations = {k: v for k, v in (owner["metadata"].get("annotations") or {}).items() if k not in _NOT_COPIED}
        labels = {**template["metadata"].get("labels", {}), self.hashed: digest}
        pods = deepcopy({**template, "metadata": {**template["metadata"], "labels": labels}})
        metadata = {
            "labels": labels,
            "annotations": {**annotations, self.revision: str(now + 1)},
            "ownerReferences": [{"uid": owner["metadata"]["uid"], "controller": True}],
        }
        name = f"{owner['metadata']['name']}-{digest}"
        path = found or f"/apis/apps/v1/namespaces/{owner['metadata']['namespace']}/replicasets/{name}"
        self.api.put(path, {"metadata": metadata, "spec": {"template": pods}})
        self._trim(owner["spec"].get("revisionHistoryLimit", 10))
        return digest, True

    @property
    def latest(self) -> str:
        return str(max((self._number(each) for each in self._all().values()), default=0))

    def _trim(self, limit: int) -> None:
        """The oldest go; the one in use always stays."""
        old = sorted(self._all().items(), key=lambda item: self._number(item[1]))[:-1]
        for path, _ in old[: max(0, len(old) - limit)]:
            self.api.remove(path)

    def _all(self) -> dict[str, dict[str, Any]]:
        sets = {path: self.api.get(path) for path in self.api.paths("replicasets")}
        return {
            path: each
            for path, each in sets.items()
            if any(reference.get("uid") == self.path for reference in each["metadata"].get("ownerReferences", ()))
        }

    def _bare(self, template: dict[str, Any]) -> dict[str, Any]:
        labels = {
            k: v for k, v in template["metadata"].get("labels", {}).items() if not k.endswith("pod-template-hash")
        }
        return {**template, "metadata": {**template["metadata"], "labels": labels}}

    def _hash(self, each: dict[str, Any]) -> str:
        labels = each["spec"]["template"]["metadata"]["labels"]
        return str(next(value for name, value in labels.items() if name.endswith("pod-template-hash")))

    def _number(self, each: dict[str, Any]) -> int:
        return int(each["metadata"].get("annotations", {}).get(self.revision, 0))


class Controllers:
    """The controllers of Deployments and Rollouts, and the kubelets, of the cluster behind one API."""

    def __init__(self, api: Api, start: Start = every_image_runs, refuse: Refuse = every_pod_is_let_in) -> None:
        self._api, self._start, self._refuse, self._revisions = api, start, refuse, Revisions(api)

    async def act(self) -> None:
        """One step of everything that is not as it should be."""
        for path in self._api.paths("deployments"):
            deployment = self._api.get(path)
            if deployment["metadata"]["generation"] != deployment.get("status", {}).get("observedGeneration"):
                await self._see(path, deployment)
        for path in self._api.paths("rollouts"):
            self._roll(path, self._api.get(path))
        for path in self._api.paths("httproutes"):
            self._route(path, self._api.get(path))
        self._revisions.act()
        for path in self._api.paths("services"):
            self._list_endpoints(path, self._api.get(path))

    def _list_endpoints(self, path: str, service: dict[str, Any]) -> None:
        """An EndpointSlice has every pod that the Service selects, and which of them are ready."""
        selector, name = service.get("spec", {}).get("selector") or {}, service["metadata"]["name"]
        if not selector:
            return
        pods = [self._api.get(pod) for pod in self._api.paths("pods")]
        mine = [pod for pod in pods if selector.items() <= pod["metadata"].get("labels", {}).items()]
        endpoints = [{"addresses": ["10.0.0.1"], "conditions": {"ready": _is_ready(pod)}} for pod in mine]
        slices = path.replace("api/v1", "apis/discovery.k8s.io/v1").rpartition("/services/")[0] + "/endpointslices"
        labels = {"kubernetes.io/service-name": name}
        self._api.put(f"{slices}/{name}-slice", {"metadata": {"labels": labels}, "endpoints": endpoints})

    def _route(self, path: str, route: dict[str, Any]) -> None:
        """A Gateway accepts the route, and tells the generation that it has seen."""
        seen = {"status": "True", "observedGeneration": route["metadata"]["generation"]}
        conditions = [{"type": kind, "reason": kind, **seen} for kind in ("Accepted", "ResolvedRefs")]
        parent = {"controllerName": "example.com/gateway", "parentRef": {"name": "web"}, "conditions": conditions}
        if "status" not in route or route["status"]["parents"] != [parent]:
            self._api.put(path, {**route, "status": {"parents": [parent]}})

    async def _see(self, path: str, deployment: dict[str, Any]) -> None:
        spec, name = deployment["spec"], deployment["metadata"]["name"]
        wanted, image = spec.get("replicas", 1), spec["template"]["spec"]["containers"][-1]["image"]
        history = History(self._api, path, "deployment.kubernetes.io/revision", "pod-template-hash")
        had = deployment.get("status", {})
        pod_hash, is_new = history.use(deployment)
        same = not is_new and had.get("updatedReplicas", 0) == wanted
        if same:  # a verdict about this template stays until the template changes
            status = {**had, "observedGeneration": deployment["metadata"]["generation"]}
        else:
            status = await self._replace(path, name, spec["template"], pod_hash, image, wanted, had)
            status["observedGeneration"] = deployment["metadata"]["generation"]
        now = self._api.get(path)  # its spec may have been changed meanwhile
        annotations = {**now["metadata"].get("annotations", {}), history.revision: history.latest}
        self._api.put(path, {**now, "metadata": {**now["metadata"], "annotations": annotations}, "status": status})

    async def _replace(
        self,
        path: str,
        name: str,
        template: dict[str, Any],
        pod_hash: str,
        image: str,
        wanted: int,
        had: dict[str, Any],
    ) -> dict[str, Any]:
        """The status once the kubelets did what they could. Old pods stay until the new ones are there, and count."""
        labelled = deepcopy(template)
        labelled["metadata"].setdefault("labels", {})["pod-template-hash"] = pod_hash
        old = had.get("availableReplicas", 0)
        if wanted and (why := self._refuse(labelled)):
            failed = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": why}
            return _counted(replicas=old, ready=old, available=old, conditions=[failed])
        runs = await self._start(name, image, wanted)
        stem = path.replace("apis/apps/v1", "api/v1").replace(f"deployments/{name}", f"pods/{name}-")
        for pod in [each for each in self._api.paths("pods") if each.startswith(stem)]:
            is_ours = "pod-template-hash" in self._api.get(pod)["metadata"].get("labels", {})
            if is_ours and (runs or not old):
                self._api.remove(pod)
        for number in range(wanted):
            self._api.put(f"{stem}{pod_hash}-{number}", _pod(labelled, runs=runs))
        if runs:
            available = {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"}
            return _counted(replicas=wanted, updated=wanted, ready=wanted, available=wanted, conditions=[available])
        return _counted(replicas=wanted + old, updated=wanted, ready=old, available=old, conditions=[_STUCK])

    def _roll(self, path: str, rollout: dict[str, Any]) -> None:
        """One step of Argo's controller, in its order: a new template resets what was asked of the one before; an abort
        or a full promotion is carried out; else it stands at its first step."""
        spec, status = rollout["spec"], rollout.get("status", {})
        history = History(self._api, path, "rollout.argoproj.io/revision", "rollouts-pod-template-hash")
        pod_hash, _ = history.use(rollout)
        replicas, blue_green = spec.get("replicas", 1), "blueGreen" in spec.get("strategy", {})
        after = {**status, "currentPodHash": pod_hash, "observedGeneration": str(rollout["metadata"]["generation"])}
        after.setdefault("stableRS", pod_hash)
        if status.get("currentPodHash") not in (None, pod_hash):
            for name in ("abort", "abortedAt", "promoteFull"):
                after.pop(name, None)
        elif status.get("promoteFull"):
            after["stableRS"] = pod_hash
            after.pop("promoteFull")
        elif status.get("abort"):
            after |= {"abortedAt": status.get("abortedAt", "now"), "phase": "Degraded", "message": "RolloutAborted"}
        if after["stableRS"] == pod_hash:
            after |= {"phase": "Healthy", "updatedReplicas": replicas, "availableReplicas": replicas}
            after.pop("message", None)
        elif not after.get("abort"):
            reason = "BlueGreenPause" if blue_green else "CanaryPauseStep"
            after |= {"phase": "Paused", "message": reason, "updatedReplicas": 1}
        else:
            after.pop("updatedReplicas", None)
        if blue_green:
            after["blueGreen"] = {"activeSelector": after["stableRS"]}
        if after != status:
            annotations = {**rollout["metadata"].get("annotations", {}), history.revision: history.latest}
            metadata = {**rollout["metadata"], "annotations": annotations}
            self._api.put(path, {**rollout, "metadata": metadata, "status": after})


def _is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _counted(
    *, replicas: int, ready: int, available: int, conditions: list[dict[str, str]], updated: int = 0
) -> dict[str, Any]:
    """What there is none of is not mentioned."""
    counts = {
        "replicas": replicas, "updatedReplicas": updated, "readyReplicas": ready, "availableReplicas": available
    }  # fmt: skip
    return {**{name: count for name, count in counts.items() if count}, "conditions": conditions}


def _pod(template: dict[str, Any], *, runs: bool) -> dict[str, Any]:
    pod = deepcopy(template)
    waiting = {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}
    container = {"name": "api", "ready": runs, "state": {"running": {}} if runs else {"waiting": waiting}}
    ready = {"type": "Ready", "status": "True" if runs else "False"}
    return {**pod, "status": {"conditions": [ready], "containerStatuses": [container]}}


@asynccontextmanager
async def running(
    api: Api, start: Start = every_image_runs, refuse: Refuse = every_pod_is_let_in
) -> AsyncIterator[None]:
    """They act until the end of the block."""

    controllers = Controllers(api, start, refuse)

    async def act() -> None:
        while True:
            await controllers.act()
            await asyncio.sleep(0.02)

    task = asyncio.create_task(act(), name="controllers")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled(), task.exception()
