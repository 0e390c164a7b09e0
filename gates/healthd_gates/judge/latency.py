"""The latency criterion: "slower than a bucket edge" is a yes or no for each request, so the tests of the error rate
are used here too.
"""

from math import inf

from healthd_gates.domain.standing import CriterionReport, Finding, Unit
from healthd_gates.judge import explain
from healthd_gates.judge.criterion import Frame, Look
from healthd_gates.judge.deterioration import Deterioration
from healthd_gates.judge.past import Past
from healthd_gates.judge.quantiles import SeenLatency
from healthd_gates.judge.rules import Against, LatencyRule
from healthd_gates.judge.slowness import SlowerThanBaseline, SlowerThanLimit
from healthd_gates.judge.strata import Part, Strata
from healthd_gates.judge.weighing import Weighed

_LIMIT = 0.4
"""Share of the risk for the limit if there is a baseline too."""
_BEFORE = 0.3
"""The share of what is several times slower than before the switch."""


class Latency(Weighed):
    """A `LatencyRule` in use."""

    def __init__(self, rule: LatencyRule, frame: Frame, past: Past, strata: Strata | None = None) -> None:
        self._strata = strata
        self.name, self.critical, self.weight = rule.name, rule.critical, rule.weight
        self._rule, self._frame = rule, frame
        self._against_limit = (
            None if rule.limit is None else SlowerThanLimit(rule.limit, 1 - rule.quantile, frame, past)
        )
        self._against_baseline = None
        if rule.comparison is not None and rule.comparison.against is not Against.BEFORE:
            self._against_baseline = SlowerThanBaseline(rule.comparison, 1 - rule.quantile, frame, past)
        elif rule.comparison is not None and rule.limit is not None:
            self._before = Deterioration.of_latency(rule.comparison, rule.quantile, rule.limit, frame, past)
        self._seen = SeenLatency(rule.quantile)
        self._baseline_seen = SeenLatency(rule.quantile)

    def _step_total(self, look: Look) -> None:
        evidence, settling = look.evidence, look.settling
        caps = self._frame.caps(look.rhythm)
        if self._against_limit:
            self._against_limit.step(evidence, settling, caps.first)
        if self._against_baseline:
            self._against_baseline.step(evidence, settling, caps)
        if self._before:
            excused = self._against_limit is not None and self._against_limit.is_excused
            self._before.step(look, excused=excused)
        if not settling:
            odds = self._odds
            self._seen.step(evidence.candidate, odds)
            self._baseline_seen.step(evidence.baseline, odds)

    @property
    def _is_beyond_limit(self) -> bool:
        limit, seen = self._rule.limit, self._seen
        return limit is not None and seen.slower_than(limit) > (1 - self._rule.quantile) * seen.requests + 1e-9

    @property
    def _tests(self) -> list[SlowerThanLimit | SlowerThanBaseline]:
        return [test for test in (self._against_limit, self._against_baseline) if test]

    @property
    def _odds(self) -> float:
        return min(test.odds for test in self._tests)

    @property
    def _parts_of_total(self) -> list[Part]:
        if self._before and self._before.decides and self._against_limit:
            limit = (1 - _BEFORE, self._against_limit.log_e_harm, self._against_limit.cause)
            return [limit, (_BEFORE, self._before.log_e_harm, self._before.cause)]
        weights = (_LIMIT, 1 - _LIMIT) if len(self._tests) == 2 else (1.0,)
        return [(w, test.log_e_harm, test.cause) for w, test in zip(weights, self._tests, strict=True)]

    def _report_total(self, silence: Finding | None) -> CriterionReport:
        finding = self._finding(silence)
        looks = max(test.looks_needed() for test in self._tests)
        requests = self._seen.requests
        needed = explain.still_needed(
            looks if requests else inf, self._frame.timing.interval, requests / max(1, self._seen.looks)
        )
        slow = self._seen.slower_than(self._rule.limit) if self._rule.limit else 0.0
        baseline = self._before.usual if self._before else self._baseline_seen.quantile
        interval = self._seen.bounds(self._frame.risk.false_rollback)
        if interval is not None and finding is Finding.SAFE:
            interval = explain.within_finding(interval, finding, self._rule.limit)
        return CriterionReport(
            name=self.name,
            critical=self.critical,
            finding=finding,
            sentence=explain.finding_sentence(
                finding,
                f"p{100 * self._rule.quantile:g} latency",
                self._cause,
                self._shown(finding),
                self._limits(finding, self._limits_of_total(baseline, finding)),
                *needed,
                counted=requests > 0,
            ),
            observed=self._seen.quantile,
            observed_is=self._seen.bound,
            limit=self._rule.limit,
            baseline=baseline,
            interval=interval,
            requests=requests,
            bad=slow,
            baseline_requests=self._baseline_seen.requests,
            baseline_bad=self._baseline_seen.slower_than(self._rule.limit) if self._rule.limit else 0.0,
            requests_needed=needed[0],
            seconds_needed=needed[1],
            log_e_harm=self.log_e_harm,
            log_e_safe=self.log_e_safe,
            correlation=1 / (1 + self._odds),
            unit=Unit.SECONDS,
        )

    @property
    def baseline_bad(self) -> bool:
        """True if the baseline itself is above half of what the limit allows, now or in the last minute."""
        return self._against_limit is not None and self._against_limit.baseline_bad

    @property
    def is_too_coarse(self) -> bool:
        """True if a limit or a comparison is asked for that the buckets do not tell."""
        hidden = self._before is not None and self._before.uncompared
        if self._against_limit is not None and self._against_limit.too_coarse:
            hidden = hidden or self._against_limit.looks_needed() == inf
        return hidden or (self._against_baseline is not None and self._against_baseline.is_too_coarse)

    def _shown_of_total(self, _finding: Finding) -> str:
        value = self._seen.quantile
        if value is None:
            return "no latencies since it settled"
        return f"{explain.quantile(value, self._seen.bound)} over {explain.plural(self._seen.requests, 'request')}"

    def _limits_of_total(self, baseline: float | None, finding: Finding) -> str:
        parts = []
        if self._rule.limit is not None:
            parts.append(f"limit {explain.seconds(self._rule.limit)}")
        if finding is Finding.OPEN and self._against_limit and self._against_limit.too_coarse:
            low, high = (explain.seconds(edge) for edge in self._against_limit.around)
            edge = f'put an edge at the limit, le="{self._rule.limit:g}" in seconds'
            parts.append(f"buckets too coarse between {low} and {high}: {edge}")
        if self._before:
            usual, hidden = self._before.usual, self._before.hidden
            parts.append(explain.before(usual, self._before.allowed, self._rule.limit, explain.seconds, hidden))
        elif self._rule.comparison is not None:
            name = "earlier baseline" if self._rule.comparison.against is Against.HISTORY else "baseline"
            bound = self._baseline_seen.bound
            known = "unknown" if baseline is None else explain.quantile(baseline, bound).removeprefix("about ")
            parts.append(f"{name} {known}")
            if self.is_too_coarse:
                parts.append("in one bucket that hides several times more: add edges")
            if self._against_baseline and self._against_baseline.unlike:
                parts.append("whose buckets are others, so that only large differences show")
        return ", ".join(parts)
