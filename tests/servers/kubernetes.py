"""A Kubernetes API of the tests' own: objects in memory, read, listed by label and patched as an API server does it.

It lives in the event loop of the test, and speaks TLS, without which kubectl sends no token. What is put at a path is
there, under the version that every change of an object gets anew; nothing happens by itself. What a cluster's
controllers do about Deployments is in `kubernetes_controllers.py`.
"""

import base64
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.servers import peers
from tests.servers.peers import Answer, Peer, Received
from tests.servers.tls import Authority

TOKEN = "token-of-the-tests"
_KINDS = {
    "v1": {"services": "Service", "pods": "Pod"},
    "apps/v1": {"deployments": "Deployment", "replicasets": "ReplicaSet"},
    "argoproj.io/v1alpha1": {"rollouts": "Rollout"},
}
_REASONS = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 422: "Invalid"}
_VERBS = ["get", "list", "patch"]


class Api:
    """The objects by path. Whoever comes with another `token` is unknown, and `denied` methods are forbidden to all.

    `before_patch` is called ahead of a patch, for a change by somebody else; `after_patch` with the path and the object
    before and after it, for what a controller does.
    """

    def __init__(self, peer: Peer, trust: bytes) -> None:
        self._peer, self._trust, self._version = peer, trust, 1000
        self.token, self.denied = TOKEN, set[str]()
        self._objects: dict[str, dict[str, Any]] = {}
        self.patches: list[tuple[str, Any]] = []
        self.before_patch: Any = None
        self.after_patch: Callable[[str, dict[str, Any], dict[str, Any]], None] | None = None
        peer.fallback = self._answer

    @property
    def url(self) -> str:
        return self._peer.url

    @property
    def received(self) -> list[Received]:
        """Every call, in order."""
        return self._peer.received

    def put(self, path: str, body: Mapping[str, Any]) -> None:
        """An object as somebody else leaves it."""
        self._version += 1
        before = self._objects.get(path, {})
        stored = {**_named(path), **deepcopy(dict(body))}
        generation = before.get("metadata", {}).get("generation", 0) + (before.get("spec") != stored.get("spec"))
        ours = {"resourceVersion": str(self._version), "generation": generation}
        stored["metadata"] = {"uid": path, **_named(path)["metadata"], **stored["metadata"], **ours}
        self._objects[path] = stored

    def get(self, path: str) -> dict[str, Any]:
        return deepcopy(self._objects[path])

    def paths(self, kind: str) -> list[str]:
        """Where the objects of a kind are, such as `deployments`."""
        return [path for path in self._objects if path.split("/")[-2] == kind]

    def remove(self, path: str) -> None:
        del self._objects[path]

    def kubeconfig(self, folder: Path) -> Path:
        """A file that leads here."""
        file, authority = folder / "kubeconfig", base64.b64encode(self._trust).decode()
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "tests",
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
            "clusters": [{"name": "tests", "cluster": {"server": self.url, "certificate-authority-data": authority}}],
            "users": [{"name": "tests", "user": {"token": TOKEN}}],
        }
        file.write_text(json.dumps(config))
        return file

    def _answer(self, received: Received) -> Answer:
        if received.headers.get("Authorization") != f"Bearer {self.token}":
            return _status(401, "Unauthorized")
        if received.method in self.denied:
            return _status(403, f"User cannot {received.method.lower()} it")
        if received.method == "GET" and (discovered := _discovery(received.path)):
            return Answer(json=discovered)
        *parents, namespace = received.path.split("/")
        if parents == ["", "api", "v1", "namespaces"]:  # each that is asked for is there
            return Answer(json={"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": namespace}})
        path, part = received.path, ""
        if path not in self._objects and path.endswith("/status"):
            path, part = path.removesuffix("/status"), "status"
        if received.method == "GET" and path not in self._objects and path.rsplit("/", 1)[-1].endswith("s"):
            items = list(self._matching(path, received.query.get("labelSelector", "")))
            return Answer(json={"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items})
        if path not in self._objects:
            kind, name = path.split("/")[-2:]
            return _status(404, f'{kind} "{name}" not found', name=name, kind=kind)
        if received.method == "PATCH":
            return self._patch(path, part, received)
        return Answer(json=self._objects[path])

    def _matching(self, path: str, selector: str) -> Iterator[dict[str, Any]]:
        wanted = dict(part.split("=") for part in unquote(selector).split(",") if part)
        for place, each in self._objects.items():
            labels = each["metadata"].get("labels", {})
            if place.startswith(f"{path}/") and all(labels.get(name) == value for name, value in wanted.items()):
                yield each

    def _patch(self, path: str, part: str, received: Received) -> Answer:
        if self.before_patch is not None:
            self.before_patch()
        change, changed, before = json.loads(received.body), self.get(path), self.get(path)
        if "merge-patch" in received.headers["Content-Type"]:
            version = change.get("metadata", {}).get("resourceVersion")
            if version not in (None, changed["metadata"]["resourceVersion"]):
                return _status(409, "the object has been modified; please apply your changes to the latest version")
            if part:
                change = {part: change.get(part, {})}
            _merge(changed, change)
        elif not _apply(changed, change):
            return _status(422, "the server rejected our request due to an error in our request")
        self.patches.append((received.path, change))
        self.put(path, changed)
        answer = Answer(json=self.get(path))
        if self.after_patch is not None:
            self.after_patch(path, before, self.get(path))
        return answer


@asynccontextmanager
async def running() -> AsyncIterator[Api]:
    """An empty cluster."""
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder))
        context = authority.good().context(Path(folder))
        async with peers.peer(context) as peer:
            yield Api(peer, authority.trust.read_bytes())


