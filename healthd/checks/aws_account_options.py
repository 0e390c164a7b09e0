"""Options of a check of an AWS account, read without the SDK."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from healthd.checks.aws_options import AWSOptions
from healthd.wording import shape


class AWSConfig(AWSOptions):
    kind: Literal["aws"] = "aws"
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
