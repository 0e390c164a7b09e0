"""The options of the hook for CodeDeploy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Self

from pydantic import Field, model_validator

from healthd.aws.region import check_region
from healthd.config.model import Name
from healthd.units import Duration, Span
from healthd_gates.config.hooks.contract import Deploys, HookConfig


class CodeDeployConfig(HookConfig):
    """Answers the lifecycle event hooks of CodeDeploy deployments."""

    kind: Literal["codedeploy"]
    services: dict[Name, Deploys] = Field(min_length=1)
    """The deploys, by the last part of the address that the Lambda calls; the version is the deployment's id."""
    region: str | None = None
    """The region of CodeDeploy; that of the environment unless given."""
    endpoint: str | None = None
    """Another address of CodeDeploy, such as that of a VPC endpoint."""
    wait_timeout: Span = 1800.0
    """Time that a gate may wait to start, also for what CodeDeploy is asked, before the hook fails."""
    retry_for: Duration = 86400.0
    """Time for which an answer is retried, counted from the verdict."""

    @model_validator(mode="after")
    def _region_is_one(self) -> Self:
        check_region(self.region, self.endpoint)
        return self

    def deploys(self) -> Iterable[Deploys]:
        return self.services.values()

    @property
    def alternates(self) -> bool:
        return True
