"""A Kubernetes API of the tests' own: objects in memory, read, listed by label and patched as an API server does it.

It lives in the event loop of the test, and speaks TLS, without which kubectl sends no token. What is put at a path is
there; nothing happens by itself. What a cluster's controllers do is in `kubernetes_controllers.py`. Which facts of the
original it keeps, and where they were seen, is in `kubernetes.md`.
"""

import base64
import json
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.servers import peers
from tests.servers.peers import Answer, Peer, Received
from tests.servers.tls import Authority

TOKEN = "token-of-the-tests"
_KINDS = {
    "v1": {"services": "Service", "pods": "Pod", "nodes": "Node"},
    "batch/v1": {"cronjobs": "CronJob"},
    "apps/v1": {
        "deployments": "Deployment",
        "replicasets": "ReplicaSet",
        "statefulsets": "StatefulSet",
        "daemonsets": "DaemonSet",
        "controllerrevisions": "ControllerRevision",
    },
    "argoproj.io/v1alpha1": {"rollouts": "Rollout"},
    "discovery.k8s.io/v1": {"endpointslices": "EndpointSlice"},
    "networking.k8s.io/v1": {"ingresses": "Ingress"},
    "gateway.networking.k8s.io/v1": {"httproutes": "HTTPRoute"},
}
_CUSTOM = {"argoproj.io/v1alpha1", "gateway.networking.k8s.io/v1"}
_OF_THE_CLUSTER = {"nodes"}
"""What is in no namespace."""
_HEAVIEST = 1_000_000
_TYPE = ("kind", "apiVersion")
_REASONS = {
    400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict",
    415: "UnsupportedMediaType", 422: "Invalid", 429: "TooManyRequests", 500: "InternalError",
    503: "ServiceUnavailable",
}  # fmt: skip
_VERBS = ["get", "list", "patch"]
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_PATCH_TYPES = ("application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json")
_PATH = re.compile(
    r"/(?:api|apis)/(?P<version>v1|[^/]+/[^/]+)(?:/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?"
)
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_BAD_PATCH = "the server rejected our request due to an error in our request"
_BAD_LABEL = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.'"

Refuse = Callable[[str, dict[str, Any]], Answer | None]
"""Told of the path and of an object as a patch would leave it; the answer of whoever does not let it in."""


