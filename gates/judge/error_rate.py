"""The error-rate criterion: against a limit, against a baseline, and against catastrophe."""

from collections.abc import Sequence
from math import inf, log

from gates.judge import explain
from gates.judge.arms import Pair, Pairing, Past, SharedIncident, errors
from gates.judge.burstiness import Burstiness
from gates.judge.criterion import END_SUSPICION, Frame, Look
from gates.judge.interval import RateInterval
from gates.judge.mixtures import log_weighted
from gates.judge.processes import BaselineHarm, BaselineSafety, Catastrophe, LimitHarm, LimitSafety
from gates.judge.rules import Against, ErrorRateRule
from gates.model import Counts, CriterionReport, Finding, Reason, Unit

_CATASTROPHE = 0.1
"""Share of the risk for catastrophes; limit and baseline have the rest, half each where there are both."""


class ErrorRate:
    """An `ErrorRateRule` at work."""

    def __init__(self, rule: ErrorRateRule, frame: Frame, history: Sequence[Counts]) -> None:
        self.name, self.critical, self.weight = rule.name, rule.critical, rule.weight
        self._rule, self._frame = rule, frame
        past = [errors(counts) for counts in history]
        self._burstiness = Burstiness(past)
        self._odds = self._burstiness.odds
        self._catastrophe = Catastrophe(
            rule.limit or 0.0, frame.horizon + round(frame.timing.warm_up / frame.timing.interval)
        )
        self._against_limit = None if rule.limit is None else _AgainstLimit(rule.limit, frame)
        self._against_baseline = None if rule.comparison is None else _AgainstBaseline(rule, frame, history)
        self._incident = SharedIncident()
        self._interval = RateInterval()
        self._looks = 0

    def step(self, look: Look) -> None:
        """Take one look: judge it with what was known before it, then learn from it."""
        evidence = look.evidence
        candidate = errors(evidence.candidate) if evidence.candidate else None
        baseline = errors(evidence.baseline) if evidence.baseline else None
        self._odds = self._burstiness.odds
        self._incident.step(evidence, baseline)
        if candidate is not None:
            shared = self._incident.above(self._catastrophe.line / 2)
            self._catastrophe.step(candidate[1], candidate[0], self._odds, shared)
        if not look.warming_up:
            cap = self._frame.cap(evidence.seconds)
            if candidate is not None:
                self._looks += 1
                self._interval.step(candidate[1], candidate[0], self._odds)
                if self._against_limit:
                    self._against_limit.step(candidate, self._odds, 0.0 if self.baseline_bad else cap)
            if self._against_baseline:
                self._against_baseline.step(candidate, baseline, self._odds, cap)
        self._learn(candidate, baseline, look.warming_up)

    def _learn(
        self,
        candidate: tuple[float, float] | None,
        baseline: tuple[float, float] | None,
        warming_up: bool,
    ) -> None:
        if baseline is not None:
            self._burstiness.add_baseline(*baseline)
        if candidate is not None and not warming_up:
            self._burstiness.add_candidate(*candidate)

    @property
    def baseline_bad(self) -> bool:
        """Whether the baseline itself is above half the limit, now or in the last minute."""
        return self._rule.limit is not None and self._incident.above(self._rule.limit / 2)

    @property
    def log_e_harm(self) -> float:
        """ln E of harm: a weighted mean over what can go wrong."""
        parts = [test.log_e_harm for test in (self._against_limit, self._against_baseline) if test]
        each = (1 - _CATASTROPHE) / len(parts)
        return log_weighted([(_CATASTROPHE, self._catastrophe.log_e), *((each, log_e) for log_e in parts)])

    @property
    def log_e_safe(self) -> float:
        """ln E of safety: the weakest of the proofs that the rule asks for."""
        return min(test.log_e_safe for test in (self._against_limit, self._against_baseline) if test)

    failed = False
    failure = Reason.HARM

    @property
    def proven(self) -> bool:
        """Safety proven, and nothing that speaks for harm."""
        return self.log_e_safe >= self._frame.safety_needed and self.log_e_harm <= 0

    @property
    def acceptable(self) -> bool:
        """The limit proven (or the comparison, where there is no limit), and no suspicion of harm."""
        needed = self._against_limit or self._against_baseline
        assert needed is not None
        return needed.log_e_safe >= self._frame.safety_needed and self.log_e_harm < END_SUSPICION

    def report(self, silence: Finding | None) -> CriterionReport:
        """How it stands."""
        seen, bad = self._interval.requests, self._interval.bad
        compared = self._against_baseline.totals if self._against_baseline else (0.0, 0.0, 0.0, 0.0)
        needed, needed_seconds = self._still_needed()
        finding = self._finding(silence)
        baseline = compared[3] / compared[2] if compared[2] else None
        return CriterionReport(
            name=self.name,
            critical=self.critical,
            finding=finding,
            sentence=explain.finding_sentence(
                finding, "error rate", self._seen(), self._limits(baseline), needed, needed_seconds
            ),
            observed=bad / seen if seen else None,
            limit=self._rule.limit,
            baseline=baseline,
            interval=self._interval.bounds(self._frame.risk.false_rollback) if seen else None,
            requests=seen,
            bad=bad,
            baseline_requests=compared[2],
            baseline_bad=compared[3],
            requests_needed=needed,
            seconds_needed=needed_seconds,
            log_e_harm=self.log_e_harm,
            log_e_safe=self.log_e_safe,
            correlation=1 / (1 + self._odds),
            unit=Unit.RATIO,
        )

    def _finding(self, silence: Finding | None) -> Finding:
        if self.log_e_harm >= self._frame.harm_needed:
            return Finding.HARM
        if silence is not None:
            return silence
        if self.baseline_bad:
            return Finding.BASELINE_ALREADY_BAD
        return Finding.SAFE if self.proven else Finding.OPEN

    def _seen(self) -> str:
        seen, bad = self._interval.requests, self._interval.bad
        if not seen:
            return "no requests since the warm-up"
        return f"{explain.percent(bad / seen)} ({explain.number(bad)} of {explain.plural(seen, 'request')})"

    def _limits(self, baseline: float | None) -> str:
        parts = []
        if self._rule.limit is not None:
            parts.append(f"limit {explain.percent(self._rule.limit)}")
        if self._rule.comparison is not None:
            before = self._rule.comparison.against is Against.HISTORY
            name = "earlier baseline" if before else "baseline"
            parts.append(f"{name} {'unknown' if baseline is None else explain.percent(baseline)}")
        return ", ".join(parts)

    def _still_needed(self) -> tuple[float | None, float | None]:
        if not self._looks or not self._interval.requests:
            return None, None
        mean = (self._interval.requests / self._looks, self._interval.bad / self._looks)
        looks = 0.0
        if self._against_limit:
            looks = max(looks, self._against_limit.looks_needed(mean, self._odds))
        if self._against_baseline:
            looks = max(looks, self._against_baseline.looks_needed(mean, self._odds))
        return explain.still_needed(looks, self._frame.timing.interval, mean[0])


