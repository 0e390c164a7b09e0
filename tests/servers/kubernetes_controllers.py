"""What a cluster does about Deployments by itself: sees a change, makes pods of the new version, tells how far it is.

It works in steps, one at each `act`, so that a test can look at a rollout in the middle; `running` takes them all.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from copy import deepcopy
from typing import Any

from tests.servers.kubernetes import Api

Start = Callable[[str, str, int], Awaitable[bool]]
"""Told of a Deployment's name, the image and how many pods it is to have; whether that image runs."""


async def every_image_runs(_name: str, _image: str, _replicas: int) -> bool:
    return True


_STUCK = {
    "type": "Progressing",
    "status": "False",
    "reason": "ProgressDeadlineExceeded",
    "message": "ReplicaSet has timed out progressing.",
}


class Controllers:
    """The deployment controller and the kubelets of the cluster behind one API."""

    def __init__(self, api: Api, start: Start = every_image_runs) -> None:
        self._api, self._start = api, start

    async def act(self) -> None:
        """One step of every Deployment that is not as it should be."""
        for path in self._api.paths("deployments"):
            deployment = self._api.get(path)
            if deployment["metadata"]["generation"] != deployment.get("status", {}).get("observedGeneration"):
                await self._see(path, deployment)

    async def _see(self, path: str, deployment: dict[str, Any]) -> None:
        spec, name = deployment["spec"], deployment["metadata"]["name"]
        wanted, image = spec["replicas"], spec["template"]["spec"]["containers"][-1]["image"]
        runs = await self._start(name, image, wanted)
        self._replace_pods(path, name, [_pod(spec["template"], runs=runs)] * wanted)
        available = wanted if runs else 0
        status = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": wanted,
            "updatedReplicas": wanted,
            "readyReplicas": available,
            "availableReplicas": available,
            "conditions": [] if runs else [_STUCK],
        }
        self._api.put(path, {**self._api.get(path), "status": status})  # its spec may have been changed meanwhile

    def _replace_pods(self, path: str, name: str, pods: list[dict[str, Any]]) -> None:
        stem = path.replace("apis/apps/v1", "api/v1").replace(f"deployments/{name}", f"pods/{name}-")
        for old in [each for each in self._api.paths("pods") if each.startswith(stem)]:
            self._api.remove(old)
        for number, pod in enumerate(pods):
            self._api.put(f"{stem}{number}", pod)


def _pod(template: dict[str, Any], *, runs: bool) -> dict[str, Any]:
    pod = deepcopy(template)
    waiting = {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}
    container = {"name": "api", "ready": runs, "state": {"running": {}} if runs else {"waiting": waiting}}
    ready = {"type": "Ready", "status": "True" if runs else "False"}
    return {**pod, "status": {"conditions": [ready], "containerStatuses": [container]}}


@asynccontextmanager
async def running(api: Api, start: Start = every_image_runs) -> AsyncIterator[None]:
    """They act until the end of the block."""

    async def act() -> None:
        while True:
            await Controllers(api, start).act()
            await asyncio.sleep(0.02)

    task = asyncio.create_task(act(), name="controllers")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled(), task.exception()