class Api:
    """The objects by path. Whoever comes with another `token` is unknown, and `denied` methods are forbidden to all.

    `before_answer` is called ahead of every call, `before_patch` ahead of a patch, for a change by somebody else;
    `after_patch` with the path and the object before and after it, for what a controller does. `admission` may refuse
    what a patch would leave; the groups and versions that are `unserved` are not installed. While it is `away` it gives
    that answer alone.
    """

    def __init__(self, peer: Peer, trust: bytes) -> None:
        self._peer, self._trust, self._version = peer, trust, 1000
        self.token, self.denied = TOKEN, set[str]()
        self._objects: dict[str, dict[str, Any]] = {}
        self.patches: list[tuple[str, Any]] = []
        self.before_answer: Callable[[], None] | None = None
        self.before_patch: Any = None
        self.after_patch: Callable[[str, dict[str, Any], dict[str, Any]], None] | None = None
        self.admission: Refuse | None = None
        self.unserved = set[str]()
        self.away: Answer | None = None
        peer.fallback = self._answer

    @property
    def url(self) -> str:
        return self._peer.url

    @property
    def received(self) -> list[Received]:
        """Every call, in order."""
        return self._peer.received

    def put(self, path: str, body: Mapping[str, Any]) -> None:
        """An object as somebody else leaves it. What changes nothing leaves its version as it is, too."""
        before = self._objects.get(path, {})
        stored = {**_named(path), **deepcopy(dict(body))}
        _fill_in(stored)
        had = before.get("metadata", {})
        ours = {name: had[name] for name in ("resourceVersion", "generation") if name in had}
        stored["metadata"] = {"uid": path, **_named(path)["metadata"], **stored.get("metadata", {}), **ours}
        if stored == before:
            return
        self._version += 1
        generation = ours.get("generation", 0) + (before.get("spec") != stored.get("spec"))
        stored["metadata"] |= {"resourceVersion": str(self._version), "generation": generation}
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
        if self.away is not None:
            return self.away
        if self.before_answer is not None:
            self.before_answer()
        authorization = received.headers.get("Authorization")
        if authorization is None:
            return status(
                403, f'forbidden: User "system:anonymous" cannot {received.method.lower()} path "{received.path}"'
            )
        if authorization != f"Bearer {self.token}":
            return status(401, "Unauthorized")
        if received.path == _REVIEWS:
            return self._review(received)
        if received.method in self.denied:
            return status(403, _forbidden(received))
        if received.method == "GET" and (discovered := _discovery(received.path)):
            return Answer(json=discovered)
        *parents, namespace = received.path.split("/")
        if parents == ["", "api", "v1", "namespaces"]:  # each that is asked for is there
            return Answer(json={"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": namespace}})
        path, part = received.path, ""
        if path.endswith("/status"):
            path, part = path.removesuffix("/status"), "status"
        where = _where(path)
        if where is None or where[0] in self.unserved:
            return Answer(404, body="404 page not found\n", headers={"Content-Type": "text/plain; charset=utf-8"})
        version, plural, name = where
        if not name:
            return self._list(path, version, plural, received)
        if path not in self._objects:
            return status(404, f'{_resource(version, plural)} "{name}" not found', name=name, kind=plural)
        return self._patch(path, part, received) if received.method == "PATCH" else Answer(json=self._objects[path])

    def _review(self, received: Received) -> Answer:
        """Whether the caller has a right: those methods are denied that are denied to all."""
        review = json.loads(received.body)
        verb = review["spec"]["resourceAttributes"]["verb"]
        allowed = {"patch": "PATCH", "get": "GET", "list": "GET"}[verb] not in self.denied
        return Answer(201, json={**review, "status": {"allowed": allowed}})

    def _list(self, path: str, version: str, plural: str, received: Received) -> Answer:
        selector = unquote(received.query.get("labelSelector", ""))
        wanted = dict(part.split("=", 1) for part in selector.split(",") if part)
        for value in wanted.values():
            if not _is_label(value):
                return status(400, f'unable to parse requirement: values[0][x]: Invalid value: "{value}": {_BAD_LABEL}')
        items = []
        for place, each in self._objects.items():
            labels = each["metadata"].get("labels", {})
            if place.startswith(f"{path}/") and all(labels.get(name) == value for name, value in wanted.items()):
                items.append(each if version in _CUSTOM else {k: v for k, v in each.items() if k not in _TYPE})
        begin = int(received.query.get("continue", "0"))
        end = begin + (int(received.query.get("limit", "0")) or len(items))
        metadata = {"resourceVersion": "1"} | ({"continue": str(end)} if end < len(items) else {})
        kind, items = f"{_KINDS[version][plural]}List", items[begin:end]
        return Answer(json={"kind": kind, "apiVersion": version, "metadata": metadata, "items": items})

    def _patch(self, path: str, part: str, received: Received) -> Answer:
        if self.before_patch is not None:
            self.before_patch()
        version, plural, name = _where(path) or ("", "", "")
        sent = received.headers.get("Content-Type", "")
        if sent not in _PATCH_TYPES:
            return status(
                415, f"the body of the request was in an unknown format - accepted media types include: {sent}"
            )
        change, changed, before = json.loads(received.body), self.get(path), self.get(path)
        if sent != "application/json-patch+json":
            seen = change.get("metadata", {}).get("resourceVersion")
            if seen not in (None, changed["metadata"]["resourceVersion"]):
                says = "the object has been modified; please apply your changes to the latest version and try again"
                what = f'Operation cannot be fulfilled on {_resource(version, plural)} "{name}"'
                return status(409, f"{what}: {says}", name=name, kind=plural)
            _merge(changed, change)
        elif not _apply(changed, change):
            return status(422, _BAD_PATCH)
        # A subresource changes nothing but itself, and without one it is not changed.
        changed = {**before, "status": changed.get("status")} if part else {**changed, "status": before.get("status")}
        changed = {key: value for key, value in changed.items() if value is not None}
        _fill_in(changed)
        if (refused := _invalid(changed, name)) or (self.admission and (refused := self.admission(path, changed))):
            return refused
        self.patches.append((received.path, change))
        if {**changed, "metadata": {**changed["metadata"], "managedFields": None}} != {
            **before, "metadata": {**before["metadata"], "managedFields": None}
        }:  # fmt: skip
            _note_manager(changed, before, received)
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
    found = _PATH.fullmatch(path)
    assert found is not None, path
    metadata = {"name": found["name"]} | ({"namespace": found["namespace"]} if found["namespace"] else {})
    return {
        "apiVersion": found["version"], "kind": _KINDS[found["version"]][found["plural"]], "metadata": metadata
    }  # fmt: skip


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
        {
            "name": plural,
            "singularName": kind.lower(),
            "kind": kind,
            "namespaced": plural not in _OF_THE_CLUSTER,
            "verbs": _VERBS,
        }
        for plural, kind in _KINDS[version].items()
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}


def status(code: int, message: str, **details: str) -> Answer:
    """What the API server answers where it does not do as it is told."""
    said = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message}
    return Answer(code, json={**said, "reason": _REASONS[code], "details": details, "code": code})


