"""Two limits on a share in use: one from which it is degraded, one from which it is unhealthy. Pure."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from healthd.checks.contract import CheckConfig
from healthd.model import Status
from healthd.units import Ratio


class ThresholdConfig(CheckConfig):
    """Limits of one check."""

    degraded: Ratio = 0.8
    """Share in use at which the check becomes degraded."""
    unhealthy: Ratio = 0.9
    """Share in use at which the check becomes unhealthy."""

    @model_validator(mode="after")
    def _degraded_comes_first(self) -> Self:
        if "degraded" in self.model_fields_set and self.degraded > self.unhealthy:
            raise ValueError("degraded must not be higher than unhealthy: it would never be seen")
        return self

    def judge(self, share: float) -> Status:
        """Return the status of a share, 0 to 1."""
        if share >= self.unhealthy:
            return Status.UNHEALTHY
        return Status.DEGRADED if share >= self.degraded else Status.HEALTHY
