"""The options of an action of the kind `kubernetes`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from healthd.wording import shape
from healthd_gates.actions.contract import ActionConfig
from healthd_gates.actions.kubernetes.failures import CredentialsError
from healthd_gates.actions.kubernetes.kubeconfig import find
from healthd_gates.sources.contract import Arm, ArmError, Arms

ObjectName = Annotated[
    str,
    StringConstraints(
        pattern=shape(
            r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$",
            "a name as Kubernetes has it: small letters, digits, dashes and dots",
        )
    ),
]
_LABEL = r"^([a-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"

_OTHERS = {"statefulset", "daemonset", "replicaset", "cronjob", "job", "pod", "ingress"}


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
    rollout: ObjectName | None = None
    """An Argo Rollout that is aborted, or undone and promoted in full where the candidate is promoted already."""
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
                f"a {strange[0]} cannot be rolled back by this kind, only a service, a deployment or a rollout: "
                "an action of the kind command can run `kubectl rollout undo`"
            )
        return raw

    @model_validator(mode="after")
    def _one_object(self) -> Self:
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
        kind = "Service" if self.service else "Deployment" if self.deployment else "Rollout"
        return f"{kind} {self.namespace}/{self.service or self.deployment or self.rollout}"


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
