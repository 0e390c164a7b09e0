"""A criterion that is taken to hold, where its numbers cannot be drawn: it keeps its share of the risk."""

from __future__ import annotations

from healthd_gates.domain.standing import CriterionReport, Finding, Reason
from healthd_gates.judge.criterion import Criterion, Frame, Look
from healthd_gates.judge.past import Past
from healthd_gates.judge.rules import Against, Rule


class Assumed:
    """A rule of which it is assumed that it holds."""

    reads_traffic = reads_latency = False
    stream: str | None = None
    compares_with: Against | None = None

    def __init__(self, rule: Rule) -> None:
        self.name, self.critical = rule.name, rule.critical
        self._weight = float(getattr(rule, "weight", 0.0))

    def build(self, frame: Frame, past: Past) -> Criterion:
        return _Holds(self.name, self.critical, self._weight)


class _Holds:
    """A criterion that says nothing against any candidate."""

    failed = uncompared = baseline_bad = False
    proven = acceptable = True
    failure = Reason.HARM

    def __init__(self, name: str, critical: bool, weight: float) -> None:
        self.name, self.critical, self.weight = name, critical, weight
        self.log_e_harm = 0.0 if weight else None

    def step(self, look: Look) -> None:
        """Do nothing."""

    def report(self, silence: Finding | None) -> CriterionReport:
        """Return that it holds."""
        return CriterionReport(self.name, self.critical, Finding.CLEAR, f"{self.name} is assumed to hold.")
