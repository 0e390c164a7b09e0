"""One stratum of a latency that is split, such as one route: the tests of the whole against the limit and the baseline,
on its latencies alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import sqrt

from healthd_gates.domain.evidence import Counts, Evidence, Histogram
from healthd_gates.domain.standing import Finding, StratumReport
from healthd_gates.judge import explain
from healthd_gates.judge.against_past import rate_interval
from healthd_gates.judge.arms import LastMinute, count_above, quantile, slower_than
from healthd_gates.judge.criterion import END_SUSPICION, Frame, Look
from healthd_gates.judge.joint_cap import Caps
from healthd_gates.judge.past import Past, Stretch
from healthd_gates.judge.rules import Against, LatencyRule
from healthd_gates.judge.slowness import SlowerThanBaseline, SlowerThanLimit
from healthd_gates.judge.weighing import weighed

_LIMIT = 0.4
"""Share of the limit where a baseline is compared too: that of the whole criterion."""
_WORSE = 2.0  # times the share beyond the limit before, if that is surely beyond half of what is allowed
_HIGHEST = 0.999
_SIGMAS = 3.0  # standard deviations beyond the limit that are no chance
_DUE = 20.0  # requests that the candidate would have had, and had none of


class LatencyStratum:
    """One stratum of one gate.

    Its limit is the criterion's. One of which surely more than half of what the quantile allows was slower before, such
    as an export among pages, is held to twice that share.
    """

    def __init__(self, name: str, rule: LatencyRule, frame: Frame, past: Past) -> None:
        self.name, self._rule, self._frame = name, rule, frame
        own = _past_of(name, past)
        self._tail = 1 - rule.quantile if rule.limit is None else _tail_of(rule.limit, 1 - rule.quantile, frame, own)
        self._against_limit = (
            SlowerThanLimit(rule.limit, self._tail, frame, own)
            if rule.limit is not None and self._tail < _HIGHEST
            else None
        )
        compared = rule.comparison if rule.comparison and rule.comparison.against is not Against.BEFORE else None
        self._against_baseline = (
            None if compared is None else SlowerThanBaseline(compared, 1 - rule.quantile, frame, own)
        )
        self._reading = None if rule.limit is None else slower_than(rule.limit)
        self._lately = LastMinute()
        self._latency: Histogram | None = None
        self._baseline: Histogram | None = None
        self.due = 0.0
        self.log_e_harm, self.cause = 0.0, ""

    def step(self, look: Look, caps: Caps, baseline_share: float) -> None:
        evidence = _of_stratum(look.evidence, self.name)
        candidate, baseline = evidence.candidate, evidence.baseline
        self._lately.step(evidence.seconds, self._reading(candidate) if self._reading and candidate else None)
        if self._against_limit:
            self._against_limit.step(evidence, look.settling, caps.first)
        if self._against_baseline:
            self._against_baseline.step(evidence, look.settling, caps)
        if look.settling:
            return
        self._latency = _with(self._latency, candidate)
        self._baseline = _with(self._baseline, baseline)
        if candidate is not None and candidate.latency is not None:
            self.due = 0.0
        elif candidate is not None and baseline is not None and baseline.latency is not None:
            self.due += baseline.latency.total * baseline_share
        self._weigh()

    def _weigh(self) -> None:
        if (harm := weighed(self._against_limit, self._against_baseline, _LIMIT)) is not None:
            self.log_e_harm, self.cause = harm

    @property
    def requests(self) -> float:
        return self._latency.total if self._latency else 0.0

    @property
    def _slow(self) -> float:
        return _beyond(self._latency, self._rule.limit)

    @property
    def is_silent(self) -> bool:
        return self.due >= _DUE

    @property
    def is_doubtful(self) -> bool:
        return self._is_beyond_limit(self.requests, self._slow, 1.0) or self._is_beyond_limit(
            self._lately.requests, self._lately.bad, _SIGMAS
        )

    def _is_beyond_limit(self, requests: float, slow: float, deviations: float) -> bool:
        """True if more were slower than the limit allows, by so many standard deviations of chance."""
        if self._against_limit is None:
            return False
        allowed = self._tail * requests
        return slow > allowed + deviations * sqrt(allowed) + 1

    @property
    def is_suspect(self) -> bool:
        return self.log_e_harm >= END_SUSPICION and self._is_beyond_limit(self.requests, self._slow, _SIGMAS)

    @property
    def is_proven(self) -> bool:
        tests = [test for test in (self._against_limit, self._against_baseline) if test]
        beyond = self._against_limit is not None and self._slow > self._tail * self.requests
        return bool(tests) and tests[0].log_e_safe >= self._frame.safety_needed and self.log_e_harm <= 0 and not beyond

    @property
    def seen(self) -> str:
        at = quantile(self._latency, self._rule.quantile) if self._latency else None
        if at is None:
            return "no latencies yet"
        return f"about {explain.seconds(at)} over {explain.plural(self.requests, 'request')}"

    @property
    def limits(self) -> str:
        rule, parts = self._rule, list[str]()
        if self._against_limit is not None and rule.limit is not None:
            usual = self._tail > 1 - rule.quantile
            of = f" for {explain.percent(1 - self._tail)} of its requests, as before" if usual else ""
            parts.append(f"limit {explain.seconds(rule.limit)}{of}")
        if rule.comparison is not None and rule.comparison.against is not Against.BEFORE:
            name = "earlier baseline" if rule.comparison.against is Against.HISTORY else "baseline"
            before = quantile(self._baseline, rule.quantile) if self._baseline else None
            parts.append(f"{name} {'unknown' if before is None else explain.seconds(before)}")
        return ", ".join(parts)

    def report(self, harmful: bool) -> StratumReport:
        finding = Finding.OPEN
        if harmful and self.log_e_harm >= self._frame.harm_needed:
            finding = Finding.HARM
        elif self.is_silent:
            finding = Finding.NO_TRAFFIC
        elif self.is_proven:
            finding = Finding.SAFE
        level = self._rule.quantile
        return StratumReport(
            self.name,
            finding,
            self.requests,
            self._slow,
            self._baseline.total if self._baseline else 0.0,
            _beyond(self._baseline, self._rule.limit),
            self._rule.limit if self._against_limit else None,
            log_e_harm=self.log_e_harm,
            observed=quantile(self._latency, level) if self._latency else None,
            baseline=quantile(self._baseline, level) if self._baseline else None,
        )


def _of_stratum(evidence: Evidence, name: str) -> Evidence:
    """Return the evidence as if one stratum's latencies were all there is."""
    return replace(
        evidence, candidate=_counts_of(evidence.candidate, name), baseline=_counts_of(evidence.baseline, name)
    )


