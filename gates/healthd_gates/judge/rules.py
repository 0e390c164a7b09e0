"""The rules by which the judge decides: criteria, risk and timing.

The rules are protocols: the judge reads a policy's criteria directly; their defaults and bounds are in the models of
the configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from healthd_gates.judge.risk import Risk as Risk
from healthd_gates.judge.risk import Timing as Timing

if TYPE_CHECKING:
    from healthd_gates.judge.criterion import Criterion, Frame
    from healthd_gates.judge.past import Past


class Against(StrEnum):
    """Source of the baseline's numbers."""

    CONCURRENT = "concurrent"
    HISTORY = "history"
    BEFORE = "before"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Limits on how much worse than the baseline the candidate may be.

    Harm is p_candidate > tolerated · p_baseline; safety is p_candidate < harmful · p_baseline, or below `floor`, under
    which a ratio alone never matters. For latency the ratios are of times and `floor` is unused.
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
    def with_history(cls) -> Comparison:
        """Return the defaults against an earlier baseline: wider, because load drifts between then and now."""
        return cls(tolerated=3.0, harmful=5.0, against=Against.HISTORY)

    @classmethod
    def with_before(cls) -> Comparison:
        """Return the defaults of harm alone: what is grossly worse than before the switch, and worth noticing."""
        return cls(tolerated=3.0, harmful=5.0, floor=0.01, against=Against.BEFORE)


class _Named(Protocol):
    """A rule with a name, unique in a policy. One that is not critical takes no part in the verdict."""

    @property
    def name(self) -> str: ...

    @property
    def critical(self) -> bool: ...


class Rule(_Named, Protocol):
    """A criterion as configured, with the properties that the judge reads before it builds it."""

    @property
    def reads_traffic(self) -> bool:
        """True if it reads the counts in the evidence; other criteria read its observations."""

    @property
    def reads_latency(self) -> bool:
        """True if it reads the histograms."""

    @property
    def stream(self) -> str | None:
        """The stream of the evidence that it reads, if not the counts of the service's own source."""

    @property
    def compares_with(self) -> Against | None:
        """The baseline that it needs."""

    def build(self, frame: Frame, past: Past) -> Criterion:
        """Build the criterion for one judge. Deterministic: the same evidence gives the same reports."""


class _Weighed(_Named, Protocol):
    """A rule with a `weight`: its share in the risk, relative to the others."""

    @property
    def comparison(self) -> Comparison | None: ...

    @property
    def weight(self) -> float: ...


class ErrorRateRule(_Weighed, Protocol):
    """Share of failed requests: below `limit` (a fraction), and no worse than the baseline allows."""

    @property
    def limit(self) -> float | None: ...


class LatencyRule(_Weighed, Protocol):
    """The `quantile` of latency: below `limit` seconds, and no slower than the baseline allows."""

    @property
    def quantile(self) -> float: ...

    @property
    def limit(self) -> float | None: ...


class RateRule(_Named, Protocol):
    """Events in a unit of exposure: at most `limit`, and at most `ratio` times the baseline's."""

    @property
    def stream(self) -> str | None: ...

    @property
    def weight(self) -> float: ...

    @property
    def limit(self) -> float | None: ...

    @property
    def ratio(self) -> float | None: ...

    @property
    def unit(self) -> str: ...


class ValueRule(_Named, Protocol):
    """A value: outside of `lowest` and `highest` for less than `patience` seconds, and no worse than `ratio` times the
    baseline's, by more than `drift` (learnt if None), in comparisons that are `sample` seconds apart."""

    @property
    def stream(self) -> str | None: ...

    @property
    def weight(self) -> float: ...

    @property
    def lowest(self) -> float | None: ...

    @property
    def highest(self) -> float | None: ...

    @property
    def patience(self) -> float: ...

    @property
    def ratio(self) -> float | None: ...

    @property
    def drift(self) -> float | None: ...

    @property
    def worse(self) -> str: ...

    @property
    def sample(self) -> float: ...


class MeanLatencyRule(_Named, Protocol):
    """Mean latency over the last `window` seconds against a plain threshold. It carries no guarantee."""

    @property
    def limit(self) -> float: ...

    @property
    def window(self) -> float: ...

    @property
    def requests(self) -> int: ...


class ObservedRule(_Named, Protocol):
    """A criterion that is answered outside the judge, yes or no: it fails after `failures` noes in a row.

    For `startup` seconds noes before the first yes do not count: the candidate may still be starting.
    """

    @property
    def failures(self) -> int: ...

    @property
    def startup(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Rules:
    """All values of a policy that the judge needs. `whole`: the candidate gets all the traffic. `lateness` is how many
    seconds the numbers of a stream may be late, if that differs from the timing's.
    """

    criteria: tuple[Rule, ...]
    risk: Risk = field(default_factory=Risk)
    timing: Timing = field(default_factory=Timing)
    whole: bool = False
    lateness: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [rule.name for rule in self.criteria]
        if not names:
            raise ValueError("at least one criterion is needed")
        if len(set(names)) != len(names):
            raise ValueError(f"criteria need different names, got {', '.join(names)}")
        if not any(rule.critical for rule in self.criteria):
            raise ValueError("at least one criterion must be critical")
