"""Limits on a length of time or a number: beyond one it is degraded, beyond another unhealthy. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from healthd.checks.finding import Finding
from healthd.model import FailureKind, Status
from healthd.units import Duration, show_duration


class _Limits(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    @model_validator(mode="after")
    def _degraded_comes_first(self) -> Self:
        degraded, unhealthy = getattr(self, "degraded", None), getattr(self, "unhealthy", None)
        if degraded is not None and unhealthy is not None and degraded > unhealthy:
            raise ValueError("degraded must not be higher than unhealthy: it would never be seen")
        return self


class AgeLimits(_Limits):
    """Limits on a length of time."""

    degraded: Duration | None = None
    """Time beyond which the check is degraded."""
    unhealthy: Duration | None = None
    """Time beyond which the check is unhealthy."""


class NumberLimits(_Limits):
    """Limits on a number."""

    degraded: Annotated[int, Field(ge=0)] | None = None
    """Number beyond which the check is degraded."""
    unhealthy: Annotated[int, Field(ge=0)] | None = None
    """Number beyond which the check is unhealthy."""


def beyond(
    what: str, value: float, limits: AgeLimits | NumberLimits, show: Callable[[float], str] = "{:g}".format
) -> Iterator[Finding]:
    """Yield what is wrong with a value that is beyond a limit: `WHAT 5m, more than 1m`."""
    for status, limit in ((Status.UNHEALTHY, limits.unhealthy), (Status.DEGRADED, limits.degraded)):
        if limit is not None and value > limit:
            yield Finding(status, FailureKind.THRESHOLD, f"{what} {show(value)}, more than {show(limit)}")
            return


def show_age(seconds: float) -> str:
    """Convert seconds to the shortest notation, in whole ones."""
    return show_duration(round(seconds))
