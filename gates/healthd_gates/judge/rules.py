"""What the judge is told to decide by: criteria, risk and timing. Reading them from a config happens
elsewhere.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite


class Against(StrEnum):
    """Where the baseline's numbers come from."""

    CONCURRENT = "concurrent"
    HISTORY = "history"


@dataclass(frozen=True, slots=True)
class Comparison:
    """How much worse than the baseline the candidate may be.

    Harm is p_candidate > tolerated · p_baseline; safety is p_candidate < harmful · p_baseline, or below
    `floor`, under which a ratio alone never matters. For latency the ratios are of times and `floor` is
    unused.
    """

    tolerated: float = 1.25
    harmful: float = 2.0
    floor: float = 0.005
    against: Against = Against.CONCURRENT

    def __post_init__(self) -> None:
        if not 1.0 <= self.tolerated < self.harmful:
            raise ValueError(f"need 1 ≤ tolerated < harmful, got {self.tolerated} and {self.harmful}")
        if not 0.0 <= self.floor < 1.0:
            raise ValueError(f"floor is a fraction below 1, got {self.floor}")

    @classmethod
    def with_history(cls) -> "Comparison":
        """The defaults against an earlier baseline: wider, because load drifts between then and now."""
        return cls(tolerated=3.0, harmful=5.0, against=Against.HISTORY)


def _check_weight(name: str, weight: float) -> None:
    if not (isfinite(weight) and weight > 0):
        raise ValueError(f"{name}: weight must be positive, got {weight}")


@dataclass(frozen=True, slots=True)
class ErrorRateRule:
    """Share of failed requests: below `limit` (a fraction), and no worse than the baseline allows."""

    name: str = "error_rate"
    limit: float | None = 0.05
    comparison: Comparison | None = field(default_factory=Comparison)
    weight: float = 1.0
    critical: bool = True

    def __post_init__(self) -> None:
        if self.limit is None and self.comparison is None:
            raise ValueError(f"{self.name}: a limit or a comparison is needed")
        if self.limit is not None and not 0.0 < self.limit < 1.0:
            raise ValueError(f"{self.name}: limit is a fraction between 0 and 1, got {self.limit}")
        _check_weight(self.name, self.weight)


@dataclass(frozen=True, slots=True)
class LatencyRule:
    """The `quantile` of latency: below `limit` seconds, and no slower than the baseline allows."""

    name: str = "latency"
    quantile: float = 0.95
    limit: float | None = 5.0
    comparison: Comparison | None = field(default_factory=Comparison)
    weight: float = 1.0
    critical: bool = True

    def __post_init__(self) -> None:
        if self.limit is None and self.comparison is None:
            raise ValueError(f"{self.name}: a limit or a comparison is needed")
        if self.limit is not None and not (isfinite(self.limit) and self.limit > 0):
            raise ValueError(f"{self.name}: limit is a positive number of seconds, got {self.limit}")
        if not 0.0 < self.quantile < 1.0:
            raise ValueError(f"{self.name}: quantile lies between 0 and 1, got {self.quantile}")
        _check_weight(self.name, self.weight)


@dataclass(frozen=True, slots=True)
class MeanLatencyRule:
    """Mean latency over the last `window` seconds against a plain threshold. It carries no guarantee."""

    name: str = "mean_latency"
    limit: float = 5.0
    window: float = 60.0
    requests: int = 20
    critical: bool = True

    def __post_init__(self) -> None:
        if not (isfinite(self.limit) and self.limit > 0):
            raise ValueError(f"{self.name}: limit is a positive number of seconds, got {self.limit}")


@dataclass(frozen=True, slots=True)
class ObservedRule:
    """A criterion that is answered elsewhere, yes or no: it fails after `failures` noes in a row.

    For `startup` seconds noes before the first yes do not count: what is judged may still be starting.
    """

    name: str
    failures: int = 1
    critical: bool = True
    startup: float = 0.0

    def __post_init__(self) -> None:
        if self.failures < 1:
            raise ValueError(f"{self.name}: failures must be at least 1, got {self.failures}")


Rule = ErrorRateRule | LatencyRule | MeanLatencyRule | ObservedRule


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
    """When the judge looks and when it may decide, in seconds.

    During `warm_up` only a catastrophe decides. `minimum` and `maximum` count from its end: no pass
    before the one, a verdict at the other. `blip` is the length of a disturbance that never decides
    alone, however it falls across the scrapes. After `lateness` without numbers there is no telemetry.
    """

    interval: float = 10.0
    warm_up: float = 30.0
    minimum: float = 120.0
    maximum: float = 1800.0
    blip: float = 10.0
    lateness: float = 60.0

    def __post_init__(self) -> None:
        if not (isfinite(self.interval) and self.interval > 0):
            raise ValueError(f"interval must be positive, got {self.interval}")
        if not 0.0 <= self.minimum <= self.maximum < float("inf"):
            raise ValueError(f"need 0 ≤ minimum ≤ maximum, got {self.minimum} and {self.maximum}")
        if self.warm_up < 0 or self.blip < 0 or self.lateness < 0:
            raise ValueError("warm_up, blip and lateness must not be negative")


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything that the judge needs to know of a policy. `whole`: the candidate is to have all the traffic."""

    criteria: tuple[Rule, ...] = (ErrorRateRule(),)
    risk: Risk = field(default_factory=Risk)
    timing: Timing = field(default_factory=Timing)
    whole: bool = False

    def __post_init__(self) -> None:
        names = [rule.name for rule in self.criteria]
        if not names:
            raise ValueError("at least one criterion is needed")
        if len(set(names)) != len(names):
            raise ValueError(f"criteria need different names, got {', '.join(names)}")
        if not any(rule.critical for rule in self.criteria):
            raise ValueError("at least one criterion must be critical")