def _where(path: str) -> tuple[str, str, str] | None:
    """Group and version, plural, and the name of an object or nothing; None where no such API is served."""
    found = _PATH.fullmatch(path)
    if found is None or found["plural"] not in _KINDS.get(found["version"], {}):
        return None
    if (found["namespace"] is None) != (found["plural"] in _OF_THE_CLUSTER):
        return None
    return found["version"], found["plural"], found["name"] or ""


def _resource(version: str, plural: str) -> str:
    group = version.rpartition("/")[0]
    return f"{plural}.{group}" if group else plural


def _forbidden(received: Received) -> str:
    """What RBAC says."""
    version, plural, name = _where(received.path.removesuffix("/status")) or ("", "path", received.path)
    verb = {"PATCH": "patch", "GET": "get" if name else "list"}[received.method]
    namespace = received.path.partition("/namespaces/")[2].partition("/")[0]
    scope = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    place = f'in API group "{version.rpartition("/")[0]}" {scope}'
    return f'{_resource(version, plural)} "{name}" is forbidden: User "tests" cannot {verb} resource "{plural}" {place}'


def _is_label(value: str) -> bool:
    return len(value) <= 63 and bool(_LABEL_VALUE.fullmatch(value))


def _backends(route: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    rules = route.get("spec", {}).get("rules", ()) if route["kind"] == "HTTPRoute" else ()
    return [
        (f"spec.rules[{number}].backendRefs[{place}].weight", ref)
        for number, rule in enumerate(rules)
        for place, ref in enumerate(rule.get("backendRefs", ()))
    ]


def _fill_in(changed: dict[str, Any]) -> None:
    """The defaults of the custom resource's schema."""
    for _, ref in _backends(changed):
        ref.update({"group": "", "kind": "Service", "weight": 1} | ref)


def _invalid(changed: dict[str, Any], name: str) -> Answer | None:
    """What validation says of annotations, of a route's weights, and of labels: the object's, and those of the pods of
    a template."""
    for value in (changed["metadata"].get("annotations") or {}).values():
        if not isinstance(value, str):
            says = "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.annotations of type string"
            return status(400, f"{changed['kind']} in version {changed['apiVersion']} cannot be handled: {says}")
    for where, ref in _backends(changed):
        if not isinstance(ref["weight"], int) or not 0 <= ref["weight"] <= _HEAVIEST:
            bound = f"{where} in body should be less than or equal to {_HEAVIEST}"
            says = f'HTTPRoute.gateway.networking.k8s.io "{name}" is invalid: {where}: Invalid value: {ref["weight"]}: '
            return status(422, says + bound, name=name, kind="HTTPRoute")
    template = (changed.get("spec") or {}).get("template") or {}
    placed = {
        "metadata.labels": changed["metadata"].get("labels") or {},
        "spec.template.labels": (template.get("metadata") or {}).get("labels") or {},
    }
    for place, labels in placed.items():
        for value in labels.values():
            if not _is_label(str(value)):
                group = changed["apiVersion"].rpartition("/")[0]
                kind = f"{changed['kind']}{f'.{group}' if group else ''}"
                says = f'{kind} "{name}" is invalid: {place}: Invalid value: "{value}": {_BAD_LABEL}'
                return status(422, says, name=name, kind=changed["kind"])
    return None


def _note_manager(changed: dict[str, Any], before: dict[str, Any], received: Received) -> None:
    """Who changed which part of the spec: by `fieldManager`, or by the User-Agent up to its slash."""
    manager = received.query.get("fieldManager") or received.headers.get("User-Agent", "").partition("/")[0]
    spec, had = changed.get("spec") or {}, before.get("spec") or {}
    fields: dict[str, Any] = {f"f:{key}": {} for key in spec if spec[key] != had.get(key)}
    entry = {
        "manager": manager, "operation": "Update", "time": datetime.now(UTC).isoformat(), "fieldsV1": {"f:spec": fields}
    }  # fmt: skip
    changed["metadata"] = {
        **changed["metadata"], "managedFields": [*before["metadata"].get("managedFields", ()), entry]
    }  # fmt: skip


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
    """RFC 6902, as far as it is needed; False where a test fails, or a path leads nowhere."""
    for operation in operations:
        *way, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        place: Any = target
        try:
            for step in way:
                place = place[int(step) if isinstance(place, list) else step]
            at: Any = int(last) if isinstance(place, list) else last
            there = place[at] if isinstance(place, list) or operation["op"] != "add" else None
        except (KeyError, IndexError, TypeError):
            return False
        if operation["op"] == "test":
            if there != operation["value"]:
                return False
        else:
            assert operation["op"] in ("add", "replace")
            assert isinstance(place, dict), "of lists, only what is in them is changed"
            place[at] = deepcopy(operation["value"])
    return True
