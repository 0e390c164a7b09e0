"""Settings of a deploy in Kubernetes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, NamedTuple, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from healthd.config.model import Model, Name
from healthd.units import Duration, Span
from healthd.wording import shape
from healthd_deploy.core.settings import BlueGreenOptions

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
    """Two Deployments, and the object that divides the traffic between them: one of service, route and ingress."""

    namespace: ObjectName
    """Namespace of all of them."""
    service: ObjectName | None = None
    """Service whose selector is switched, all of the traffic at once."""
    route: ObjectName | None = None
    """HTTPRoute of the Gateway API whose weights are set."""
    ingress: ObjectName | None = None
    """Canary Ingress of ingress-nginx whose weight is set."""
    backends: dict[Name, ObjectName] = Field(default_factory=dict)
    """Service of each target, for `route` and `ingress`."""
    label: Label = "color"
    """Label of the selector that holds the target's name."""
    deployments: dict[Name, ObjectName] = Field(min_length=2, max_length=2)
    """Deployment of each target; targets are named as in healthd's configuration."""
    container: ObjectName
    """Container of their pods that gets the new image."""
    image: Image
    """Image, with $version, or $digest of VERSION@DIGEST: registry.example.com/shop/api:$version@$digest."""
    version_label: Label = "app.kubernetes.io/version"
    """Label of the pods that gets the version."""
    ready_within: Duration = 600.0
    """Timeout for the pods of a new version to become available."""

    @model_validator(mode="after")
    def _has_one_switch(self) -> Self:
        if sum(named is not None for named in (self.service, self.route, self.ingress)) != 1:
            raise ValueError("give one of service, route and ingress: what moves the traffic")
        if self.service is not None and self.backends:
            raise ValueError("backends belongs to route and ingress: the Service of each target")
        if self.service is None and self.backends.keys() != self.deployments.keys():
            named = ", ".join(self.backends) or "nothing"
            raise ValueError(f"backends needs the Service of each of {', '.join(self.deployments)}, and names {named}")
        if len(set(self.backends.values())) < len(self.backends):
            raise ValueError("backends: both targets have the same Service; each needs one of its own")
        return self

    @property
    def divides(self) -> bool:
        """True if a part of the traffic can be given to a target."""
        return self.service is None


class Kubectl(Model):
    """Program for the calls to the cluster, and its credentials."""

    program: str = "kubectl"
    """Name or path of the program."""
    kubeconfig: Path | None = None
    """Kubeconfig file; by default, kubectl's own."""
    context: str | None = None
    """Context of the kubeconfig. Set it: the current one is whichever was used last."""
    timeout: Duration = 30.0
    """Timeout of one call."""
    retry_for: Span = 60.0
    """Time for retries of a call while the cluster does not answer. Rollouts are polled for `ready_within`."""


NO_PART = (
    "application.service is switched as a whole: for a ramp name `route`, an HTTPRoute, or `ingress`, a canary of "
    "ingress-nginx, in its place, with the Service of each target as `backends`"
)


class KubernetesConfig(BlueGreenOptions):
    """Options of `healthd-deploy kubernetes`"""

    application: Application
    """Application to deploy."""
    kubectl: Kubectl = Kubectl()
    """Access to the cluster."""
    retire_after: Span | None = None
    """Time from the pass until the target that lost the traffic is scaled down; without it, it keeps running."""

    @model_validator(mode="after")
    def _can_ramp(self) -> Self:
        if self.strategy == "ramp" and not self.application.divides:
            raise ValueError(f"strategy: {NO_PART}")
        return self

    def problem_with(self, version: str) -> str | None:
        """Return why the version cannot be a label, or the digest does not fit the image; None if both fit."""
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
    """Version to deploy: `VERSION` or `VERSION@DIGEST`. The gates get only the version."""

    version: str
    digest: str | None

    @classmethod
    def parse(cls, text: str) -> Wanted:
        version, _, digest = text.partition("@")
        return cls(version, digest or None)

    def image(self, pattern: str) -> str:
        """Return the pattern with its variables replaced."""
        return pattern.replace("$version", self.version).replace("$digest", self.digest or "")
