"""What a deploy in Kubernetes needs to know."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from healthd.config.settings import Model, Name
from healthd.units import Duration, Span
from healthd_deploy.core.settings import DeployConfig

ObjectName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
Label = Annotated[str, StringConstraints(pattern=r"^([a-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$")]
Image = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][A-Za-z0-9._/:-]*[:@]\$version$")]


class Application(Model):
    """One Service in front of two Deployments."""

    namespace: ObjectName
    """Where they are."""
    service: ObjectName
    """The Service whose selector is switched."""
    label: Label = "color"
    """The label of the selector that holds the target's name."""
    deployments: dict[Name, ObjectName] = Field(min_length=2, max_length=2)
    """The Deployment of each target; targets are named as in healthd's configuration."""
    container: ObjectName
    """The container of their pods that gets the new image."""
    image: Image
    """The image, with $version: registry.example.com/shop/api:$version."""
    version_label: Label = "app.kubernetes.io/version"
    """The label of the pods that gets the version."""
    ready_within: Duration = 600.0
    """How long the pods of a new version may take until they are available."""


class Kubectl(Model):
    """The program that talks to the cluster, and as whom."""

    program: str = "kubectl"
    """Its name or path."""
    kubeconfig: Path | None = None
    """A kubeconfig; without one, as kubectl finds it."""
    context: str | None = None
    """A context of it. Name it: the current one is whichever somebody used last."""
    timeout: Duration = 30.0
    """How long one call may take."""


class KubernetesConfig(DeployConfig):
    """`healthd-deploy kubernetes`"""

    application: Application
    """What is deployed."""
    kubectl: Kubectl = Kubectl()
    """How the cluster is reached."""
    retire_after: Span | None = None
    """How long after the pass the target that lost the traffic is scaled down; without it, it goes on running."""
