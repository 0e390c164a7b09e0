"""Results of the judge: verdicts, reasons, and the standing of a gate after an evaluation."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from math import exp

from healthd_gates.domain.allowance import Allowance


class Verdict(StrEnum):
    """Verdict of a gate. Only `PASS` promotes."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class Reason(StrEnum):
    """Reason for a gate's state. "Lost" means that it was there before; "missing" that it never was."""

    SETTLING = "settling"
    OBSERVING = "observing"
    PROVEN_SAFE = "proven_safe"
    NO_EVIDENCE_OF_HARM = "no_evidence_of_harm"
    NO_SIGN_OF_HARM = "no_sign_of_harm"
    HARM = "harm"
    THRESHOLD_EXCEEDED = "threshold_exceeded"
    OBSERVATION_FAILED = "observation_failed"
    HARM_SUSPECTED = "harm_suspected"
    NO_TRAFFIC = "no_traffic"
    NO_TELEMETRY = "no_telemetry"
    TRAFFIC_LOST = "traffic_lost"
    TELEMETRY_LOST = "telemetry_lost"
    SOURCE_UNAVAILABLE = "source_unavailable"
    TRAFFIC_FALLING = "traffic_falling"
    NOT_FRESH = "not_fresh"
    UNWATCHED = "unwatched"
    NO_BASELINE = "no_baseline"
    NO_SERIES = "no_series"
    MISCOUNTED = "miscounted"
    NOT_SWITCHED = "not_switched"
    CRASH_LOOPING = "crash_looping"
    RESTARTED = "restarted"
    UNREACHABLE = "unreachable"
    TOO_COARSE = "too_coarse"
    NOT_ENOUGH_EVIDENCE = "not_enough_evidence"
    BASELINE_ALREADY_BAD = "baseline_already_bad"

    @property
    def is_harm(self) -> bool:
        """True if the candidate was found to be bad, for which a watch rolls it back."""
        return self in HARMS

    @property
    def is_loss(self) -> bool:
        """True if the candidate had traffic, or numbers of it, and has them no more."""
        return self in (Reason.TRAFFIC_LOST, Reason.TELEMETRY_LOST)

    @property
    def is_death(self) -> bool:
        """True if the candidate is down, or restarts again and again."""
        return self.is_loss or self is Reason.CRASH_LOOPING

    @property
    def is_silence(self) -> bool:
        """True if there are no numbers to evaluate."""
        return self.is_loss or self in (Reason.NO_TRAFFIC, Reason.NO_TELEMETRY, Reason.SOURCE_UNAVAILABLE)


HARMS = frozenset({Reason.HARM, Reason.THRESHOLD_EXCEEDED, Reason.CRASH_LOOPING})
"""Reasons of a candidate that was found to be bad. A text may be looked for among them, as only a newer daemon has."""


class Finding(StrEnum):
    """Finding of one criterion so far. `CLEAR` is no sign of harm, where no safety is proven."""

    SAFE = "safe"
    HARM = "harm"
    OPEN = "open"
    CLEAR = "clear"
    NO_TRAFFIC = "no_traffic"
    NO_TELEMETRY = "no_telemetry"
    TRAFFIC_LOST = "traffic_lost"
    BASELINE_ALREADY_BAD = "baseline_already_bad"


class Unit(StrEnum):
    """Unit of a criterion's numbers: a fraction of all requests, a time, events in a unit of exposure, or a number of
    the service's own.
    """

    RATIO = "ratio"
    SECONDS = "seconds"
    RATE = "rate"
    VALUE = "value"


class Bound(StrEnum):
    """Bound that the number of a quantile is, where one bucket holds everything and nothing closer is known."""

    AT_MOST = "at_most"
    ABOVE = "above"


@dataclass(frozen=True, slots=True)
class StratumReport:
    """One stratum of a criterion after an evaluation, such as one route. The numbers are as in `CriterionReport`;
    `interval` holds for all strata together. `observed` and `baseline` are the quantiles of a latency."""

    name: str
    finding: Finding
    requests: float = 0.0
    bad: float = 0.0
    baseline_requests: float = 0.0
    baseline_bad: float = 0.0
    limit: float | None = None
    interval: tuple[float, float] | None = None
    log_e_harm: float = 0.0
    observed: float | None = None
    baseline: float | None = None


@dataclass(frozen=True, slots=True)
class CriterionReport:
    """One criterion after an evaluation.

    `observed_is` says that `observed` is no estimate and only bounds it. `unit` is that of observed, limit, baseline
    and interval, None if nothing is measured. `bad` counts errors, or requests slower than the limit. `interval` is a
    confidence interval: it contains the true value at all evaluations at once with the gate's stated risk.
    `requests_needed` and `seconds_needed` estimate what a proof of safety still needs if traffic goes on like this;
    None if it would never be reached. `log_e_harm` and `log_e_safe` are natural logarithms of e-values, None for
    criteria that have none. `noun` is what `requests` counts. `by` is the label that a criterion is split by,
    `strata_seen` the number of its values, and `strata` has those with the most evidence of harm; the other numbers
    are of all together.
    """

    name: str
    critical: bool
    finding: Finding
    sentence: str
    observed: float | None = None
    observed_is: Bound | None = None
    limit: float | None = None
    baseline: float | None = None
    interval: tuple[float, float] | None = None
    requests: float = 0.0
    bad: float = 0.0
    baseline_requests: float = 0.0
    baseline_bad: float = 0.0
    requests_needed: float | None = None
    seconds_needed: float | None = None
    log_e_harm: float | None = None
    log_e_safe: float | None = None
    correlation: float | None = None
    unit: Unit | None = None
    noun: str = "request"
    by: str | None = None
    strata_seen: int = 0
    strata: tuple[StratumReport, ...] = ()

    @property
    def p_value(self) -> float | None:
        """Anytime-valid p-value of harm, min(1, 1/E)."""
        return None if self.log_e_harm is None else exp(-max(0.0, self.log_e_harm))


@dataclass(frozen=True, slots=True)
class Standing:
    """The judge's result after one evaluation. `verdict` is None while the gate goes on.

    `log_e_harm` is the combined evidence of harm; the gate fails when it reaches `log_e_needed` = ln(1 / risk).
    `allowance` is what a caller is told that sets the weight itself, None under a policy without one.
    """

    at: datetime
    elapsed_seconds: float
    verdict: Verdict | None
    reason: Reason
    sentence: str
    log_e_harm: float
    log_e_needed: float
    criteria: tuple[CriterionReport, ...]
    gaps: int = 0
    resets: int = 0
    allowance: Allowance | None = None

    @property
    def e_harm(self) -> float:
        """Strength of the evidence of harm, limited to the range of a float."""
        return exp(min(self.log_e_harm, 700.0))

    @property
    def p_value(self) -> float:
        """Anytime-valid p-value of harm, min(1, 1/E)."""
        return exp(-max(0.0, self.log_e_harm))
