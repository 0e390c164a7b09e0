"""Band of a number: where it is healthy, degraded, unhealthy. Pure."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, FiniteFloat, model_validator

from healthd.model import FailureKind, Measure, Result


class Bounds(BaseModel):
    """Bounds of a number, both exclusive; at least one."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    above: FiniteFloat | None = None
    """The number is out of bounds above this."""
    below: FiniteFloat | None = None
    """The number is out of bounds below this."""

    @model_validator(mode="before")
    @classmethod
    def _is_a_mapping(cls, given: Any) -> Any:
        if isinstance(given, int | float | str):
            raise ValueError("says not on which side: write {above: NUMBER}, {below: NUMBER}, or both")
        return given

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if self.above is None and self.below is None:
            raise ValueError("write above, below, or both")
        if self.above is not None and self.below is not None and self.below > self.above:
            raise ValueError("below must not be higher than above: every number would be out of bounds")
        return self

    def broken(self, value: float) -> str | None:
        """Return the bound that a number breaks, in words; None if it breaks none."""
        if self.above is not None and value > self.above:
            return f"above {self.above:g}"
        return f"below {self.below:g}" if self.below is not None and value < self.below else None


class BandConfig(BaseModel):
    """Options of a check that holds one number to a band."""

    degraded: Bounds | None = None
    """Bounds outside which the check is degraded."""
    unhealthy: Bounds | None = None
    """Bounds outside which the check is unhealthy."""

    @model_validator(mode="after")
    def _has_a_band(self) -> Self:
        if self.degraded is None and self.unhealthy is None:
            raise ValueError("write degraded or unhealthy: without bounds every number would be healthy")
        return self

    def judge(self, value: float) -> Result:
        """Return the result for a number."""
        result = Result.healthy(f"{value:g}")
        if self.unhealthy is not None and (broken := self.unhealthy.broken(value)):
            result = Result.unhealthy(FailureKind.THRESHOLD, f"{value:g} is {broken}")
        elif self.degraded is not None and (broken := self.degraded.broken(value)):
            result = Result.degraded(FailureKind.THRESHOLD, f"{value:g} is {broken}")
        return replace(result, observed={"value": value}, measures=(Measure("value", value),))


def number(raw: object) -> float | None:
    """Return a number, or a length of time in seconds; None for anything else, NaN and infinity among it."""
    if isinstance(raw, timedelta):
        return raw.total_seconds()
    if isinstance(raw, int | float | Decimal):
        value = float(raw)
        return value if math.isfinite(value) else None
    return None