def _counts_of(counts: Counts | None, name: str) -> Counts | None:
    """Return the latencies of one stratum, without any where it had none; None where nothing was split."""
    if counts is None or not counts.strata_latency:
        return None
    latency = counts.strata_latency.get(name)
    return Counts(latency.total if latency else 0.0, 0.0, latency)


def _past_of(name: str, past: Past) -> Past:
    def own(stretches: Sequence[Stretch]) -> list[Stretch]:
        found = [(_counts_of(counts, name), seconds) for counts, seconds in stretches if isinstance(counts, Counts)]
        return [(counts, seconds) for counts, seconds in found if counts is not None]

    return replace(past, before=own(past.before), bake=own(past.bake), earlier=own(past.earlier), own=own(past.own))


def _tail_of(limit: float, tail: float, frame: Frame, past: Past) -> float:
    """Return the share that may be slower than the limit."""
    low, high = rate_interval(past.baseline(slower_than(limit)), frame.risk.false_rollback / frame.parts)
    return max(tail, min(1.0, _WORSE * high)) if low > tail / 2 else tail


def _with(seen: Histogram | None, counts: Counts | None) -> Histogram | None:
    """Return what was seen with more; with other buckets the collection begins again."""
    more = counts.latency if counts else None
    if more is None or seen is None or seen.edges != more.edges:
        return more or seen
    return Histogram.together((seen, more))


def _beyond(histogram: Histogram | None, limit: float | None) -> float:
    return count_above(histogram, limit) if histogram is not None and limit is not None else 0.0
