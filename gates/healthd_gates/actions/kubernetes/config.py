"""The options of an action of the kind `kubernetes`."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from healthd.config.model import Name
from healthd.kubernetes.failures import CredentialsError
from healthd.kubernetes.kubeconfig import find
from healthd.kubernetes.names import ObjectName
from healthd.wording import shape
from healthd_gates.actions.contract import ActionConfig
from healthd_gates.actions.targets import places
from healthd_gates.sources.contract import Arm, ArmError, Arms

_LABEL = r"^([a-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"

_OTHERS = {"replicaset", "cronjob", "job", "pod"}
_OBJECTS = {
    "service": "Service",
    "deployment": "Deployment",
    "statefulset": "StatefulSet",
    "daemonset": "DaemonSet",
    "rollout": "Rollout",
    "route": "HTTPRoute",
    "ingress": "Ingress",
}


class KubernetesConfig(ActionConfig):
    """Rolls back in a Kubernetes cluster. Uses the service account in a pod, and the kubeconfig elsewhere."""

    kind: Literal["kubernetes"] = "kubernetes"
    namespace: ObjectName = "default"
    """The namespace of the object."""
    service: ObjectName | None = None
    """A Service whose selector goes back to the baseline's labels."""
    selector: dict[
        Annotated[
            str,
            StringConstraints(
                pattern=shape(_LABEL, "a label's name as Kubernetes has it, such as app.kubernetes.io/version")
            ),
        ],
        str,
    ] = Field(default_factory=dict)
    """The labels by which the Service selects a version, with $version and $target for those of an arm."""
    deployment: ObjectName | None = None
    """A Deployment that goes back to its revision before the candidate."""
    statefulset: ObjectName | None = None
    """A StatefulSet that goes back to its revision before the candidate."""
    daemonset: ObjectName | None = None
    """A DaemonSet that goes back to its revision before the candidate."""
    rollout: ObjectName | None = None
    """An Argo Rollout that is aborted, or undone and promoted in full where the candidate is promoted already."""
    route: ObjectName | None = None
    """An HTTPRoute of the Gateway API that divides the requests between the Services of `backends`."""
    ingress: ObjectName | None = None
    """A canary Ingress of ingress-nginx, which leads to one of the Services of `backends`."""
    backends: dict[Name, ObjectName] = Field(default_factory=dict)
    """The Service of each target, for `route` and `ingress`."""
    version_label: Annotated[
        str,
        StringConstraints(
            pattern=shape(_LABEL, "a label's name as Kubernetes has it, such as app.kubernetes.io/version")
        ),
    ] = "app.kubernetes.io/version"
    """The label of the pods with the version; without it the tag or digest of an image is the version."""
    container: ObjectName | None = None
    """The container whose image has the version; without it, the only one whose image is the candidate's version."""
    kubeconfig: Path | None = None
    """A kubeconfig; without it that of the pod, or of the user."""
    context: str | None = None
    """A context of the kubeconfig, if not the current one."""

    @model_validator(mode="before")
    @classmethod
    def _a_kind_that_goes_back(cls, raw: Any) -> Any:
        strange = sorted(_OTHERS & raw.keys()) if isinstance(raw, dict) else []
        if strange:
            raise ValueError(
                f"a {strange[0]} cannot be changed by this kind, a {', '.join([*_OBJECTS][:-1])} or {[*_OBJECTS][-1]} "
                "can: an action of the kind command can run kubectl"
            )
        return raw

    @model_validator(mode="after")
    def _one_object(self) -> Self:
        if sum(getattr(self, key) is not None for key in _OBJECTS) != 1:
            raise ValueError(f"give one of {', '.join([*_OBJECTS][:-1])} and {[*_OBJECTS][-1]}")
        if (self.service is None) == bool(self.selector):
            raise ValueError("selector belongs to service: the labels by which it tells versions apart")
        if self.selector and not any("$" in value for value in self.selector.values()):
            raise ValueError("selector needs $version or $target, or it would be the same for every version")
        if self.sets_weight != bool(self.backends):
            raise ValueError("backends belongs to route and ingress: the Service of each target")
        if self.backends and len(set(self.backends.values())) != 2:
            raise ValueError("backends has the Services of two targets, such as {blue: api-blue, green: api-green}")
        return self

    @property
    def sets_weight(self) -> bool:
        """True for an object that divides the requests between two Services."""
        return self.route is not None or self.ingress is not None

    @property
    def moves_traffic(self) -> bool:
        """True for an object that has no pods of its own, and says which get the requests."""
        return self.sets_weight or self.service is not None

    @property
    def named_targets(self) -> Collection[str]:
        return self.backends

    def check(self, arms: Arms) -> None:
        if self.sets_weight:
            places(self.backends, arms)
        if self.service is not None:
            labels_of(self.selector, arms.candidate, "candidate")
            labels_of(self.selector, arms.baseline, "baseline")
        if problem := self.problem_here(os.environ):
            raise ArmError("service", f"{problem}; until then only a gate with rollback off can start")

    def problem_here(self, environ: Mapping[str, str]) -> str | None:
        """Check files only; a test of the action checks access to the cluster."""
        try:
            find(self.kubeconfig, self.context, environ)
        except CredentialsError as error:
            return str(error)
        return None

    @property
    def object_name(self) -> str:
        """The object's kind and name, for people."""
        key, name = self.named
        return f"{_OBJECTS[key]} {self.namespace}/{name}"

    @property
    def named(self) -> tuple[str, str]:
        """The key of an object that is given, and its value."""
        return next((key, name) for key in _OBJECTS if (name := getattr(self, key)) is not None)


def labels_of(selector: dict[str, str], arm: Arm | None, name: str) -> dict[str, str]:
    """Return the labels of one arm. Raises ArmError."""
    if arm is None:
        raise ArmError(name, "is needed: its labels are what the Service selects after a rollback")
    filled = {}
    for label, value in selector.items():
        if "$target" in value and arm.target is None:
            raise ArmError(f"{name}.target", f"is needed: the label {label} has it")
        filled[label] = value.replace("$target", arm.target or "").replace("$version", arm.version)
    return filled
