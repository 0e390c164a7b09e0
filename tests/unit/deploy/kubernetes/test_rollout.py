"""How far a rollout is, by what a Deployment and its pods say; and what a deploy's configuration may hold."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from healthd.config.file import load
from healthd_deploy.core.exit import StepFailed
from healthd_deploy.kubernetes.kubectl import pointer
from healthd_deploy.kubernetes.rollout import missing, troubles
from healthd_deploy.kubernetes.settings import Application, KubernetesConfig, Wanted

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


def test_the_cluster_says_what_keeps_pods() -> None:
    """Each reason once; what runs says nothing, nor does an init container that is done."""
    crash = {"ready": False, "state": {"terminated": {"reason": "Error", "exitCode": 3}}}
    image = {"ready": False, "state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}
    fine = {"ready": True, "state": {"running": {}}}
    done = {"ready": False, "state": {"terminated": {"reason": "Completed", "exitCode": 0}}}
    pods: list[dict[str, Any]] = [{"status": {"containerStatuses": [each, fine]}} for each in (crash, image, image)]
    pods.append({"status": {"initContainerStatuses": [done]}})
    assert troubles(deployment({}), [*pods, {}]) == "ErrImagePull (not found), Error (exit code 3)"


def test_pods_that_are_not_there_cannot_complain() -> None:
    """The Deployment says why none can be made, and the scheduler why one has no place."""
    quota = "pods is forbidden: exceeded quota"
    failed = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": quota}
    stuck = deployment({**DONE, "updatedReplicas": 0, "conditions": [failed]})
    assert missing(stuck) == f"0 of 3 pods are new (FailedCreate: {quota})"
    assert troubles(stuck, []) == f"FailedCreate: {quota}"
    homeless = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    assert troubles(deployment({}), [{"status": {"conditions": [homeless]}}]) == "Unschedulable (0/3 nodes)"


def test_a_label_becomes_a_pointer() -> None:
    """With RFC 6901's escapes."""
    assert pointer("labels", "app.kubernetes.io/a~b", 0) == "/labels/app.kubernetes.io~1a~0b/0"


def test_the_example_is_valid() -> None:
    """Its application is that of the example manifests."""
    config = load(EXAMPLE, KubernetesConfig, {"HEALTHD_TOKEN": "token"})
    assert config.application.deployments == {"blue": "api-blue", "green": "api-green"}


def application(**change: Any) -> dict[str, Any]:
    good = {"namespace": "shop", "service": "api", "deployments": {"a": "x", "b": "y"}, "container": "api"}
    return {**good, "image": "shop/api:$version", **change}


@pytest.mark.parametrize(
    "change",
    [
        {"image": "shop/api:latest"},
        {"image": "$version"},
        {"image": "shop/api@$version"},
        {"image": "shop/api:$digest"},
        {"deployments": {"blue": "a"}},
        {"namespace": "../x"},
    ],
)
def test_a_bad_application_is_refused(change: dict[str, Any]) -> None:
    """An image without the version, or with a digest for one; a target too few, a name that is none."""
    with pytest.raises(ValidationError):
        Application.model_validate(application(**change))


DIGEST = f"sha256:{'0f' * 32}"


@pytest.mark.parametrize(
    ("image", "version", "says"),
    [
        ("r:5000/api:$version", "1.4.2", None),
        ("api:$version@$digest", f"1.4.2@{DIGEST}", None),
        ("r:5000/api@$digest", f"1.4.2@{DIGEST}", None),
        ("api:$version", "1.4.2+build.7", "app.kubernetes.io/version: .* and '-': 1.4.2_build.7, say"),
        ("api:$version", DIGEST, rf"cannot be the label .*: deploy VERSION@{DIGEST}, with @\$digest"),
        ("api:$version", "v" * 64, "at most 63"),
        ("api:$version", "-1", "cannot be the label"),
        ("api:$version", f"1.4.2@{DIGEST}", r"application.image has no \$digest"),
        ("api:$version@$digest", "1.4.2", r"application.image has \$digest: deploy 1.4.2@sha256"),
        ("api:$version@$digest", "1.4.2@latest", "latest is no digest"),
    ],
)
def test_a_version_that_could_not_be_deployed_is_refused_before_anything_begins(
    image: str, version: str, says: str | None
) -> None:
    """Not after the lock and the preflight, by the API server; and the gates hear a version that series can bear."""
    config = KubernetesConfig.model_validate({"service": "api", "application": application(image=image)})
    problem = config.problem_with(version)
    assert (problem is None) if says is None else re.search(says, problem or ""), problem


def test_a_version_and_its_digest_make_an_image() -> None:
    """Both, or the digest alone."""
    wanted = Wanted.parse(f"1.4.2@{DIGEST}")
    assert wanted.image("r:5000/api:$version@$digest") == f"r:5000/api:1.4.2@{DIGEST}"
    assert Wanted.parse("1.4.2").image("api:$version") == "api:1.4.2"