def _named(path: str) -> dict[str, Any]:
    """What an object says of itself by where it is."""
    *group, _, namespace, kind, name = path.removeprefix("/apis/").removeprefix("/api/").split("/")
    version = "/".join(group)
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": version, "kind": _KINDS[version][kind], "metadata": metadata}


def _discovery(path: str) -> dict[str, Any] | None:
    """What there is, as kubectl asks before it asks for anything."""
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        groups = []
        for version in (each for each in _KINDS if "/" in each):
            served = {"groupVersion": version, "version": version.split("/")[1]}
            groups.append({"name": version.split("/")[0], "versions": [served], "preferredVersion": served})
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    version = path.removeprefix("/apis/").removeprefix("/api/")
    if version not in _KINDS:
        return None
    resources = [
        {"name": plural, "singularName": kind.lower(), "kind": kind, "namespaced": True, "verbs": _VERBS}
        for plural, kind in _KINDS[version].items()
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}


def _status(code: int, message: str, **details: str) -> Answer:
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message}
    return Answer(code, json={**status, "reason": _REASONS[code], "details": details, "code": code})


def _merge(target: dict[str, Any], change: Mapping[str, Any]) -> None:
    """RFC 7386."""
    for name, value in change.items():
        if value is None:
            target.pop(name, None)
        elif isinstance(value, dict):
            _merge(target.setdefault(name, {}), value)
        else:
            target[name] = value


def _apply(target: dict[str, Any], operations: list[dict[str, Any]]) -> bool:
    """RFC 6902, as far as it is needed; False where a test fails."""
    for operation in operations:
        *way, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        place: Any = target
        for step in way:
            place = place[int(step) if isinstance(place, list) else step]
        at: Any = int(last) if isinstance(place, list) else last
        if operation["op"] == "test":
            if (place[at] if isinstance(place, list) else place.get(at)) != operation["value"]:
                return False
        else:
            assert operation["op"] in ("add", "replace")
            assert isinstance(place, dict), "of lists, only what is in them is changed"
            place[at] = operation["value"]
    return True
