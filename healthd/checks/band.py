"""Band of a number: where it is healthy, degraded, unhealthy. Pure."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, FiniteFloat, model_validator


class Bounds(BaseModel):
    """Bounds of a number, both exclusive; at least one."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    above: FiniteFloat | None = None
    """The number is out of bounds above this."""
    below: FiniteFloat | None = None
    """The number is out of bounds below this."""

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
