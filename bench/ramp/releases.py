"""The releases that are rolled out: what share of their requests is bad, second by second, beside a base rate."""

from collections.abc import Callable
from dataclasses import dataclass

LOOK = 5.0  # seconds between two readings of the counts
HORIZON = 1800.0


@dataclass(frozen=True)
class Release:
    """`rate` is the candidate's share of bad requests so many seconds after the rollout began, for a base rate."""

    name: str
    rate: Callable[[float, float], float]
    harmful: bool = True


RELEASES = (
    Release("healthy", lambda seconds, base: base, harmful=False),
    Release("×2", lambda seconds, base: 2 * base),
    Release("×5", lambda seconds, base: 5 * base),
    Release("one route of twenty", lambda seconds, base: base + 0.05 * (1 - base)),
    Release("10 %", lambda seconds, base: 0.1),
    Release("50 %", lambda seconds, base: 0.5),
    Release("outage", lambda seconds, base: 1.0),
    Release("10 % after 300 s", lambda seconds, base: 0.1 if seconds >= 300 else base),
    Release("leak to 10 % in 20 min", lambda seconds, base: base + (0.1 - base) * min(1.0, seconds / 1200)),
)
