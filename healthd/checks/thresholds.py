"""Two limits on a share that is in use: from `degraded` on it is degraded, from `unhealthy` on unhealthy. Pure."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from healthd.checks.contract import CheckConfig
from healthd.model import Status
from healthd.units import Ratio


class ThresholdConfig(CheckConfig):
    """The limits of one check."""

    degraded: Ratio = 0.8
    """The share in use from which on it is degraded."""
    unhealthy: Ratio = 0.9
    """The share in use from which on it is unhealthy."""

    @model_validator(mode="after")
    def _degraded_comes_first(self) -> Self:
        if "degraded" in self.model_fields_set and self.degraded > self.unhealthy:
            raise ValueError("degraded must not be higher than unhealthy: it would never be seen")
        return self

    def judge(self, share: float) -> Status:
        """The status of a share, 0 to 1."""
        if share >= self.unhealthy:
            return Status.UNHEALTHY
        return Status.DEGRADED if share >= self.degraded else Status.HEALTHY
