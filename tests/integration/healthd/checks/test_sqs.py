"""The sqs check against moto, and refusals in front of it. The age of the oldest message is put into CloudWatch as SQS
does: moto's SQS does not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from healthd.checks.sqs_options import SQSConfig
from healthd.model import FailureKind, Status
from tests.integration.healthd.checks.aws_asking import REGION, checked, client, looked
from tests.servers import aws as front
from tests.servers import moto
from tests.servers.aws import Failure


async def put(aws: moto.Moto, queue: str, messages: int = 0, dead: int = 0) -> None:
    """A queue with a dead-letter queue, and messages in both."""
    async with client(aws, "sqs") as sqs:
        other = (await sqs.create_queue(QueueName=f"{queue}-dead"))["QueueUrl"]
        told = await sqs.get_queue_attributes(QueueUrl=other, AttributeNames=["QueueArn"])
        policy = json.dumps({"deadLetterTargetArn": told["Attributes"]["QueueArn"], "maxReceiveCount": "3"})
        url = (await sqs.create_queue(QueueName=queue, Attributes={"RedrivePolicy": policy}))["QueueUrl"]
        for place, count in ((url, messages), (other, dead)):
            for number in range(count):
                await sqs.send_message(QueueUrl=place, MessageBody=str(number))


async def tell_age(aws: moto.Moto, queue: str, seconds: float, ago: float = 60.0) -> None:
    async with client(aws, "cloudwatch") as cloudwatch:
        datum = {
            "MetricName": "ApproximateAgeOfOldestMessage",
            "Dimensions": [{"Name": "QueueName", "Value": queue}],
            "Timestamp": datetime.now(UTC) - timedelta(seconds=ago),
            "Value": seconds,
            "Unit": "Seconds",
        }
        await cloudwatch.put_metric_data(Namespace="AWS/SQS", MetricData=[datum])


async def test_an_empty_queue(aws: moto.Moto) -> None:
    """Is healthy, and nothing in it waits."""
    await put(aws, "empty")
    result = await looked("sqs", aws.url, queue="empty")
    assert (result.status, result.message) == (Status.HEALTHY, "0 waiting, 0 in flight")
    assert result.observed == {"waiting": 0, "inFlight": 0, "delayed": 0, "oldestSeconds": 0.0, "deadLetters": 0}
    assert result.latency is not None


@pytest.mark.parametrize(
    ("queue", "age", "status", "message"),
    [
        ("young", 10.0, Status.HEALTHY, "2 waiting, 0 in flight"),
        ("older", 400.0, Status.DEGRADED, "a message has waited for 6m40s, more than 5m"),
        ("stuck", 7200.0, Status.UNHEALTHY, "a message has waited for 2h, more than 30m"),
        ("untold", None, Status.HEALTHY, "2 waiting, 0 in flight"),
    ],
)
async def test_the_oldest(aws: moto.Moto, queue: str, age: float | None, status: Status, message: str) -> None:
    """By CloudWatch's newest value: a queue that was idle has none yet."""
    await put(aws, queue, messages=2)
    if age is not None:
        await tell_age(aws, queue, 90_000, ago=300)
        await tell_age(aws, queue, age)
    result = await looked("sqs", aws.url, queue=queue)
    assert (result.status, result.message) == (status, message)
    assert result.observed["oldestSeconds"] == age


async def test_depth_and_dead_letters(aws: moto.Moto) -> None:
    """One dead letter is a message that was lost, unless it is said how many may be."""
    await put(aws, "orders", messages=3, dead=2)
    quiet: dict[str, Any] = {"queue": "orders", "oldest": {}}
    result = await looked("sqs", aws.url, **quiet, waiting={"unhealthy": 2})
    assert (result.status, result.message) == (
        Status.UNHEALTHY, "waiting messages: 3, more than 2; messages in orders-dead: 2, more than 0",
    )  # fmt: skip
    assert {each.name: each.value for each in result.measures} == {"waiting": 3, "in_flight": 0, "dead_letters": 2}
    assert (await looked("sqs", aws.url, **quiet, dead_letters={"degraded": 2})).status is Status.HEALTHY


async def test_a_queue_that_is_not_there(aws: moto.Moto) -> None:
    """From the beginning, or since the last look."""
    result = await looked("sqs", aws.url, queue="gone")
    assert (result.status, result.message) == (Status.UNHEALTHY, f"there is no queue gone in {REGION}")
    await put(aws, "going")
    async with checked("sqs", aws.url, queue="going") as check, client(aws, "sqs") as sqs:
        await check.finds(Status.HEALTHY)
        await sqs.delete_queue(QueueUrl=(await sqs.get_queue_url(QueueName="going"))["QueueUrl"])
        await check.finds(Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)
        await put(aws, "going")
        await check.finds(Status.HEALTHY)


async def test_rights_that_are_missing(aws: moto.Moto) -> None:
    """Are named as IAM names them; what may be read is told all the same."""
    await put(aws, "private", messages=3, dead=1)
    denied = Failure(403, "AccessDenied")
    async with front.front(aws) as facade:
        facade.fail("sqs:GetQueueUrl", denied)
        result = await looked("sqs", facade.url, queue="private", oldest={})
        assert (result.status, result.kind) == (Status.DEGRADED, FailureKind.PERMISSION)
        assert result.message == "the credentials may not call sqs:GetQueueUrl (AccessDenied)"
        async with checked("sqs", facade.url, queue="private", oldest={}, waiting={"unhealthy": 2}) as check:
            result = await check.look()
            facade.fail("sqs:GetQueueUrl", denied)
            facade.fail("sqs:GetQueueAttributes", denied)
            result = await check.finds(Status.DEGRADED, FailureKind.PERMISSION)
            assert "sqs:GetQueueAttributes" in result.message


@pytest.mark.parametrize("queue", ["https://sqs.eu-west-1.amazonaws.com/1/orders", "a b", ""])
def test_bad_names(queue: str) -> None:
    with pytest.raises(ValueError, match="should match pattern"):
        SQSConfig.model_validate({"region": REGION, "queue": queue})
