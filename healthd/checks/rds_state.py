"""State of a database instance or cluster of Amazon RDS, and the findings that it means. No I/O here.

The words are those of the Amazon RDS User Guide, "Viewing DB instance status", and of the Aurora one. What is not known
here counts as bad.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from healthd.checks.finding import Finding, degraded, unhealthy
from healthd.model import FailureKind

_WORKS = {
    "available", "backing-up", "backtracking", "configuring-associated-roles", "configuring-enhanced-monitoring",
    "configuring-iam-database-auth", "configuring-log-exports", "storage-config-upgrade", "storage-initialization",
    "storage-optimization",
}  # fmt: skip
_CHANGES = {
    "converting-to-vpc", "failing-over", "maintenance", "modifying", "moving-to-vpc", "promoting", "rebooting",
    "renaming", "resetting-master-credentials", "scaling-compute", "scaling-storage", "update-iam-db-auth", "upgrading",
}  # fmt: skip
"""States in which it may be away for a while, and comes back by itself."""
_WITHOUT_VOLUME = ("aurora", "docdb", "neptune")
"""Engines whose instances have no storage of their own."""


def has_volume(instance: Mapping[str, Any]) -> bool:
    """True if an instance has storage that can run full."""
    return not str(instance.get("Engine", "")).startswith(_WITHOUT_VOLUME)


def instance_findings(instance: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong with an instance as `DescribeDBInstances` describes it."""
    yield from _status(f"instance {instance['DBInstanceIdentifier']}", str(instance["DBInstanceStatus"]))
    for info in instance.get("StatusInfos") or ():
        if not info.get("Normal", True):
            why = info.get("Message") or info.get("Status") or "no reason given"
            yield unhealthy(f"its {info.get('StatusType', 'replication')} is not normal: {why}", FailureKind.LAGGING)


def cluster_findings(cluster: Mapping[str, Any], at_least: int) -> Iterator[Finding]:
    """Yield what is wrong with a cluster as `DescribeDBClusters` describes it."""
    name = str(cluster["DBClusterIdentifier"])
    yield from _status(f"cluster {name}", str(cluster["Status"]))
    members = cluster.get("DBClusterMembers") or ()
    if not any(each.get("IsClusterWriter") for each in members):
        yield unhealthy(f"cluster {name} has no writer", FailureKind.NOT_PRIMARY)
    elif len(members) < at_least:
        yield degraded(f"cluster {name} has {len(members)} instances, at least {at_least} should be there")


def _status(name: str, status: str) -> Iterator[Finding]:
    if status == "storage-full":
        yield unhealthy(f"{name} is {status}", FailureKind.EXHAUSTED)
    elif status not in _WORKS:
        yield (degraded if status in _CHANGES else unhealthy)(f"{name} is {status}")
