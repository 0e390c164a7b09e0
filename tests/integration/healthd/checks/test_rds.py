"""The rds check against moto, and states that RDS documents and moto does not have. Free storage is put into CloudWatch
as RDS does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from healthd.checks.rds_options import RDSConfig
from healthd.checks.rds_state import cluster_findings, has_volume, instance_findings
from healthd.model import FailureKind, Status
from tests.integration.healthd.checks.aws_asking import REGION, client, looked
from tests.servers import aws as front
from tests.servers import moto
from tests.servers.aws import Failure

GIB = 1024**3


async def put(aws: moto.Moto, name: str, free: float | None = None) -> None:
    """An instance with 20 GiB of storage."""
    async with client(aws, "rds") as rds, client(aws, "cloudwatch") as cloudwatch:
        await rds.create_db_instance(
            DBInstanceIdentifier=name, DBInstanceClass="db.t3.micro", Engine="postgres", AllocatedStorage=20
        )
        if free is not None:
            datum = {
                "MetricName": "FreeStorageSpace",
                "Dimensions": [{"Name": "DBInstanceIdentifier", "Value": name}],
                "Timestamp": datetime.now(UTC) - timedelta(minutes=1),  # calls have whole seconds
                "Value": free,
                "Unit": "Bytes",
            }
            await cloudwatch.put_metric_data(Namespace="AWS/RDS", MetricData=[datum])


@pytest.mark.parametrize(
    ("name", "free", "status", "kind", "message"),
    [
        ("roomy", 15 * GIB, Status.HEALTHY, None, "available"),
        ("full", 4 * GIB, Status.DEGRADED, FailureKind.EXHAUSTED, "80% of 20 GiB of storage are in use"),
        ("fuller", GIB // 2, Status.UNHEALTHY, FailureKind.EXHAUSTED, "98% of 20 GiB of storage are in use"),
        ("new", None, Status.HEALTHY, None, "available"),
    ],
)
async def test_an_instance(
    aws: moto.Moto, name: str, free: float | None, status: Status, kind: FailureKind | None, message: str
) -> None:
    """Available, and with room; one that is new has told nothing of its storage yet."""
    await put(aws, name, free)
    result = await looked("rds", aws.url, instance=name)
    assert (result.status, result.kind, result.message) == (status, kind, message)
    assert [each.name for each in result.measures] == ([] if free is None else ["storage_free", "storage"])


async def test_one_that_was_stopped(aws: moto.Moto) -> None:
    await put(aws, "stopped")
    async with client(aws, "rds") as rds:
        await rds.stop_db_instance(DBInstanceIdentifier="stopped")
    result = await looked("rds", aws.url, instance="stopped")
    assert (result.status, result.message) == (Status.UNHEALTHY, "instance stopped is stopped")


async def test_a_cluster(aws: moto.Moto) -> None:
    """With a writer and as many instances as it should have."""
    async with client(aws, "rds") as rds:
        for name in ("aurora", "empty"):
            await rds.create_db_cluster(
                DBClusterIdentifier=name, Engine="aurora-postgresql", MasterUsername="u", MasterUserPassword="password"
            )
        await rds.create_db_instance(
            DBInstanceIdentifier="writer",
            DBInstanceClass="db.r5.large",
            Engine="aurora-postgresql",
            DBClusterIdentifier="aurora",
        )
    result = await looked("rds", aws.url, cluster="aurora")
    assert (result.status, result.message) == (Status.HEALTHY, "available, 1 instance")
    result = await looked("rds", aws.url, cluster="aurora", at_least=2)
    assert (result.status, result.message) == (
        Status.DEGRADED, "cluster aurora has 1 instances, at least 2 should be there",
    )  # fmt: skip
    result = await looked("rds", aws.url, cluster="empty")
    assert (result.status, result.kind) == (Status.UNHEALTHY, FailureKind.NOT_PRIMARY)


async def test_what_is_not_there(aws: moto.Moto) -> None:
    for given in ({"instance": "gone"}, {"cluster": "gone"}):
        result = await looked("rds", aws.url, **given)
        assert (result.status, result.kind) == (Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)
        assert result.message == f"there is no {next(iter(given))} gone in {REGION}"


async def test_a_right_that_is_missing(aws: moto.Moto) -> None:
    async with front.front(aws) as facade:
        facade.fail("rds:DescribeDBInstances", Failure(403, "AccessDenied"))
        result = await looked("rds", facade.url, instance="roomy")
    assert (result.status, result.kind) == (Status.DEGRADED, FailureKind.PERMISSION)
    assert result.message == "the credentials may not call rds:DescribeDBInstances (AccessDenied)"


@pytest.mark.parametrize(
    ("status", "bad"),
    [
        ("available", None),
        ("backing-up", None),
        ("storage-optimization", None),
        ("modifying", Status.DEGRADED),
        ("rebooting", Status.DEGRADED),
        ("storage-full", Status.UNHEALTHY),
        ("failed", Status.UNHEALTHY),
        ("incompatible-parameters", Status.UNHEALTHY),
        ("inaccessible-encryption-credentials", Status.UNHEALTHY),
        ("a-word-of-tomorrow", Status.UNHEALTHY),
    ],
)
def test_states(status: str, bad: Status | None) -> None:
    """Only what is documented to serve is green; storage that is full says so by its kind."""
    found = list(instance_findings({"DBInstanceIdentifier": "db", "DBInstanceStatus": status}))
    assert [each.status for each in found] == ([bad] if bad else [])
    assert [each.kind for each in found if status == "storage-full"] in ([], [FailureKind.EXHAUSTED])
    members = [{"IsClusterWriter": True}]
    found = list(cluster_findings({"DBClusterIdentifier": "db", "Status": status, "DBClusterMembers": members}, 1))
    assert [each.status for each in found] == ([bad] if bad else [])


def test_a_read_replica() -> None:
    """Whose replication has stopped is available all the same, says RDS."""
    info = {"StatusType": "read replication", "Normal": False, "Status": "error", "Message": "Replication broke"}
    replica: dict[str, Any] = {"DBInstanceIdentifier": "r", "DBInstanceStatus": "available", "StatusInfos": [info]}
    (found,) = instance_findings(replica)
    assert (found.kind, found.message) == (
        FailureKind.LAGGING, "its read replication is not normal: Replication broke",
    )  # fmt: skip


def test_engines_without_a_volume() -> None:
    assert has_volume({"Engine": "postgres"})
    assert not has_volume({"Engine": "aurora-mysql"})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "give instance or cluster"),
        ({"instance": "a", "cluster": "b"}, "give instance or cluster"),
        ({"cluster": "a", "storage": {"degraded": 0.5}}, "name one by instance"),
        ({"instance": "a", "at_least": 2}, "at_least is of a cluster"),
        ({"instance": "db.x.eu-west-1.rds.amazonaws.com"}, "should match pattern"),
    ],
)
def test_bad_options(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        RDSConfig.model_validate({"region": REGION, **options})
