"""Rate limit of calls: one token bucket for each caller."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from healthd.runtime.clock import Clock
from healthd.web.problems import Problem


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` calls at once, and `per_second` without a limit of time."""

    per_second: float = 50.0
    burst: float = 200.0


class RateLimiter:
    """Counts by caller. Callers are the tokens of the configuration, so that their number is bounded."""

    def __init__(self, rate: Rate, clock: Clock) -> None:
        self._rate, self._clock = rate, clock
        self._left: dict[str, tuple[float, float]] = {}

    def admit(self, caller: str) -> None:
        """Count one call. Raises Problem 429 with the seconds until the next one is allowed."""
        now = self._clock.steady()
        left, then = self._left.get(caller, (self._rate.burst, now))
        left = min(self._rate.burst, left + (now - then) * self._rate.per_second)
        if left < 1:
            self._left[caller] = (left, now)
            wait = max(1, ceil((1 - left) / self._rate.per_second))
            raise Problem(
                429,
                "Too many calls",
                f"{caller} may make {self._rate.per_second:g} calls a second",
                headers={"Retry-After": str(wait)},
            )
        self._left[caller] = (left - 1, now)
