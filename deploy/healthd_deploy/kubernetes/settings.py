"""What a deploy in Kubernetes needs to know."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, Field, StringConstraints

from healthd.config.settings import Model, Name
from healthd.units import Duration, Span
from healthd.wording import shape
from healthd_deploy.core.settings import DeployConfig

ObjectName = Annotated[
    str,
    StringConstraints(
        pattern=shape(
            r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$",
            "a name as Kubernetes has it: small letters, digits, dashes and dots",
        )
    ),
]
Label = Annotated[
    str,
    StringConstraints(
        pattern=shape(
            r"^([a-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$",
            "a label's name as Kubernetes has it, such as app.kubernetes.io/version",
        )
    ),
]
_IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._/-]*(:[0-9]+/[A-Za-z0-9._/-]+)?(:\$version)?(@\$digest)?")
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_DIGEST = re.compile(r"[a-z0-9]+:[a-fA-F0-9]{32,}")


def _image(image: str) -> str:
    if image.endswith("@$version"):
        raise ValueError("a digest cannot be the label of a version: end it in @$digest, and deploy VERSION@DIGEST")
    if "$" not in image or not _IMAGE.fullmatch(image):
        raise ValueError("end it in :$version, in @$digest, or in :$version@$digest")
    return image


Image = Annotated[str, AfterValidator(_image)]


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
    """The image, with $version, or $digest of VERSION@DIGEST: registry.example.com/shop/api:$version@$digest."""
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
    retry_for: Span = 60.0
    """For how long a call is tried again while the cluster does not answer. Rollouts are looked at for ready_within."""


class KubernetesConfig(DeployConfig):
    """`healthd-deploy kubernetes`"""

    application: Application
    """What is deployed."""
    kubectl: Kubectl = Kubectl()
    """How the cluster is reached."""
    retire_after: Span | None = None
    """How long after the pass the target that lost the traffic is scaled down; without it, it goes on running."""

    def problem_with(self, version: str) -> str | None:
        """The version becomes a label, and the digest a part of the image."""
        wanted = Wanted.parse(version)
        if not _LABEL_VALUE.fullmatch(wanted.version):
            instead = f": {wanted.version.replace('+', '_')}, say" if "+" in wanted.version else ""
            if _DIGEST.fullmatch(wanted.version):
                instead = f": deploy VERSION@{wanted.version}, with @$digest in application.image"
            label = self.application.version_label
            return (
                f"{wanted.version} cannot be the label {label}: at most 63 letters, digits, '.', '_' and '-'{instead}"
            )
        if wanted.digest is not None and not _DIGEST.fullmatch(wanted.digest):
            return f"{wanted.digest} is no digest, such as sha256:0123…"
        if wanted.digest is None and "$digest" in self.application.image:
            return f"application.image has $digest: deploy {version}@sha256:…"
        if wanted.digest is not None and "$digest" not in self.application.image:
            return "application.image has no $digest: end it in @$digest, or give the version alone"
        return None


class Wanted(NamedTuple):
    """What is to be deployed: `VERSION` or `VERSION@DIGEST`. The gates know it by its version."""

    version: str
    digest: str | None

    @classmethod
    def parse(cls, text: str) -> Wanted:
        version, _, digest = text.partition("@")
        return cls(version, digest or None)

    def image(self, pattern: str) -> str:
        """The pattern filled in."""
        return pattern.replace("$version", self.version).replace("$digest", self.digest or "")
