"""Options of the check `kubernetes`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from healthd.checks.contract import CheckConfig
from healthd.kubernetes.names import ObjectName
from healthd.units import Duration
from healthd.wording import shape

KINDS = {
    "deployment": ("Deployment", "apis/apps/v1", "deployments"),
    "statefulset": ("StatefulSet", "apis/apps/v1", "statefulsets"),
    "daemonset": ("DaemonSet", "apis/apps/v1", "daemonsets"),
    "cronjob": ("CronJob", "apis/batch/v1", "cronjobs"),
    "node": ("Node", "api/v1", "nodes"),
}
"""Kinds of objects by their option, and where the API has them."""
_LabelName = Annotated[
    str,
    StringConstraints(
        pattern=shape(
            r"^([a-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$",
            "a label's name as Kubernetes has it, such as topology.kubernetes.io/zone",
        )
    ),
]


class KubernetesConfig(CheckConfig):
    kind: Literal["kubernetes"] = "kubernetes"
    interval: Duration = 30.0
    """Time between probes, plus or minus a tenth."""
    timeout: Duration = 5.0
    """Hard deadline of a probe."""
    namespace: ObjectName = "default"
    """Namespace of the object; a node is in none."""
    deployment: ObjectName | None = None
    """Deployment whose pods must be available, and whose rollout must not be stuck."""
    statefulset: ObjectName | None = None
    """StatefulSet whose pods must be available."""
    daemonset: ObjectName | None = None
    """DaemonSet whose pods must be available on every node that it is meant for."""
    cronjob: ObjectName | None = None
    """CronJob whose last success must not be older than `max_age`."""
    node: ObjectName | None = None
    """Node that must be ready."""
    nodes: dict[_LabelName, str] | None = None
    """Labels of the nodes that must be ready; `{}` for all."""
    at_least: int | None = Field(None, ge=0)
    """Least number of available pods, or ready nodes: with fewer the check is unhealthy, from there on degraded until
    none is missing. By default what the Deployment's own strategy asks for, else 1."""
    max_age: Duration | None = None
    """Age of the last success from which a CronJob is unhealthy; required with `cronjob`."""
    kubeconfig: Path | None = None
    """Kubeconfig; without it that of the pod, or of the user."""
    context: str | None = None
    """Context of the kubeconfig, if not the current one."""

    @model_validator(mode="after")
    def _one_object(self) -> Self:
        given = [key for key in (*KINDS, "nodes") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of {', '.join(KINDS)} and nodes")
        if (self.cronjob is None) != (self.max_age is None):
            raise ValueError("cronjob and max_age go together: how old its last success may be")
        if self.at_least is not None and (self.cronjob or self.node):
            raise ValueError(f"at_least is no option of a {given[0]}")
        return self

    @property
    def object_name(self) -> str:
        """Kind and name of the object, for people."""
        if self.nodes is not None:
            return "nodes"
        key, name = self._named
        return f"{KINDS[key][0]} {name if key == 'node' else f'{self.namespace}/{name}'}"

    @property
    def path(self) -> str:
        """Path of the object, or of the list of nodes."""
        if self.nodes is not None:
            return "/api/v1/nodes"
        key, name = self._named
        _, group, plural = KINDS[key]
        return f"/{group}/{'' if key == 'node' else f'namespaces/{self.namespace}/'}{plural}/{name}"

    @property
    def _named(self) -> tuple[str, str]:
        return next((key, name) for key in KINDS if (name := getattr(self, key)) is not None)
