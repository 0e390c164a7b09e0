"""What the judge asks of every criterion, and what it hands to them at each look."""

from dataclasses import dataclass
from math import ceil, inf, log
from typing import Protocol

from healthd_gates.domain.evidence import CriterionReport, Evidence, Finding, Reason
from healthd_gates.judge.rules import Risk, Timing

END_SUSPICION = log(10)
"""ln E from which a criterion is suspect: no benefit of the doubt at the end of the bake."""

_CATASTROPHE_MARGIN = 5.0
"""Nats that the catastrophe's share of the risk and its mixture cost, roughly."""


@dataclass(frozen=True, slots=True)
class Look:
    """One interval's evidence and the phase it fell into."""

    evidence: Evidence
    warming_up: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """What all criteria of one gate share."""

    risk: Risk
    timing: Timing

    @property
    def horizon(self) -> int:
        """Intervals from the end of the warm-up to the end of the bake."""
        return max(1, round(self.timing.maximum / self.timing.interval))

    @property
    def harm_needed(self) -> float:
        """ln E at which harm is proven."""
        return log(1 / self.risk.false_rollback)

    @property
    def safety_needed(self) -> float:
        """ln E at which safety is proven."""
        return log(1 / self.risk.false_pass)

    def cap(self, seconds: float) -> float:
        """The most that one interval may speak for harm, in nats.

        A disturbance of `blip` seconds touches at most ⌈blip / interval⌉ + 1 intervals; together they
        stay below what a verdict needs.
        """
        touched = ceil(self.timing.blip / seconds - 0.1) + 1 if self.timing.blip else 1
        return self.harm_needed / touched

    def catastrophe_cap(self, seconds: float) -> float:
        """The most that one interval may speak for a catastrophe, in nats: it takes about a whole `blip` of it."""
        if seconds >= 0.9 * self.timing.blip:
            return inf
        return (self.harm_needed + _CATASTROPHE_MARGIN) * seconds / self.timing.blip


class Criterion(Protocol):
    """One rule at work. It takes every look in order and can be asked at any time."""

    name: str
    critical: bool
    weight: float
    failure: Reason

    def step(self, look: Look) -> None:
        """Take one look."""

    @property
    def log_e_harm(self) -> float | None:
        """ln E of harm; None for a criterion that has no statistics."""

    @property
    def uncompared(self) -> bool:
        """Whether a comparison was asked for and not a single one made."""

    @property
    def failed(self) -> bool:
        """Whether it fails by itself, for the reason `failure` and without a share in the risk."""

    @property
    def baseline_bad(self) -> bool:
        """Whether the baseline is in trouble by the same measure."""

    @property
    def proven(self) -> bool:
        """Whether safety is proven."""

    @property
    def acceptable(self) -> bool:
        """Whether the end of the bake may pass it although safety is not proven."""

    def report(self, silence: Finding | None) -> CriterionReport:
        """How it stands; `silence` says that the candidate's traffic or telemetry has stopped."""
