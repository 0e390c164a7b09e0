"""What a cluster does about StatefulSets and DaemonSets by itself: keeps a ControllerRevision for each template,
replaces pods, tells how far it is.

One step at each `act`: the first sees a change, each further one replaces a pod. No pod is made: the status counts
them.
"""

from copy import deepcopy
from hashlib import sha256
from typing import Any

from tests.servers.kubernetes import Api


class Revisions:
    """The controllers of StatefulSets and DaemonSets behind one API. Pods of the templates whose image ends in `bad` do
    not become ready."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._pods: dict[str, list[str]] = {}
        """By workload the revision of each pod, in their order."""

    def act(self) -> None:
        for kind in ("statefulsets", "daemonsets"):
            for path in self._api.paths(kind):
                self._see(path, self._api.get(path), is_ordered=kind == "statefulsets")

    def _see(self, path: str, owner: dict[str, Any], *, is_ordered: bool) -> None:
        name, had = self._use(path, owner), owner.get("status", {})
        pods = self._pods.setdefault(path, [name] * owner["spec"].get("replicas", 1))
        if had.get("observedGeneration") == owner["metadata"]["generation"]:
            self._replace(path, owner["spec"].get("updateStrategy", {}), name, pods, is_ordered=is_ordered)
        updated, ready = pods.count(name), sum(not self._is_bad(path, each) for each in pods)
        if is_ordered:
            complete = updated == ready == len(pods)
            counts = {"updatedReplicas": updated, "readyReplicas": ready}
            status = {"replicas": len(pods), "availableReplicas": ready, "updateRevision": name}
            status["currentRevision"] = name if complete else had.get("currentRevision", name)
        else:
            counts = {"updatedNumberScheduled": updated, "numberAvailable": ready}
            status = {"desiredNumberScheduled": len(pods), "currentNumberScheduled": len(pods), "numberReady": ready}
        status |= {each: count for each, count in counts.items() if count}
        status["observedGeneration"] = owner["metadata"]["generation"]
        self._api.put(path, {**self._api.get(path), "status": status})

    def _replace(self, path: str, strategy: dict[str, Any], name: str, pods: list[str], *, is_ordered: bool) -> None:
        """One pod, from the last to the partition. In order: one that is not ready is waited for, whatever its
        revision."""
        waits = is_ordered and any(self._is_bad(path, each) for each in pods)
        kept = strategy.get("rollingUpdate", {}).get("partition", 0)
        old = [number for number, each in enumerate(pods) if each != name and number >= kept]
        if old and not waits and strategy.get("type") != "OnDelete":
            pods[old[-1]] = name

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
