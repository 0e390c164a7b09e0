"""Check of an AWS account: which account the credentials belong to, and whether the resources of the service exist."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from healthd.checks.aws_account import Account
from healthd.checks.aws_account_options import AWSConfig
from healthd.checks.aws_failures import AWSError, explain_aws
from healthd.checks.aws_inventory import (
    Observations,
    caller,
    load_balancer,
    security_groups,
    target_group,
    vpc,
)
from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.finding import Finding, of_third_party, sum_up
from healthd.model import FailureKind, Result

Look = Callable[[Any, str, Observations], Awaitable[Finding | None]]


@dataclass(frozen=True, slots=True)
class Question:
    """Resource to look for by its name; `call` is IAM's name of the API call."""

    name: str
    service: str
    call: str
    look: Look


class AWS:
    """Reads the caller's identity, then each resource that is configured. A permission that is missing for one of them
    does not hide the others."""

    config_model: ClassVar[type[CheckConfig]] = AWSConfig

    def __init__(self, config: AWSConfig, context: CheckContext) -> None:
        self._config = config
        self._account = Account(config)

    async def probe(self) -> Result:
        observed: Observations = {}
        findings: list[Finding] = []
        first, *others = self._questions()
        asking = first
        try:
            async with asyncio.timeout(self._config.patience):
                start = time.perf_counter()
                findings += await self._ask(first, observed)
                latency = time.perf_counter() - start
                # Without access, or in another account, further calls make no sense.
                for asking in [] if findings else others:
                    findings += await self._ask(asking, observed)
        except TimeoutError:
            late = f"{asking.call} was not answered within {self._config.patience:g} s"
            return Result.unhealthy(FailureKind.TIMEOUT, late, observed=observed)
        return sum_up(findings, latency=latency, observed=observed)

    async def close(self) -> None:
        await self._account.close()

    def _questions(self) -> list[Question]:
        """Return the identity call, then one for each configured resource."""
        config = self._config
        targets = partial(target_group, at_least=config.healthy_targets)
        things: list[tuple[str | None, str, str, Look]] = [
            (config.vpc, "ec2", "ec2:DescribeVpcs", vpc),
            (config.security_groups, "ec2", "ec2:DescribeSecurityGroups", security_groups),
            (config.load_balancer, "elbv2", "elasticloadbalancing:DescribeLoadBalancers", load_balancer),
            (config.target_group, "elbv2", "elasticloadbalancing:DescribeTargetHealth", targets),
        ]
        who = Question(config.account or "", "sts", "sts:GetCallerIdentity", caller)
        return [who, *(Question(name, service, call, look) for name, service, call, look in things if name is not None)]

    async def _ask(self, question: Question, observed: Observations) -> list[Finding]:
        try:
            finding = await question.look(await self._account.client(question.service), question.name, observed)
        except AWSError as error:
            finding = of_third_party(*explain_aws(error, question.call))
        return [finding] if finding is not None else []
