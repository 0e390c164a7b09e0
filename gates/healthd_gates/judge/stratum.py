"""One stratum of a split criterion, such as one route: the tests of the whole against the limit and the baseline, on
its requests alone."""

from __future__ import annotations

from math import sqrt

from healthd_gates.domain.evidence import Counts
from healthd_gates.domain.standing import Finding, StratumReport
from healthd_gates.judge import explain
from healthd_gates.judge.against_past import rate_interval
from healthd_gates.judge.arms import LastMinute, SharedIncident
from healthd_gates.judge.burstiness import Burstiness
from healthd_gates.judge.criterion import END_SUSPICION, Frame, Look
from healthd_gates.judge.exceedance import AboveBaseline, AboveLimit
from healthd_gates.judge.interval import RateInterval
from healthd_gates.judge.joint_cap import Caps
from healthd_gates.judge.past import Past, Reading
from healthd_gates.judge.rules import Against, ErrorRateRule
from healthd_gates.judge.weighing import weighed

_LIMIT = 0.06
"""Share of the limit where a baseline is compared too: that of the whole criterion."""
_WORSE = 2.0  # times what a stratum failed before, if that is surely beyond half the limit
_HIGHEST = 0.999
_SIGMAS = 3.0  # standard deviations beyond the limit that are no chance
_DUE = 20.0  # requests that the candidate would have had, and had none of


def reading_of(name: str) -> Reading:
    """Return the reading of one stratum: requests and failed ones, None where nothing was split."""

    def reading(counts: Counts) -> tuple[float, float] | None:
        if not counts.strata:
            return None
        requests, bad = counts.strata.get(name, (0.0, 0.0))
        return requests, min(bad, requests)

    return reading


