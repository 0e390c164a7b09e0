"""What a cluster does about StatefulSets and DaemonSets by itself: keeps a ControllerRevision for each template,
replaces pods, tells how far it is.

One step at each `act`: the first sees a change, each further one replaces a pod. No pod is made: the status counts
them.
"""

from copy import deepcopy
from hashlib import sha256
from typing import Any

from tests.servers.kubernetes import Api

_NO_PODS: dict[str, int] = {}


class Revisions:
    """The controllers of StatefulSets and DaemonSets behind one API. Pods of the templates whose image ends in `bad` do
    not become ready."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._pods: dict[str, dict[str, int]] = {}
        """By workload the number of pods that each revision has."""

    def act(self) -> None:
        for kind in ("statefulsets", "daemonsets"):
            for path in self._api.paths(kind):
                self._see(path, self._api.get(path), kind)

    def _see(self, path: str, owner: dict[str, Any], kind: str) -> None:
        name = self._use(path, owner)
        pods = self._pods.setdefault(path, {name: owner["spec"].get("replicas", 1)})
        wanted, strategy = owner["spec"].get("replicas", 1), owner["spec"].get("updateStrategy", {})
        kept = strategy.get("rollingUpdate", {}).get("partition", 0)
        bad = {each: self._is_bad(path, each) for each in pods}
        is_new = owner.get("status", {}).get("observedGeneration") != owner["metadata"]["generation"]
        # In order: a pod that is not ready is waited for, whatever its revision.
        waits = kind == "statefulsets" and any(count and bad[each] for each, count in pods.items())
        old = next((each for each, count in pods.items() if count and each != name), None)
        stays = strategy.get("type") == "OnDelete" or pods.get(name, 0) >= wanted - kept
        if old is not None and not (is_new or waits or stays):
            pods[old] -= 1
            pods[name] = pods.get(name, 0) + 1
            bad[name] = self._is_bad(path, name)
        ready = sum(count for each, count in pods.items() if not bad.get(each))
        updated, total = pods.get(name, 0), sum(pods.values())
        if kind == "statefulsets":
            counts = {"updatedReplicas": updated, "readyReplicas": ready}
            status = {"replicas": total, "availableReplicas": ready, "updateRevision": name}
        else:
            counts = {"updatedNumberScheduled": updated, "numberAvailable": ready}
            status = {"desiredNumberScheduled": total, "currentNumberScheduled": total, "numberReady": ready}
        status |= {each: count for each, count in counts.items() if count}
        status["observedGeneration"] = owner["metadata"]["generation"]
        self._api.put(path, {**self._api.get(path), "status": status})

    def _use(self, path: str, owner: dict[str, Any]) -> str:
        """The revision of the template, which gets the highest number, also where it is used again."""
        template, past = owner["spec"]["template"], self._all(path)
        now = max((each["revision"] for each in past.values()), default=0)
        data = {"spec": {"template": {**deepcopy(template), "$patch": "replace"}}}
        name = f"{owner['metadata']['name']}-{sha256(repr(template).encode()).hexdigest()[:10]}"
        found = next((place for place, each in past.items() if each["data"] == data), None)
        if found is not None:
            if past[found]["revision"] < now:
                self._api.put(found, {**past[found], "revision": now + 1})
            return found.rpartition("/")[2]
        place = f"{path.rsplit('/', 2)[0]}/controllerrevisions/{name}"
        metadata = {
            "labels": template["metadata"].get("labels", {}),
            "annotations": owner["metadata"].get("annotations", {}),
            "ownerReferences": [{"uid": owner["metadata"]["uid"], "controller": True}],
        }
        self._api.put(place, {"metadata": metadata, "data": data, "revision": now + 1})
        return name

    def _all(self, path: str) -> dict[str, dict[str, Any]]:
        found = {place: self._api.get(place) for place in self._api.paths("controllerrevisions")}
        return {
            place: each
            for place, each in found.items()
            if any(reference["uid"] == path for reference in each["metadata"]["ownerReferences"])
        }

    def _is_bad(self, path: str, name: str) -> bool:
        revision = next(each for place, each in self._all(path).items() if place.endswith(f"/{name}"))
        return str(revision["data"]["spec"]["template"]["spec"]["containers"][0]["image"]).endswith("bad")
