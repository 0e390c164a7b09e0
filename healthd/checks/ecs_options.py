"""Options of a check of a service of ECS, read without the SDK."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from healthd.checks.aws_options import AWSOptions
from healthd.wording import shape

_Name = Annotated[str, StringConstraints(pattern=shape(r"^[A-Za-z0-9_-]{1,255}$", "a name, not an ARN"))]


class ECSConfig(AWSOptions):
    kind: Literal["ecs"] = "ecs"
    cluster: _Name = "default"
    """Name of the cluster."""
    service: _Name
    """Name of the service."""
    at_least: int = Field(1, ge=0)
    """Least number of running tasks: with fewer it is unhealthy, from there on degraded until none is missing."""
