"""A Kubernetes API of the tests' own: objects in memory, read, listed by label and patched as an API server does it.

It lives in the event loop of the test. It knows no kinds: what is put at a path is there, under the version that every
change of an object gets anew.
"""

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.servers import peers
from tests.servers.peers import Answer, Peer, Received

TOKEN = "token-of-the-tests"


class Api:
    """The objects by path.

    `before_patch` is called ahead of a patch, for a change by somebody else; `after_patch` with the path and the object
    before and after it, for what a controller does.
    """

    def __init__(self, peer: Peer) -> None:
        self._peer, self._version = peer, 1000
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
        stored = deepcopy(dict(body))
        stored["metadata"] = {"uid": path, **stored.get("metadata", {}), "resourceVersion": str(self._version)}
        self._objects[path] = stored

    def get(self, path: str) -> dict[str, Any]:
        return deepcopy(self._objects[path])

    def remove(self, path: str) -> None:
        del self._objects[path]

    def kubeconfig(self, folder: Path) -> Path:
        """A file that leads here."""
        file = folder / "kubeconfig"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "tests",
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
            "clusters": [{"name": "tests", "cluster": {"server": self.url}}],
            "users": [{"name": "tests", "user": {"token": TOKEN}}],
        }
        file.write_text(json.dumps(config))
        return file

    def _answer(self, received: Received) -> Answer:
        if received.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _status(401, "Unauthorized")
        path, part = received.path, ""
        if path not in self._objects and path.endswith("/status"):
            path, part = path.removesuffix("/status"), "status"
        if received.method == "GET" and path not in self._objects and path.rsplit("/", 1)[-1].endswith("s"):
            return Answer(json={"items": list(self._matching(path, received.query.get("labelSelector", "")))})
        if path not in self._objects:
            return _status(404, f"{path} not found")
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
    async with peers.peer() as peer:
        yield Api(peer)


def _status(code: int, message: str) -> Answer:
    return Answer(code, json={"kind": "Status", "status": "Failure", "message": message, "code": code})


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
        place = target
        for step in way:
            place = place[step]
        if operation["op"] == "test":
            if place.get(last) != operation["value"]:
                return False
        else:
            assert operation["op"] in ("add", "replace")
            place[last] = operation["value"]
    return True
