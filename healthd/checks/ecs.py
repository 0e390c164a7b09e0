"""Service of Amazon ECS: as many tasks run as it wants, and its deployment has not failed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from healthd.checks.aws_account import Account, CallError
from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.ecs_options import ECSConfig
from healthd.checks.finding import Finding, degraded, sum_up, unhealthy
from healthd.model import FailureKind, Measure, Observed, Result

_KEEPS_FAILING = 3  # tasks in a row, as many as the circuit breaker waits for at least


class ECS:
    """Describes the service by one call."""

    config_model: ClassVar[type[CheckConfig]] = ECSConfig

    def __init__(self, config: ECSConfig, context: CheckContext) -> None:
        self._config, self._account = config, Account(config)

    async def probe(self) -> Result:
        return await self._account.probed(self._look)

    async def close(self) -> None:
        await self._account.close()

    async def _look(self) -> Result:
        config = self._config
        try:
            answer = await self._account.ask(
                "ecs", "describe_services", "ecs:DescribeServices", cluster=config.cluster, services=[config.service]
            )
        except CallError as error:
            if error.code != "ClusterNotFoundException":
                raise
            return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, f"there is no cluster {config.cluster}")
        services = answer.get("services") or ()
        if not services:
            missing = f"there is no service {config.service} in cluster {config.cluster}"
            return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, missing)
        return judge(services[0], config.at_least)


def judge(service: Mapping[str, Any], at_least: int) -> Result:
    """Return the result for a service as `DescribeServices` describes it."""
    wanted, running = int(service.get("desiredCount", 0)), int(service.get("runningCount", 0))
    newest: Mapping[str, Any] = next(
        (each for each in service.get("deployments") or () if each.get("status") == "PRIMARY"), {}
    )
    observed: Observed = {
        "wanted": wanted,
        "running": running,
        "pending": int(service.get("pendingCount", 0)),
        "rollout": newest.get("rolloutState"),
    }
    return sum_up(
        list(_wrong(service, newest, wanted, running, at_least)),
        fine=f"{running} of {wanted} tasks run",
        observed=observed,
        measures=(Measure("wanted", wanted), Measure("running", running)),
    )


def _wrong(
    service: Mapping[str, Any], newest: Mapping[str, Any], wanted: int, running: int, at_least: int
) -> Iterator[Finding]:
    rollout, reason = newest.get("rolloutState"), newest.get("rolloutStateReason") or "no reason given"
    if service.get("status") != "ACTIVE":
        yield unhealthy(f"the service is {str(service.get('status')).lower()}")
    if running < at_least:
        yield unhealthy(f"{running} of {wanted} tasks run, at least {at_least} should")
    elif running < wanted:
        share = (service.get("deploymentConfiguration") or {}).get("minimumHealthyPercent", 100) / 100
        if rollout != "IN_PROGRESS" or running < math.ceil(wanted * share):
            yield degraded(f"{running} of {wanted} tasks run")
    if rollout == "FAILED":
        yield degraded(f"its deployment failed: {reason}")
    elif (failed := int(newest.get("failedTasks") or 0)) >= _KEEPS_FAILING:
        yield degraded(f"{failed} tasks of its deployment in a row did not start")
