"""The interface between the judge and its criteria, and the data that they get at each evaluation."""

from dataclasses import dataclass
from math import inf, log
from typing import Protocol

from healthd_gates.domain.evidence import Evidence
from healthd_gates.domain.standing import CriterionReport, Finding, Reason
from healthd_gates.judge.joint_cap import Caps
from healthd_gates.judge.rhythm import Rhythm
from healthd_gates.judge.risk import Risk, Timing

END_SUSPICION = log(10)
"""ln E above which a criterion is suspect: no benefit of the doubt at the end of the bake."""

_BURST, _BURST_REPORTS = 45.0, 9  # seconds, and reports where these are far apart
_CATASTROPHE_MARGIN = 7.5
"""Nats that the catastrophe's share of the risk and its mixture cost, approximately."""

_SURE = 8.0
"""Nats by which trouble has to have begun late where it then waits for `late` seconds: harm that is there since the
switch, of few requests, must not be taken for it by luck."""


@dataclass(frozen=True, slots=True)
class Look:
    """The evidence of one interval and the phase that it belongs to."""

    evidence: Evidence
    settling: bool
    rhythm: Rhythm


@dataclass(frozen=True, slots=True)
class Frame:
    """The values that all criteria of one gate share. `parts` is the number of strata among which one criterion divides
    the risk of its confidence intervals."""

    risk: Risk
    timing: Timing
    parts: int = 1

    @property
    def horizon(self) -> int:
        """Number of intervals from the end of settling to the end of the bake."""
        return max(1, round(self.timing.maximum / self.timing.interval))

    @property
    def burst(self) -> int:
        """Number of reports in a row that may be no more than a burst."""
        return max(_BURST_REPORTS, round(_BURST / self.timing.interval))

    @property
    def harm_needed(self) -> float:
        """ln E at which harm is proven."""
        return log(1 / self.risk.false_rollback)

    @property
    def safety_needed(self) -> float:
        """ln E at which safety is proven."""
        return log(1 / self.risk.false_pass)

    def cap(self, rhythm: Rhythm) -> float:
        """Return the most evidence of harm that one report may give, in nats. All reports that one disturbance affects
        together stay below what a verdict needs.
        """
        return self.harm_needed / rhythm.touched(self.timing.blip)

    def caps(self, rhythm: Rhythm, lasting: float = 0.0, late: float = 0.0) -> Caps:
        """Return the caps of a comparison: two disturbances in a row do not decide alone if they began late, nor does
        one of `lasting` seconds, or of `late` seconds if it began late. A policy without `blip` has no caps.
        """
        blip = self.timing.blip
        lengths = (max(blip, lasting), max(2 * blip, lasting, late)) if blip else (0.0, 0.0)
        reports, late_reports = (rhythm.touched(length) for length in lengths)
        return Caps(self.harm_needed, reports, late_reports, _SURE if late else 0.0)

    def catastrophe_caps(self, rhythm: Rhythm) -> tuple[float, float]:
        """Return the most evidence of a catastrophe that one report may give, in nats: for one of any kind, and for a
        total outage, which takes about a whole `blip` of it.
        """
        enough = self.harm_needed + _CATASTROPHE_MARGIN
        whole = rhythm.spacing >= 0.9 * self.timing.blip
        return enough / rhythm.touched(self.timing.blip), inf if whole else enough * rhythm.spacing / self.timing.blip


class Criterion(Protocol):
    """One rule in use. It takes every evaluation's evidence in order and can report at any time.

    One whose `proves_safety` is False (it is True unless there) can only show harm, and a policy of such criteria alone
    passes at the end of its time.
    """

    name: str
    critical: bool
    weight: float
    failure: Reason

    def step(self, look: Look) -> None:
        """Take the evidence of one evaluation."""

    @property
    def log_e_harm(self) -> float | None:
        """ln E of harm; None for a criterion that has no statistics."""

    @property
    def uncompared(self) -> bool:
        """True if a comparison was required and none was made."""

    @property
    def failed(self) -> bool:
        """True if it fails by itself, for the reason `failure` and without a share in the risk."""

    @property
    def baseline_bad(self) -> bool:
        """True if the baseline is in trouble by the same measure."""

    @property
    def proven(self) -> bool:
        """True if safety is proven."""

    @property
    def acceptable(self) -> bool:
        """True if it may pass at the end of the bake although safety is not proven."""

    def report(self, silence: Finding | None) -> CriterionReport:
        """Return the report; `silence` is set if the candidate's traffic or telemetry has stopped."""