class _AgainstLimit:
    """Harm and safety against the limit."""

    def __init__(self, limit: float, frame: Frame) -> None:
        self._target = frame.safety_needed
        self._harm, self._safety = LimitHarm(limit, frame.horizon), LimitSafety(limit)

    def step(self, candidate: tuple[float, float], odds: float, cap: float) -> None:
        self._harm.step(candidate[1], candidate[0], odds, cap)
        self._safety.step(candidate[1], candidate[0], odds)

    def looks_needed(self, mean: tuple[float, float], odds: float) -> float:
        return self._safety.looks_needed(self._target, mean[1], mean[0], odds)

    @property
    def log_e_harm(self) -> float:
        return self._harm.log_e

    @property
    def log_e_safe(self) -> float:
        return self._safety.log_e


class _AgainstBaseline:
    """Harm against the tolerated ratio; safety as the mean of "below the floor" and "below the harmful
    ratio", both of which a harmful candidate would have to refute by chance.
    """

    def __init__(self, rule: ErrorRateRule, frame: Frame, history: Sequence[Counts]) -> None:
        comparison = rule.comparison
        assert comparison is not None
        self._target = frame.safety_needed
        self._past = Past(history, errors) if comparison.against is Against.HISTORY else None
        self._pairing = Pairing()
        self._harm = BaselineHarm(comparison.tolerated, frame.horizon)
        self._floor = LimitSafety(comparison.floor) if comparison.floor else None
        self._ratio = BaselineSafety(comparison.harmful)

    @property
    def totals(self) -> Pair:
        return self._pairing.totals

    def step(
        self,
        candidate: tuple[float, float] | None,
        baseline: tuple[float, float] | None,
        odds: float,
        cap: float,
    ) -> None:
        if self._past is not None and candidate is not None:
            baseline = self._past.take()
        if self._floor and candidate is not None:
            self._floor.step(candidate[1], candidate[0], odds)
        pair = self._pairing.add(candidate, baseline)
        if pair is None:
            return
        self._harm.step(pair, odds, cap)
        self._ratio.step(pair, odds)

    def looks_needed(self, mean: tuple[float, float], odds: float) -> float:
        half = self._target + (log(2) if self._floor else 0.0)
        looks = inf
        if self._floor:
            looks = self._floor.looks_needed(half, mean[1], mean[0], odds)
        if self._pairing.count:
            looks = min(looks, self._ratio.looks_needed(half, self._pairing.mean, odds))
        return looks

    @property
    def log_e_harm(self) -> float:
        return self._harm.log_e

    @property
    def log_e_safe(self) -> float:
        if self._floor is None:
            return self._ratio.log_e
        return log_weighted([(0.5, self._floor.log_e), (0.5, self._ratio.log_e)])
