"""Platform Kubernetes for blue-green deploys between two Deployments."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

from healthd.kubernetes import progress
from healthd_deploy.core.exit import StepFailed
from healthd_deploy.core.shares import BeforeRamp, has_traffic, no_ramp, whole_or_before
from healthd_deploy.core.steps import wait_until
from healthd_deploy.kubernetes.kubectl import Cluster, Object, Operation, pointer
from healthd_deploy.kubernetes.rollout import missing, troubles
from healthd_deploy.kubernetes.settings import KubernetesConfig, Wanted
from healthd_deploy.kubernetes.traffic import traffic_of

_EVERY = 2.0  # seconds between two polls of a rollout
_RESTARTED = "kubectl.kubernetes.io/restartedAt"


class _Running(NamedTuple):
    """Image, version and number of pods that a Deployment should run."""

    image: str
    version: str | None
    replicas: int


class KubernetesPlatform:
    """Platform whose state is in the cluster: a Service's selector or the weights of a route say who has the traffic, a
    version is a label of the pods. `before_ramp` returns the target that had all of the traffic before a ramp divided
    it."""

    def __init__(
        self,
        config: KubernetesConfig,
        *,
        digest: str | None = None,
        say: Callable[[str], None] = lambda _said: None,
        before_ramp: BeforeRamp = no_ramp,
        every: float = _EVERY,
    ) -> None:
        self._app = config.application
        self._cluster = Cluster(config.kubectl, config.application.namespace)
        self._traffic = traffic_of(self._app, self._cluster, patience=config.kubectl.retry_for, every=every)
        self._before_ramp = before_ramp
        self._digest, self._say, self._every = digest, say, every
        self._before: dict[str, _Running] = {}

    async def live(self) -> str:
        """Return the target with all of the traffic; where a ramp divides it, the one that had all of it before."""
        return await whole_or_before(self._traffic.place, await self._traffic.shares(), self._before_ramp)

    async def share(self, target: str) -> float:
        return (await self._traffic.shares())[target]

    async def idle(self) -> str:
        live = await self.live()
        return next(target for target in self._app.deployments if target != live)

    async def version(self, target: str) -> str | None:
        return self._running(await self._deployment(target)).version

    async def refuse_other_digest(self, version: str) -> None:
        """Raise StepFailed where the live version has the same name but another digest."""
        if self._digest is None:
            return
        running = self._running(await self._deployment(await self.live()))
        if running.version == version and not running.image.endswith(f"@{self._digest}"):
            raise StepFailed(f"{version} is live as {running.image}: give what is to be deployed a version of its own")

    async def release(self, target: str, version: str) -> None:
        """Release as many pods of the new version as the live target has; wait until each is available."""
        deployment = await self._deployment(target)
        if share := await self.share(target):
            if self._running(deployment).version == version:
                return  # it is there already, and has traffic
            raise StepFailed(has_traffic(target, share))
        live = await self._deployment(await self.live())
        wanted = Wanted(version, self._digest)
        running = _Running(wanted.image(self._app.image), version, max(1, live["spec"].get("replicas", 1)))
        self._before.setdefault(target, self._running(deployment))
        name = self._app.deployments[target]
        await self._cluster.patch("deployment", name, self._changes(deployment, running, again=True))
        try:
            await wait_until(
                partial(self._is_rolled_out, target, _Told(self._say)),
                within=self._app.ready_within,
                every=self._every,
                what=f"Deployment {name} is available",
            )
        except StepFailed as failed:
            raise StepFailed(f"{failed}{await self._why(target)}") from None

    async def put_back(self, target: str) -> None:
        """Put back image, version and number of pods from before the release. What this run did not change stays."""
        before = self._before.get(target)
        if before is None:
            return
        if await self.share(target):
            raise StepFailed(f"{target} has the traffic: it stays as it is")
        deployment = await self._deployment(target)
        if self._running(deployment) != before:
            changes = self._changes(deployment, before)
            await self._cluster.patch("deployment", self._app.deployments[target], changes)

    async def switch(self, target: str) -> None:
        await self._traffic.switch(target)

    async def could_take_back(self, target: str) -> None:
        await self._traffic.refuse_dead(target)

    async def retire(self, target: str) -> None:
        """Scale a target to zero; its version stays recorded."""
        scaled = [{"op": "add", "path": pointer("spec", "replicas"), "value": 0}]
        await self._cluster.patch("deployment", self._app.deployments[target], scaled)

    async def _deployment(self, target: str, *, patient: bool = True) -> Object:
        return await self._cluster.get("deployment", self._app.deployments[target], patient=patient)

    def _running(self, deployment: Object) -> _Running:
        template = deployment["spec"]["template"]
        labels = (template.get("metadata") or {}).get("labels") or {}
        image = template["spec"]["containers"][self._place(deployment)]["image"]
        return _Running(image, labels.get(self._app.version_label), deployment["spec"].get("replicas", 1))

    def _place(self, deployment: Object) -> int:
        """Return the index of the container."""
        names = [container["name"] for container in deployment["spec"]["template"]["spec"]["containers"]]
        if self._app.container not in names:
            raise StepFailed(f"no container {self._app.container} in it, only {', '.join(names)}")
        return names.index(self._app.container)

    def _changes(self, deployment: Object, running: _Running, *, again: bool = False) -> list[Operation]:
        """Return the operations that make a Deployment run a version; they fail when its containers have changed since
        the read.

        `again`: also where it should run it already, and the cluster has given up on that. That state stays until the
        template changes, so the pods are recreated, as `kubectl rollout restart` does.
        """
        if self._app.version_label in (deployment["spec"]["selector"].get("matchLabels") or {}):
            raise StepFailed(f"its selector has {self._app.version_label}, which a release must be able to change")
        container = ("spec", "template", "spec", "containers", self._place(deployment))
        metadata = deployment["spec"]["template"].get("metadata") or {}
        label = pointer("spec", "template", "metadata", "labels", self._app.version_label)
        changes: list[Operation] = [
            {"op": "test", "path": pointer(*container, "name"), "value": self._app.container},
            {"op": "replace", "path": pointer(*container, "image"), "value": running.image},
            {"op": "add", "path": pointer("spec", "replicas"), "value": running.replicas},
        ]
        if running.version is not None:
            changes.append({"op": "add", "path": label, "value": running.version})
        elif self._app.version_label in (metadata.get("labels") or {}):
            changes.append({"op": "remove", "path": label})
        now = self._running(deployment)
        if again and (now.image, now.version) == (running.image, running.version) and progress.is_stuck(deployment):
            annotations = {**(metadata.get("annotations") or {}), _RESTARTED: datetime.now(UTC).isoformat()}
            place = pointer("spec", "template", "metadata", "annotations")
            changes.append({"op": "add", "path": place, "value": annotations})
        return changes

    async def _is_rolled_out(self, target: str, told: _Told) -> bool:
        waits = missing(await self._deployment(target, patient=False))
        if waits is not None:
            told.of(f"{self._app.deployments[target]}: {waits}")
        return waits is None

    async def _why(self, target: str) -> str:
        """Return what the cluster and the pods report, to be added to a failure."""
        try:
            deployment = await self._deployment(target)
            labels = deployment["spec"]["selector"].get("matchLabels") or {}
            said = troubles(deployment, await self._cluster.pods(labels))
        except StepFailed:
            return ""
        return f"; the cluster says: {said}" if said else ""


class _Told:
    """Prints the reason of a wait, each time it changes."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._last = say, ""

    def of(self, said: str) -> None:
        if said != self._last:
            self._say(said)
        self._last = said
