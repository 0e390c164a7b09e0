"""The value criterion: a number that is no count. Against a band a plain threshold, without a guarantee; against the
baseline beside it a bet on the sign of the difference, with the stated risk.

The bet assumes no distribution. Against "in every comparison the candidate is worse than tolerated with a chance of at
most one half, given all before", a stake f gains ln(1 + f) where it is worse and ln(1 − f) where it is not, which
expects at most 1 (betting on a coin: Waudby-Smith & Ramdas 2024). A tie counts for the candidate. Values drift for
longer than a comparison, and two healthy arms then differ for many in a row; so worse is what is worse by more than the
drift that the past shows. Where no past shows it, and the rule does not say it, the comparison is told and decides
nothing.
"""

from __future__ import annotations

from math import log1p
from statistics import median

from healthd_gates.domain.evidence import Values
from healthd_gates.domain.standing import CriterionReport, Finding, Reason, Unit
from healthd_gates.judge import explain
from healthd_gates.judge.criterion import END_SUSPICION, Frame, Look
from healthd_gates.judge.drift import Drift, drift_of
from healthd_gates.judge.mixtures import OnsetMixture
from healthd_gates.judge.past import Past
from healthd_gates.judge.rules import ValueRule
from healthd_gates.judge.streams import interval_of

_STAKES = (0.1, 0.3, 0.6, 0.9)
_MISSED = 3.0  # times the usual distance of samples, beyond which one is missing


class SignBet:
    """E-process against "the candidate is worse in at most half of the comparisons, whatever came before"."""

    def __init__(self, horizon: int) -> None:
        self._mixture = OnsetMixture(len(_STAKES), horizon)

    def step(self, *, worse: bool, cap: float) -> None:
        """Take one comparison; no stake gains more than `cap` nats."""
        self._mixture.step([min(cap, log1p(stake if worse else -stake)) for stake in _STAKES])

    @property
    def log_e(self) -> float:
        """ln E so far."""
        return self._mixture.log_e


