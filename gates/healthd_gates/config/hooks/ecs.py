"""The options of the hook for ECS."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from healthd.aws.region import check_region
from healthd.wording import shape
from healthd_gates.config.hooks.contract import Deploys, HookConfig

_ECS_PART = r"[A-Za-z0-9_-]{1,255}"


EcsService = Annotated[
    str, StringConstraints(pattern=shape(rf"^{_ECS_PART}/{_ECS_PART}$", "a cluster, a slash and a service"))
]


class Stage(StrEnum):
    """The stages of a deployment at which ECS calls hooks."""

    RECONCILE_SERVICE = "RECONCILE_SERVICE"
    PRE_SCALE_UP = "PRE_SCALE_UP"
    POST_SCALE_UP = "POST_SCALE_UP"
    TEST_TRAFFIC_SHIFT = "TEST_TRAFFIC_SHIFT"
    POST_TEST_TRAFFIC_SHIFT = "POST_TEST_TRAFFIC_SHIFT"
    PRE_PRODUCTION_TRAFFIC_SHIFT = "PRE_PRODUCTION_TRAFFIC_SHIFT"
    PRODUCTION_TRAFFIC_SHIFT = "PRODUCTION_TRAFFIC_SHIFT"
    POST_PRODUCTION_TRAFFIC_SHIFT = "POST_PRODUCTION_TRAFFIC_SHIFT"


class EcsConfig(HookConfig):
    """Answers the lifecycle hooks of ECS services."""

    kind: Literal["ecs"]
    services: dict[EcsService, dict[Stage, Deploys]] = Field(min_length=1)
    """The ECS services that may call, as cluster/service, and the gate of each stage at which they do."""
    region: str | None = None
    """The region of ECS, which is asked for the new version's target group; that of the event unless given."""
    endpoint: str | None = None
    """Another address of ECS, such as that of a VPC endpoint."""

    @model_validator(mode="after")
    def _region_is_one(self) -> Self:
        check_region(self.region, self.endpoint)
        return self

    def deploys(self) -> Iterable[Deploys]:
        return (deploys for stages in self.services.values() for deploys in stages.values())

    @property
    def alternates(self) -> bool:
        return True
