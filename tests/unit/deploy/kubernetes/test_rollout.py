"""How far a rollout is, by what a Deployment and its pods say; and what a deploy's configuration may hold."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from healthd.config.file import load
from healthd_deploy.core.exit import StepFailed
from healthd_deploy.kubernetes.kubectl import pointer
from healthd_deploy.kubernetes.rollout import missing, troubles
from healthd_deploy.kubernetes.settings import Application, KubernetesConfig

EXAMPLE = Path(__file__).parents[4] / "deploy" / "kubernetes" / "blue-green.yaml"
DONE = {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}


def deployment(status: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "api", "generation": 2}, "spec": {"replicas": 3, **spec}, "status": status}


@pytest.mark.parametrize(
    ("status", "waits_for"),
    [
        (DONE, None),
        ({}, "the cluster has not seen the change yet"),
        ({**DONE, "observedGeneration": 1}, "the cluster has not seen the change yet"),
        ({**DONE, "updatedReplicas": 1}, "1 of 3 pods are new"),
        ({**DONE, "replicas": 4}, "1 old pods are still there"),
        ({**DONE, "availableReplicas": 2}, "2 of 3 pods are available"),
    ],
)
def test_what_a_rollout_waits_for(status: dict[str, Any], waits_for: str | None) -> None:
    """Nothing once every pod is new and available, and no old one is left."""
    assert missing(deployment(status)) == waits_for


def test_a_rollout_that_will_not_end() -> None:
    """Paused, or past its deadline as the cluster says of this very change."""
    with pytest.raises(StepFailed, match="is paused"):
        missing(deployment(DONE, paused=True))
    stuck = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
    with pytest.raises(StepFailed, match="does not progress: timed out"):
        missing(deployment({**DONE, "availableReplicas": 0, "conditions": [stuck]}))
    assert missing(deployment({**DONE, "observedGeneration": 1, "conditions": [stuck]}))


def test_pods_say_what_keeps_them() -> None:
    """Each reason once; what runs says nothing."""
    crash = {"ready": False, "state": {"terminated": {"reason": "Error", "exitCode": 3}}}
    image = {"ready": False, "state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}
    fine = {"ready": True, "state": {"running": {}}}
    pods = [{"status": {"containerStatuses": [each, fine]}} for each in (crash, image, image)]
    assert troubles([*pods, {}]) == "ErrImagePull (not found), Error (exit code 3)"


def test_a_label_becomes_a_pointer() -> None:
    """With RFC 6901's escapes."""
    assert pointer("labels", "app.kubernetes.io/a~b", 0) == "/labels/app.kubernetes.io~1a~0b/0"


def test_the_example_is_valid() -> None:
    """Its application is that of the example manifests."""
    config = load(EXAMPLE, KubernetesConfig, {"HEALTHD_TOKEN": "token"})
    assert config.application.deployments == {"blue": "api-blue", "green": "api-green"}


@pytest.mark.parametrize(
    "change",
    [{"image": "shop/api:latest"}, {"image": "$version"}, {"deployments": {"blue": "a"}}, {"namespace": "../x"}],
)
def test_a_bad_application_is_refused(change: dict[str, Any]) -> None:
    """An image without the version, a target too few, a name that is none."""
    good = {"namespace": "shop", "service": "api", "deployments": {"a": "x", "b": "y"}, "container": "api"}
    with pytest.raises(ValidationError):
        Application.model_validate({**good, "image": "shop/api:$version", **change})