class Value:
    """A `ValueRule` in use."""

    failure = Reason.THRESHOLD_EXCEEDED
    proves_safety = False
    baseline_bad = False

    def __init__(self, rule: ValueRule, frame: Frame, past: Past) -> None:
        self.name, self.critical, self.weight = rule.name, rule.critical, rule.weight
        self._rule, self._frame = rule, frame
        spacing = max(rule.sample, frame.timing.interval)
        self._bet = None if rule.ratio is None else SignBet(max(1, round(frame.timing.maximum / spacing)))
        self._drift = (
            drift_of([*past.before, *past.earlier, *past.bake, *past.own]) if rule.drift is None else Drift(rule.drift)
        )
        self._own: float | None = None
        self._other: float | None = None
        self._compared: tuple[float, float] | None = None
        self._instances = 0
        self._samples = self._comparisons = self._worse = 0
        self._since_report = 0.0
        self._outside: float | None = None
        self._since_comparison = spacing
        self._spacing = spacing
        self._new = [False, False]

    def step(self, look: Look) -> None:
        """Take the evidence of one evaluation."""
        own = interval_of(look.evidence, self._rule.stream)
        self._since_report += own.seconds
        self._since_comparison += own.seconds
        if isinstance(own.baseline, Values):
            self._other, self._new[1] = median(own.baseline.values), True
            self._instances = min(len(own.baseline.values), self._instances or len(own.baseline.values))
        if isinstance(own.candidate, Values):
            self._own, self._new[0] = median(own.candidate.values), True
            self._instances = min(len(own.candidate.values), self._instances or len(own.candidate.values))
            if not look.settling:
                self._samples += 1
                self._hold_to_band(self._own)
            self._since_report = 0.0
        if not look.settling:
            self._compare(self._frame.cap(look.rhythm))

    def _hold_to_band(self, value: float) -> None:
        """Count the time since the first of the samples outside the band. A gap in the numbers breaks it: nobody knows
        where the value was."""
        if self._is_inside(value):
            self._outside = None
        elif self._outside is None or self._since_report > _MISSED * self._spacing:
            self._outside = 0.0
        else:
            self._outside += self._since_report

    def _is_inside(self, value: float) -> bool:
        low, high = self._rule.lowest, self._rule.highest
        return (low is None or value >= low) and (high is None or value <= high)

    def _compare(self, cap: float) -> None:
        """Bet once for new samples of both arms, which are as far apart as the rule says."""
        if self._bet is None or self._own is None or self._other is None or not all(self._new):
            return
        pair = (self._own, self._other)
        if self._since_comparison < self._spacing - 1e-6 or pair == self._compared:
            return
        self._compared, self._since_comparison, self._new = pair, 0.0, [False, False]
        worse = self._is_worse(*pair)
        self._comparisons += 1
        self._worse += worse
        self._bet.step(worse=worse, cap=cap)

    def _is_worse(self, own: float, other: float) -> bool:
        ratio, drift = self._rule.ratio or 1.0, self._drift or Drift(0.0)
        if self._rule.worse == "lower":
            return own < drift.below(other / ratio if other >= 0 else other * ratio)
        return own > drift.above(other * ratio if other >= 0 else other / ratio)

    @property
    def failed(self) -> bool:
        """True if it has been outside the band for as long as the rule allows."""
        return self._outside is not None and self._outside >= self._rule.patience - 1e-6

    @property
    def uncompared(self) -> bool:
        """True if a comparison was required and none was made."""
        return self._bet is not None and not self._comparisons

    @property
    def log_e_harm(self) -> float | None:
        """ln E of harm; None without a comparison that may decide."""
        return None if self._bet is None or self._drift is None else self._bet.log_e

    @property
    def _is_clear(self) -> bool:
        return self._samples > 0 and self._outside is None

    @property
    def proven(self) -> bool:
        """True if it is inside the band, and nothing speaks for harm so far."""
        return self._is_clear and (self.log_e_harm or 0.0) <= 0

    @property
    def acceptable(self) -> bool:
        """True if it is inside the band at the end, and there is no suspicion of harm."""
        return self._is_clear and (self.log_e_harm or 0.0) < END_SUSPICION and not self.uncompared

    def report(self, silence: Finding | None) -> CriterionReport:
        """Return the criterion's report."""
        finding = self._finding(silence)
        limit = self._rule.highest if self._rule.highest is not None else self._rule.lowest
        return CriterionReport(
            name=self.name,
            critical=self.critical,
            finding=finding,
            sentence=self._sentence(finding),
            observed=self._own,
            limit=limit,
            baseline=self._other,
            requests=self._samples,
            bad=self._worse,
            baseline_requests=self._comparisons,
            log_e_harm=self.log_e_harm,
            unit=Unit.VALUE,
            noun="sample",
        )

    def _finding(self, silence: Finding | None) -> Finding:
        if self.failed or (self.log_e_harm or 0.0) >= self._frame.harm_needed:
            return Finding.HARM
        unknown = self._bet is not None and self._drift is None
        return silence or (Finding.CLEAR if self.acceptable and not unknown else Finding.OPEN)

    def _sentence(self, finding: Finding) -> str:
        parts = list[str]()
        if self._rule.lowest is not None or self._rule.highest is not None:
            low, high = self._rule.lowest, self._rule.highest
            ends = [f"at least {low:.4g}"] if low is not None else []
            ends += [f"at most {high:.4g}"] if high is not None else []
            parts.append(f"band {' and '.join(ends)}, a plain threshold without a guarantee")
        if self._bet is not None:
            known = "unknown" if self._other is None else f"{self._other:.4g}"
            parts.append(
                f"baseline {known}, worse in {self._worse} of {explain.plural(self._comparisons, 'comparison')}"
            )
            if self._drift is None:
                parts.append("decides nothing: no hour of a past shows how far it drifts by itself; set compare.drift")
            elif self._drift.difference:
                parts.append(f"beyond a drift of {self._drift.difference:.3g}")
            if self._instances < 2:
                parts.append("one instance an arm, so that a lasting difference of machines looks the same")
        seen = "not measured yet" if self._own is None else f"{self._own:.4g}"
        cause = (
            f"outside its band for {explain.seconds(self._outside or 0.0)}"
            if self.failed
            else "worse than the baseline's"
        )
        return explain.finding_sentence(finding, f"value of {self.name}", cause, seen, "; ".join(parts), None, None)
