"""The risk that a policy states, and the times at which the judge evaluates and may decide."""

from dataclasses import dataclass
from math import isfinite


@dataclass(frozen=True, slots=True)
class Risk:
    """The stated probabilities of a wrong answer."""

    false_rollback: float = 0.01
    false_pass: float = 0.05

    def __post_init__(self) -> None:
        for name, value in (("false_rollback", self.false_rollback), ("false_pass", self.false_pass)):
            if not 0.0 < value < 1.0:
                raise ValueError(f"{name} lies between 0 and 1, got {value}")


@dataclass(frozen=True, slots=True)
class Timing:
    """The times at which the judge evaluates and may decide, in seconds.

    During `initial_delay` only a catastrophe decides. `minimum` and `maximum` count from its end: no pass before the
    one, a verdict at the other. `blip` is the length of a disturbance that never decides alone, however it falls across
    the scrapes. After `lateness` without numbers there is no telemetry.
    """

    interval: float = 10.0
    initial_delay: float = 30.0
    minimum: float = 120.0
    maximum: float = 1800.0
    blip: float = 10.0
    lateness: float = 60.0

    @property
    def patience(self) -> float:
        """Seconds beyond `maximum` that a gate waits for numbers that are only late."""
        return max(self.lateness, 2 * self.interval)

    def __post_init__(self) -> None:
        if not (isfinite(self.interval) and self.interval > 0):
            raise ValueError(f"interval must be positive, got {self.interval}")
        if not 0.0 <= self.minimum <= self.maximum < float("inf"):
            raise ValueError(f"need 0 ≤ minimum ≤ maximum, got {self.minimum} and {self.maximum}")
        if self.initial_delay < 0 or self.blip < 0 or self.lateness < 0:
            raise ValueError("initial_delay, blip and lateness must not be negative")
