"""Pace of a ramp, as a policy says it: apart from the arithmetic, which reading a policy does not need."""

from dataclasses import dataclass

GRAIN = 1e-4
"""Weights are multiples of it: what NGINX's split_clients can tell apart."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Pace of a ramp: it widens at most by the factor `max_step`, or to the next of the fixed `steps` (fractions)."""

    max_step: float = 4.0
    steps: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.max_step <= 1:
            raise ValueError(f"max_step must be more than 1, got {self.max_step}")
        if any(not low < high for low, high in zip(self.steps, self.steps[1:], strict=False)):
            raise ValueError("steps must ascend")
