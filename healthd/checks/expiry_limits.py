"""Limits on the time that the certificates of a connection are still valid. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from healthd.checks.certificates import Expiries, Expiry
from healthd.model import FailureKind, Status
from healthd.units import Duration

Broken = tuple[Status, FailureKind, str]


class ExpiryLimits(BaseModel):
    """Limits on the time left. Without one it is a share of the certificate's lifetime."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    degraded: Duration | None = None
    """Time left at which the check becomes degraded; by default a fifth of the certificate's lifetime, at most 30
    days."""
    unhealthy: Duration | None = None
    """Time left at which the check becomes unhealthy; by default a twentieth of its lifetime, at most 7 days."""

    @model_validator(mode="after")
    def _warns_before_it_fails(self) -> Self:
        if self.degraded is not None and self.unhealthy is not None and self.unhealthy > self.degraded:
            raise ValueError("unhealthy must not be longer than degraded: the warning comes first")
        return self

    def broken(self, ends: Expiries, now: datetime) -> Broken | None:
        """Return what is wrong with the certificates of a connection; None while all are valid for long enough."""
        degraded, unhealthy = self._of(ends.relied_on)
        if (left := ends.relied_on.left(now)) <= degraded:
            return Status.UNHEALTHY if left <= unhealthy else Status.DEGRADED, *_told(ends.relied_on, now)
        if ends.unneeded is not None and ends.unneeded.left(now) <= self._of(ends.unneeded)[0]:
            kind, message = _told(ends.unneeded, now)
            return (
                Status.DEGRADED,
                kind,
                f"{message}; it is presented, and this client does not need it, but others may",
            )
        return None

    def _of(self, expiry: Expiry) -> tuple[timedelta, timedelta]:
        """Return the time left at which a certificate makes the check degraded, and unhealthy."""
        unhealthy = expiry.emergency if self.unhealthy is None else timedelta(seconds=self.unhealthy)
        if self.degraded is None:
            return max(expiry.renewal, unhealthy), unhealthy
        degraded = timedelta(seconds=self.degraded)
        return degraded, min(degraded, unhealthy)


def _told(expiry: Expiry, now: datetime) -> tuple[FailureKind, str]:
    left = expiry.left(now)
    kind = FailureKind.EXPIRED if left <= timedelta(0) else FailureKind.THRESHOLD
    return kind, f"the certificate of {expiry.subject} {remaining(left)}"


def remaining(left: timedelta) -> str:
    """Return `expires in 20 days`, or `expired 3 hours ago`."""
    days = abs(left) / timedelta(days=1)
    amount = f"{days:.0f} days" if days >= 2 else f"{24 * days:.0f} hours"
    return f"expires in {amount}" if left > timedelta(0) else f"expired {amount} ago"
