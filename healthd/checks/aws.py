"""Check of an AWS account: which account the credentials belong to, and whether the resources of the service exist."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, Self

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from pydantic import ConfigDict, Field, model_validator

from healthd.aws.region import check_region
from healthd.checks.api_check import BaseURL
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
from healthd.runtime.credential import APIKey
from healthd.units import Duration
from healthd.wording import shape

Look = Callable[[Any, str, Observations], Awaitable[Finding | None]]


@dataclass(frozen=True, slots=True)
class Question:
    """Resource to look for by its name; `call` is IAM's name of the API call."""

    name: str
    service: str
    call: str
    look: Look


class AWSConfig(CheckConfig):
    """Options of the check. Without keys here the SDK's own chain finds credentials: variables, profiles, the role of
    the host."""

    model_config = ConfigDict(hide_input_in_errors=True)

    kind: Literal["aws"] = "aws"
    interval: Duration = 60.0
    timeout: Duration = 10.0
    region: str = Field(pattern=shape(r"^[a-z0-9-]+$", "a region, such as eu-central-1"))
    """Region of the resources."""
    account: str | None = Field(None, pattern=shape(r"^\d{12}$", "an account of 12 digits, in quotes"))
    """Account number that the credentials must belong to."""
    vpc: str | None = None
    """VPC that must exist, by its tag `Name`."""
    security_groups: str | None = None
    """Security groups that must exist, by name; `*` matches any text."""
    load_balancer: str | None = None
    """Load balancer that must be active, by name."""
    target_group: str | None = None
    """Target group whose targets are checked, by name."""
    healthy_targets: int = Field(1, ge=1)
    """Number of targets in the target group that must be healthy."""
    access_key_id: APIKey | None = None
    """Access key. Without keys here the SDK's own chain finds them: variables, profiles, the role of the host."""
    secret_access_key: APIKey | None = None
    """Secret of `access_key_id`."""
    session_token: APIKey | None = None
    """Session token of temporary keys."""
    endpoint_url: BaseURL | None = None
    """Endpoint to use instead of AWS's own, such as a simulator."""

    @model_validator(mode="after")
    def _keys_come_in_pairs(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key go together: give both or neither")
        check_region(self.region, self.endpoint_url)
        return self

    def credentials(self) -> dict[str, str | None]:
        """Return the credentials as arguments of a client."""
        if self.access_key_id is None or self.secret_access_key is None:
            return {}
        token = self.session_token.get_secret_value() if self.session_token is not None else None
        return {
            "aws_access_key_id": self.access_key_id.get_secret_value(),
            "aws_secret_access_key": self.secret_access_key.get_secret_value(),
            "aws_session_token": token,
        }


class AWS:
    """Reads the caller's identity, then each resource that is configured. A permission that is missing for one of them
    does not hide the others."""

    config_model: ClassVar[type[CheckConfig]] = AWSConfig

    def __init__(self, config: AWSConfig, context: CheckContext) -> None:
        self._config = config
        self._session = AioSession()
        self._clients: dict[str, Any] = {}
        self._open = AsyncExitStack()

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
        stack, self._open, self._clients = self._open, AsyncExitStack(), {}
        await stack.aclose()

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
            finding = await question.look(await self._client(question.service), question.name, observed)
        except AWSError as error:
            finding = of_third_party(*explain_aws(error, question.call))
        return [finding] if finding is not None else []

    async def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = await self._open.enter_async_context(
                self._session.create_client(
                    service,
                    region_name=self._config.region,
                    endpoint_url=self._config.endpoint_url,
                    config=AioConfig(
                        connect_timeout=self._config.patience,
                        read_timeout=self._config.patience,
                        retries={"total_max_attempts": 1},  # the next probe is the retry
                        connector_args={"use_dns_cache": False, "resolver": aiohttp.ThreadedResolver()},
                        warm_up_loader_caches=True,  # reads the service's model in a thread, not in the event loop
                    ),
                    **self._config.credentials(),
                )
            )
        return self._clients[service]