class Stratum:
    """One stratum of one gate.

    Its limit is the criterion's; one that surely failed more than half of that before is held to twice what it failed.
    """

    def __init__(self, name: str, rule: ErrorRateRule, frame: Frame, past: Past) -> None:
        self.name, self._frame, self._rule = name, frame, rule
        self.reading = reading_of(name)
        self._burstiness = Burstiness.of(past, self.reading, frame.timing.interval)
        self.limit = None if rule.limit is None else _limit_of(rule.limit, frame, past, self.reading)
        self._against_limit = (
            AboveLimit(self.limit, frame) if self.limit is not None and self.limit < _HIGHEST else None
        )
        compared = rule.comparison if rule.comparison and rule.comparison.against is not Against.BEFORE else None
        self._against_baseline = None if compared is None else AboveBaseline(compared, frame, past, self.reading)
        self._incident, self._lately, self._interval = SharedIncident(), LastMinute(), RateInterval()
        self._baseline = (0.0, 0.0)
        self.due = 0.0
        self.log_e_harm, self.cause = 0.0, ""
        """ln E of harm in this stratum, and the kind of harm that most speaks for."""

    def step(self, look: Look, caps: Caps, baseline_share: float) -> None:
        """Judge one evaluation. `baseline_share` is how many requests the candidate had in it for one of the
        baseline's."""
        evidence = look.evidence
        candidate = self.reading(evidence.candidate) if evidence.candidate else None
        baseline = self.reading(evidence.baseline) if evidence.baseline else None
        odds = self._burstiness.odds
        self._incident.step(evidence, baseline)
        self._lately.step(evidence.seconds, candidate)
        if not look.settling:
            self._count(candidate, baseline, baseline_share)
            if candidate is not None and candidate[0] > 0:
                self._interval.step(candidate[1], candidate[0], odds)
                if self._against_limit:
                    self._against_limit.step(candidate, odds, 0.0 if self._is_excused else caps.first)
            if self._against_baseline:
                self._against_baseline.step(candidate, baseline, odds, caps)
            self._weigh()
        elif self._against_baseline:
            self._against_baseline.settle(candidate, baseline, odds)
        self._burstiness.learn(candidate, baseline, evidence.seconds, settling=look.settling)

    def _count(
        self, candidate: tuple[float, float] | None, baseline: tuple[float, float] | None, baseline_share: float
    ) -> None:
        if candidate is not None and candidate[0] > 0:
            self.due = 0.0
        if baseline is None:
            return
        self._baseline = (self._baseline[0] + baseline[0], self._baseline[1] + baseline[1])
        if candidate is not None and candidate[0] <= 0:
            self.due += baseline[0] * baseline_share

    @property
    def _is_excused(self) -> bool:
        return self.limit is not None and self._incident.above(self.limit / 2)

    @property
    def requests(self) -> float:
        """The candidate's requests since it settled."""
        return self._interval.requests

    @property
    def is_silent(self) -> bool:
        """True if the candidate has none of so many requests that it would have had by the baseline's."""
        return self.due >= _DUE

    @property
    def is_doubtful(self) -> bool:
        """True if more requests failed than the limit allows, so far or clearly in the last minute: nothing passes
        early then."""
        return self._is_beyond_limit(self._interval, 1.0) or self._is_beyond_limit(self._lately, _SIGMAS)

    def _is_beyond_limit(self, seen: RateInterval | LastMinute, deviations: float) -> bool:
        """True if more failed than the limit allows, by so many standard deviations of chance."""
        if self.limit is None:
            return False
        allowed = self.limit * seen.requests
        return seen.bad > allowed + deviations * sqrt(allowed) + 1

    @property
    def is_suspect(self) -> bool:
        """True if the evidence would be suspicious of a criterion by itself, and its counts are clearly beyond the
        limit."""
        return self.log_e_harm >= END_SUSPICION and self._is_beyond_limit(self._interval, _SIGMAS)

    @property
    def is_proven(self) -> bool:
        """True if it is proven to keep its limit, or what it is compared with, and nothing speaks for harm."""
        tests = [test for test in (self._against_limit, self._against_baseline) if test]
        beyond = self.limit is not None and self._interval.bad > self.limit * self._interval.requests
        return (
            bool(tests)
            and min(test.log_e_safe for test in tests[:1]) >= self._frame.safety_needed
            and self.log_e_harm <= 0
            and not beyond
        )

    def _weigh(self) -> None:
        if (harm := weighed(self._against_limit, self._against_baseline, _LIMIT)) is not None:
            self.log_e_harm, self.cause = harm

    @property
    def seen(self) -> str:
        """Numbers that the candidate showed, for people."""
        requests, bad = self._interval.requests, self._interval.bad
        rate = bad / requests if requests else 0.0
        now = ""
        if self._lately.rate > 1.5 * rate:
            now = f"{explain.percent(self._lately.rate)} of the requests of the last minute, "
        return f"{now}{explain.percent(rate)} ({explain.failed(bad, requests, 'request')})"

    @property
    def limits(self) -> str:
        """Limits that it is held to, for people."""
        m, y = self._compared
        parts = [] if self.limit is None else [f"limit {explain.percent(self.limit)}"]
        if self._rule.comparison is not None and self._rule.comparison.against is not Against.BEFORE:
            before = self._rule.comparison.against is Against.HISTORY
            name = "earlier baseline" if before else "baseline"
            parts.append(f"{name} {explain.percent(y / m) if m else 'unknown'}")
        return ", ".join(parts)

    @property
    def _compared(self) -> tuple[float, float]:
        """The requests and bad ones that it is compared with, else those of the version beside it."""
        if self._against_baseline is not None and any(compared := self._against_baseline.totals[2:]):
            return compared
        return self._baseline

    def report(self, harmful: bool) -> StratumReport:
        """Return the report; `harmful` is True if the criterion as a whole has found harm."""
        finding = Finding.OPEN
        if harmful and self.log_e_harm >= self._frame.harm_needed:
            finding = Finding.HARM
        elif self.is_silent:
            finding = Finding.NO_TRAFFIC
        elif self.is_proven:
            finding = Finding.SAFE
        seen = self._interval.requests
        risk = self._frame.risk.false_rollback / self._frame.parts
        bounds = explain.within_finding(self._interval.bounds(risk), finding, self.limit) if seen else None
        baseline = self._compared
        return StratumReport(
            self.name, finding, seen, self._interval.bad, *baseline, self.limit, bounds, self.log_e_harm
        )


def _limit_of(limit: float, frame: Frame, past: Past, reading: Reading) -> float:
    low, high = rate_interval(past.baseline(reading), frame.risk.false_rollback / frame.parts)
    return max(limit, min(1.0, _WORSE * high)) if low > limit / 2 else limit
