"""Rolls back in a Kubernetes cluster: a Service's selector, a Deployment's revision, or an Argo Rollout."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import aiohttp
from pydantic import Field, StringConstraints, model_validator

from healthd.checks.failures import describe
from healthd_gates.actions.contract import ActionConfig, ActionContext, ActionRequest, ActionResult, Ending
from healthd_gates.actions.kubernetes_api import ApiRefusal, Cluster, Object
from healthd_gates.actions.kubernetes_moves import Move, Versions, abort, point_back, ready, undo
from healthd_gates.sources.contract import Arm, ArmError, Arms

ObjectName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
_LABEL = r"^([a-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"
_DEPLOYMENT_REVISION = "deployment.kubernetes.io/revision"
_ROLLOUT_REVISION = "rollout.argoproj.io/revision"
_CHANGED_MEANWHILE = (409, 422)  # of a patch that names the version that it was made for


class KubernetesConfig(ActionConfig):
    """In a pod, its service account; elsewhere the kubeconfig."""

    kind: Literal["kubernetes"] = "kubernetes"
    namespace: ObjectName = "default"
    """Where the object is."""
    service: ObjectName | None = None
    """A Service whose selector goes back to the baseline's labels."""
    selector: dict[Annotated[str, StringConstraints(pattern=_LABEL)], str] = Field(default_factory=dict)
    """The labels by which the Service tells versions apart, with $version and $target for those of an arm."""
    deployment: ObjectName | None = None
    """A Deployment that goes back to its revision before the candidate."""
    rollout: ObjectName | None = None
    """An Argo Rollout that is aborted, or undone where it is promoted already."""
    version_label: Annotated[str, StringConstraints(pattern=_LABEL)] = "app.kubernetes.io/version"
    """The label of the pods with the version; without it the tag of an image tells."""
    kubeconfig: Path | None = None
    """A kubeconfig; without one that of the pod, or of the user."""
    context: str | None = None
    """A context of it, if not the current one."""

    @model_validator(mode="after")
    def _one_object(self) -> Self:
        if find_spec("kubernetes_asyncio") is None:
            raise ValueError("a kubernetes action needs its SDK: install healthd[kubernetes]")
        if sum(name is not None for name in (self.service, self.deployment, self.rollout)) != 1:
            raise ValueError("give one of service, deployment and rollout")
        if (self.service is None) == bool(self.selector):
            raise ValueError("selector belongs to service: the labels by which it tells versions apart")
        if self.selector and not any("$" in value for value in self.selector.values()):
            raise ValueError("selector needs $version or $target, or it would be the same for every version")
        return self

    def check(self, arms: Arms) -> None:
        if self.service is not None:
            labels_of(self.selector, arms.candidate, "candidate")
            labels_of(self.selector, arms.baseline, "baseline")


def labels_of(selector: dict[str, str], arm: Arm | None, name: str) -> dict[str, str]:
    """The labels of one arm. Raises ArmError."""
    if arm is None:
        raise ArmError(name, "is needed: its labels are what the Service selects after a rollback")
    filled = {}
    for label, value in selector.items():
        if "$target" in value and arm.target is None:
            raise ArmError(f"{name}.target", f"is needed: the label {label} has it")
        filled[label] = value.replace("$target", arm.target or "").replace("$version", arm.version)
    return filled


class Kubernetes:
    """Reads first: what is so already is done, and what somebody else has changed is left alone. Every change names
    the version of the object that it was made for, so that it undoes nobody's work.
    """

    config_model: ClassVar[type[ActionConfig]] = KubernetesConfig

    def __init__(self, config: KubernetesConfig, context: ActionContext) -> None:
        self._config = config
        self._cluster = Cluster(config.kubeconfig, config.context)

    async def execute(self, order: ActionRequest) -> ActionResult:
        async def move(found: Move) -> ActionResult:
            await self._cluster.patch(found.patch)
            return ActionResult(Ending.DONE, f"did {found.says}")

        return await self._asking(order, move)

    async def describe(self, order: ActionRequest) -> str:
        async def tell(found: Move) -> ActionResult:
            return ActionResult(Ending.DONE, f"would {found.says}")

        return (await self._asking(order, tell)).detail

    async def close(self) -> None:
        await self._cluster.close()

    async def _asking(self, order: ActionRequest, then: Callable[[Move], Any]) -> ActionResult:
        """Whatever the cluster says no with, as an outcome."""
        try:
            found = await self._look(order)
            outcome: ActionResult = found if isinstance(found, ActionResult) else await then(found)
        except ApiRefusal as refusal:
            if refusal.status in _CHANGED_MEANWHILE:
                return ActionResult(Ending.RETRY, f"it was changed meanwhile ({refusal})")
            return ActionResult(Ending.REFUSED if refusal.status == 404 else Ending.RETRY, str(refusal))
        except (aiohttp.ClientError, OSError) as error:
            return ActionResult(Ending.RETRY, f"the Kubernetes API was not reached: {describe(error)}")
        return ActionResult(outcome.ending, f"{self._name}: {outcome.detail}")

    async def _look(self, order: ActionRequest) -> ActionResult | Move:
        if self._config.service is not None:
            return await self._look_at_service(order.arms)
        baseline = order.arms.baseline
        label, candidate = self._config.version_label, order.arms.candidate.version
        versions = Versions(label, candidate, baseline.version if baseline else None)
        if self._config.deployment is not None:
            path = self._path("apis/apps/v1", "deployments", self._config.deployment)
            return await self._undo(await self._cluster.get(path), path, _DEPLOYMENT_REVISION, versions, order.key)
        path = self._path("apis/argoproj.io/v1alpha1", "rollouts", self._config.rollout or "")
        rollout = await self._cluster.get(path)
        found = abort(rollout, path, versions)
        if found is None:
            return await self._undo(rollout, path, _ROLLOUT_REVISION, versions, order.key)
        return found

    async def _look_at_service(self, arms: Arms) -> ActionResult | Move:
        wanted = labels_of(self._config.selector, arms.baseline, "baseline")
        candidates = labels_of(self._config.selector, arms.candidate, "candidate")
        path = self._path("api/v1", "services", self._config.service or "")
        service = await self._cluster.get(path)
        found = point_back(service, path, wanted, candidates)
        if isinstance(found, ActionResult):
            return found
        selects = {**service["spec"].get("selector", {}), **wanted}
        pods = await self._cluster.list(self._path("api/v1", "pods"), selects)
        if not ready(pods):
            shown = ", ".join(f"{name}={value}" for name, value in sorted(wanted.items()))
            return ActionResult(Ending.NO_BASELINE, f"no pod with {shown} is ready")
        return found

    async def _undo(self, owner: Object, path: str, revision: str, versions: Versions, key: str) -> ActionResult | Move:
        labels = owner["spec"].get("selector", {}).get("matchLabels", {})
        replica_sets = await self._cluster.list(self._path("apis/apps/v1", "replicasets"), labels)
        return undo(owner, path, replica_sets, revision, versions, key)

    def _path(self, group: str, plural: str, name: str = "") -> str:
        return f"/{group}/namespaces/{self._config.namespace}/{plural}{f'/{name}' if name else ''}"

    @property
    def _name(self) -> str:
        config = self._config
        kind = "Service" if config.service else "Deployment" if config.deployment else "Rollout"
        return f"{kind} {config.namespace}/{config.service or config.deployment or config.rollout}"
