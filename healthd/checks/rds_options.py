"""Options of a check of a database of RDS, read without the SDK."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from healthd.checks.aws_options import AWSOptions
from healthd.checks.database import Limits
from healthd.wording import shape

_Identifier = Annotated[
    str, StringConstraints(pattern=shape(r"^[A-Za-z][A-Za-z0-9-]{0,62}$", "an identifier, not an ARN or an address"))
]


class RDSConfig(AWSOptions):
    kind: Literal["rds"] = "rds"
    instance: _Identifier | None = None
    """Identifier of the instance."""
    cluster: _Identifier | None = None
    """Identifier of the cluster, of Aurora or Multi-AZ."""
    storage: Limits = Limits(degraded=0.8, unhealthy=0.95)
    """Limits on the share of an instance's storage that is in use, by CloudWatch; not of Aurora's, which grows."""
    at_least: int = Field(1, ge=1)
    """Least number of instances of the cluster, the writer included."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.instance is None) == (self.cluster is None):
            raise ValueError("give instance or cluster")
        if self.cluster is not None and "storage" in self.model_fields_set:
            raise ValueError("storage is of an instance: name one by instance")
        if self.instance is not None and "at_least" in self.model_fields_set:
            raise ValueError("at_least is of a cluster")
        return self
