"""Kubernetes as a platform for blue-green deploys: a Service's selector is the switch between two Deployments."""

from __future__ import annotations

from healthd_deploy.core.exit import StepFailed
from healthd_deploy.core.steps import wait_until
from healthd_deploy.kubernetes.kubectl import Cluster, Object, Operation, pointer
from healthd_deploy.kubernetes.rollout import missing, troubles
from healthd_deploy.kubernetes.settings import KubernetesConfig

_EVERY = 2.0  # seconds between two looks at a rollout


class KubernetesPlatform:
    """The cluster holds all state: who is live is what the Service selects, a version is a label of the pods."""

    def __init__(self, config: KubernetesConfig, *, every: float = _EVERY) -> None:
        self._app = config.application
        self._cluster = Cluster(config.kubectl, config.application.namespace)
        self._every = every

    async def live(self) -> str:
        selector = (await self._cluster.get("service", self._app.service))["spec"].get("selector") or {}
        target = selector.get(self._app.label)
        if target not in self._app.deployments:
            known = " nor ".join(self._app.deployments)
            raise StepFailed(f"Service {self._app.service} selects {self._app.label}={target}: neither {known}")
        return str(target)

    async def idle(self) -> str:
        live = await self.live()
        return next(target for target in self._app.deployments if target != live)

    async def version(self, target: str) -> str | None:
        labels = (await self._deployment(target))["spec"]["template"]["metadata"].get("labels") or {}
        version: str | None = labels.get(self._app.version_label)
        return version

    async def release(self, target: str, version: str) -> None:
        """As many pods of the new version as the live target has; each of them available."""
        live = await self._deployment(await self.live())
        deployment = await self._deployment(target)
        replicas = max(1, live["spec"].get("replicas", 1))
        name = self._app.deployments[target]
        await self._cluster.patch("deployment", name, self._released(deployment, version, replicas))
        try:
            await wait_until(
                lambda: self._is_rolled_out(target),
                within=self._app.ready_within,
                every=self._every,
                what=f"Deployment {name} is available",
            )
        except StepFailed as failed:
            raise StepFailed(f"{failed}{await self._why(target)}") from None

    async def switch(self, target: str) -> None:
        """Never to a target without a ready pod, and never over a change that somebody else made meanwhile."""
        before = await self.live()
        if before == target:
            return
        if not (await self._deployment(target)).get("status", {}).get("readyReplicas"):
            raise StepFailed(f"no pod of Deployment {self._app.deployments[target]} is ready: it gets no traffic")
        place = pointer("spec", "selector", self._app.label)
        operations = [
            {"op": "test", "path": place, "value": before},
            {"op": "replace", "path": place, "value": target},
        ]
        try:
            await self._cluster.patch("service", self._app.service, operations)
        except StepFailed:
            if await self.live() != target:  # healthd's own rollback may have been faster
                raise

    async def retire(self, target: str) -> None:
        """Scaled to nothing; the version stays noted."""
        scaled = [{"op": "add", "path": pointer("spec", "replicas"), "value": 0}]
        await self._cluster.patch("deployment", self._app.deployments[target], scaled)

    async def _deployment(self, target: str) -> Object:
        return await self._cluster.get("deployment", self._app.deployments[target])

    def _released(self, deployment: Object, version: str, replicas: int) -> list[Operation]:
        """What makes a Deployment run a version; it fails when its containers are not those that were read."""
        template = deployment["spec"]["template"]
        names = [container["name"] for container in template["spec"]["containers"]]
        if self._app.container not in names:
            raise StepFailed(f"no container {self._app.container} in it, only {', '.join(names)}")
        if self._app.version_label in (deployment["spec"]["selector"].get("matchLabels") or {}):
            raise StepFailed(f"its selector has {self._app.version_label}, which a release must be able to change")
        at = names.index(self._app.container)
        container = ("spec", "template", "spec", "containers", at)
        label = pointer("spec", "template", "metadata", "labels", self._app.version_label)
        image = self._app.image.replace("$version", version)
        return [
            {"op": "test", "path": pointer(*container, "name"), "value": self._app.container},
            {"op": "replace", "path": pointer(*container, "image"), "value": image},
            {"op": "add", "path": label, "value": version},
            {"op": "add", "path": pointer("spec", "replicas"), "value": replicas},
        ]

    async def _is_rolled_out(self, target: str) -> bool:
        return missing(await self._deployment(target)) is None

    async def _why(self, target: str) -> str:
        """What the pods say for themselves, to be added to a failure."""
        try:
            labels = (await self._deployment(target))["spec"]["selector"].get("matchLabels") or {}
            said = troubles(await self._cluster.pods(labels))
        except StepFailed:
            return ""
        return f"; its pods: {said}" if said else ""
