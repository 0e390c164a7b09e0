"""The ecs check against moto, and services in the states that ECS documents and moto does not have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from healthd.checks.ecs import judge
from healthd.checks.ecs_options import ECSConfig
from healthd.model import FailureKind, Status
from tests.integration.healthd.checks.aws_asking import REGION, client, looked
from tests.servers import aws as front
from tests.servers import moto
from tests.servers.aws import Failure


@pytest.fixture(scope="module")
def aws() -> Iterator[moto.Moto]:
    """Services of which two tasks run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTO_ECS_SERVICE_RUNNING", "2")
        with moto.running() as server:
            yield server


async def put(aws: moto.Moto, service: str, wanted: int) -> None:
    async with client(aws, "ecs") as ecs:
        await ecs.create_cluster(clusterName="shop")
        await ecs.register_task_definition(
            family="api", containerDefinitions=[{"name": "api", "image": "shop/api:1", "memory": 128}]
        )
        await ecs.create_service(cluster="shop", serviceName=service, taskDefinition="api", desiredCount=wanted)


async def test_a_service(aws: moto.Moto) -> None:
    """As many tasks as it wants."""
    await put(aws, "api", 2)
    result = await looked("ecs", aws.url, cluster="shop", service="api")
    assert (result.status, result.message) == (Status.HEALTHY, "2 of 2 tasks run")
    assert {each.name: each.value for each in result.measures} == {"wanted": 2, "running": 2}
    assert result.observed["rollout"] == "COMPLETED"


async def test_too_few_tasks(aws: moto.Moto) -> None:
    """Which are those that nobody could do without is the configuration's to say."""
    await put(aws, "few", 3)
    result = await looked("ecs", aws.url, cluster="shop", service="few")
    assert (result.status, result.message) == (Status.DEGRADED, "2 of 3 tasks run")
    result = await looked("ecs", aws.url, cluster="shop", service="few", at_least=3)
    assert (result.status, result.message) == (Status.UNHEALTHY, "2 of 3 tasks run, at least 3 should")


async def test_what_is_not_there(aws: moto.Moto) -> None:
    await put(aws, "other", 2)
    result = await looked("ecs", aws.url, cluster="shop", service="gone")
    assert (result.status, result.message) == (Status.UNHEALTHY, "there is no service gone in cluster shop")
    result = await looked("ecs", aws.url, cluster="nowhere", service="api")
    assert (result.status, result.message) == (Status.UNHEALTHY, "there is no cluster nowhere")


async def test_a_right_that_is_missing(aws: moto.Moto) -> None:
    async with front.front(aws) as facade:
        facade.fail("ecs:DescribeServices", Failure(400, "AccessDeniedException"))
        result = await looked("ecs", facade.url, cluster="shop", service="api")
    assert (result.status, result.kind) == (Status.DEGRADED, FailureKind.PERMISSION)
    assert result.message == "the credentials may not call ecs:DescribeServices (AccessDeniedException)"


def service(wanted: int, running: int, rollout: str | None, **more: Any) -> dict[str, Any]:
    """A service as DescribeServices describes it, with a deployment that is on its way out."""
    newest = {"status": "PRIMARY", "rolloutState": rollout, "failedTasks": more.pop("failed", 0)}
    newest["rolloutStateReason"] = "ECS deployment circuit breaker: tasks failed to start."
    old = {"status": "ACTIVE", "rolloutState": "COMPLETED", "failedTasks": 9}
    return {
        "status": "ACTIVE", "desiredCount": wanted, "runningCount": running, "pendingCount": 0,
        "deployments": [old, newest] if rollout else [], **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("found", "at_least", "status", "message"),
    [
        (service(4, 4, "COMPLETED"), 1, Status.HEALTHY, "4 of 4 tasks run"),
        (service(4, 6, "IN_PROGRESS"), 1, Status.HEALTHY, "6 of 4 tasks run"),
        (
            service(4, 2, "IN_PROGRESS", deploymentConfiguration={"minimumHealthyPercent": 50}),
            1,
            Status.HEALTHY,
            "2 of 4 tasks run",
        ),
        (
            service(5, 2, "IN_PROGRESS", deploymentConfiguration={"minimumHealthyPercent": 50}),
            1,
            Status.DEGRADED,
            "2 of 5 tasks run",
        ),
        (
            service(4, 4, "FAILED"),
            1,
            Status.DEGRADED,
            "its deployment failed: ECS deployment circuit breaker: tasks failed to start.",
        ),
        (
            service(4, 4, "IN_PROGRESS", failed=3),
            1,
            Status.DEGRADED,
            "3 tasks of its deployment in a row did not start",
        ),
        (service(4, 3, None), 1, Status.DEGRADED, "3 of 4 tasks run"),
        (service(0, 0, "COMPLETED"), 1, Status.UNHEALTHY, "0 of 0 tasks run, at least 1 should"),
        (service(0, 0, "COMPLETED"), 0, Status.HEALTHY, "0 of 0 tasks run"),
        (service(4, 4, "COMPLETED", status="DRAINING"), 1, Status.UNHEALTHY, "the service is draining"),
        (service(0, 0, "COMPLETED", status="INACTIVE"), 0, Status.UNHEALTHY, "the service is inactive"),
    ],
)
def test_states(found: dict[str, Any], at_least: int, status: Status, message: str) -> None:
    """Green is what a deployment may leave running meanwhile, and one that does not fail."""
    result = judge(found, at_least)
    assert (result.status, result.message) == (status, message)


def test_bad_options() -> None:
    with pytest.raises(ValueError, match="should match pattern"):
        ECSConfig.model_validate({"region": REGION, "service": "arn:aws:ecs:eu-west-1:1:service/shop/api"})
