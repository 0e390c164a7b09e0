"""Database instance or cluster of Amazon RDS, as AWS sees it: status, replication, storage."""

from __future__ import annotations

from typing import Any, ClassVar

from healthd.checks.aws_account import Account, CallError
from healthd.checks.aws_metric import newest
from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.database import percent
from healthd.checks.finding import Finding, sum_up
from healthd.checks.rds_options import RDSConfig
from healthd.checks.rds_state import cluster_findings, has_volume, instance_findings
from healthd.model import FailureKind, JSONScalar, Measure, Result

_GIB = 1024**3
_FREE = ("AWS/RDS", "FreeStorageSpace")
_NOT_THERE = {"DBInstanceNotFound", "DBInstanceNotFoundFault", "DBClusterNotFoundFault"}


class RDS:
    """Describes the instance or cluster, and of an instance asks for the metric of its free storage."""

    config_model: ClassVar[type[CheckConfig]] = RDSConfig

    def __init__(self, config: RDSConfig, context: CheckContext) -> None:
        self._config, self._clock = config, context.clock
        self._account = Account(config)

    async def probe(self) -> Result:
        return await self._account.probed(self._look)

    async def close(self) -> None:
        await self._account.close()

    async def _look(self) -> Result:
        config = self._config
        try:
            if config.instance is not None:
                return await self._instance(config.instance)
            return await self._cluster(str(config.cluster))
        except CallError as error:
            if error.code not in _NOT_THERE:
                raise
            what = f"instance {config.instance}" if config.instance else f"cluster {config.cluster}"
            return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, f"there is no {what} in {config.region}")

    async def _cluster(self, name: str) -> Result:
        action = "rds:DescribeDBClusters"
        answer = await self._account.ask("rds", "describe_db_clusters", action, DBClusterIdentifier=name)
        cluster = answer["DBClusters"][0]
        members = len(cluster.get("DBClusterMembers") or ())
        return sum_up(
            list(cluster_findings(cluster, self._config.at_least)),
            fine=f"{cluster['Status']}, {members} instance{'s' if members != 1 else ''}",
            observed={"state": cluster["Status"], "instances": members},
            measures=(Measure("instances", members),),
        )

    async def _instance(self, name: str) -> Result:
        action = "rds:DescribeDBInstances"
        answer = await self._account.ask("rds", "describe_db_instances", action, DBInstanceIdentifier=name)
        instance = answer["DBInstances"][0]
        observed: dict[str, JSONScalar | list[str]] = {"state": instance["DBInstanceStatus"]}
        measures: list[Measure] = []
        findings = list(instance_findings(instance))
        if has_volume(instance):
            findings += await self._storage(name, instance, observed, measures)
        return sum_up(findings, fine=str(instance["DBInstanceStatus"]), observed=observed, measures=tuple(measures))

    async def _storage(
        self, name: str, instance: dict[str, Any], observed: dict[str, JSONScalar | list[str]], measures: list[Measure]
    ) -> list[Finding]:
        """Return what is wrong with the storage. One whose free space is not known, as of a new instance, is not
        judged."""
        try:
            dimension = {"DBInstanceIdentifier": name}
            free = await newest(self._account, _FREE, dimension, "Minimum", self._clock.now())
        except CallError as error:
            return [error.finding]
        whole = int(instance.get("AllocatedStorage") or 0) * _GIB
        if free is None or not whole:
            return []
        used = max(0.0, whole - free)
        observed["storageUsage"] = percent(used, whole)
        measures += [Measure("storage_free", free, "B"), Measure("storage", whole, "B")]
        text = f"{used / whole:.0%} of {whole // _GIB} GiB of storage are in use"
        found = self._config.storage.judge(used, whole, text, {}, None)
        return [Finding(found.status, found.kind or FailureKind.EXHAUSTED, text)] if found is not None else []
