"""The error-rate criterion: tests against a limit, against a baseline, and against catastrophe."""

from healthd_gates.domain.standing import CriterionReport, Finding, Unit
from healthd_gates.judge import explain
from healthd_gates.judge.arms import LastMinute, SharedIncident, errors
from healthd_gates.judge.burstiness import Burstiness
from healthd_gates.judge.criterion import Frame, Look
from healthd_gates.judge.deterioration import Deterioration
from healthd_gates.judge.exceedance import AboveBaseline, AboveLimit
from healthd_gates.judge.interval import RateInterval
from healthd_gates.judge.past import Past, Reading
from healthd_gates.judge.processes import Catastrophe
from healthd_gates.judge.recurrence import Recurrence
from healthd_gates.judge.rules import Against, ErrorRateRule
from healthd_gates.judge.strata import Part, Strata
from healthd_gates.judge.weighing import Weighed

_CATASTROPHE, _RECURRENCE, _LIMIT = 0.015, 0.02, 0.06
"""Shares of the risk for catastrophes, for recurring trouble and for the limit; the baseline has the rest, since it is
the hardest to detect.
"""
_RECURRENCE_ALONE = 0.1
"""The share of recurring trouble if nothing is compared. The limit, or the baseline if there is no limit, has the
rest.
"""
_SPELL = 120.0
"""Seconds that trouble which began late may last and not decide alone, where no past shows how long it usually does."""
_BURSTY = 0.02
"""ρ from which on more evidence is asked for because failures come in bursts than where nothing is known."""
_BEFORE = 0.2
"""The share of what is several times worse than before the switch, which shows more clearly than what is beyond the
limit.
"""


class ErrorRate(Weighed):
    """An `ErrorRateRule` in use. `_what` is its name in sentences, and `_noun` what is counted."""

    _what, _noun = "error rate", "request"

    def __init__(
        self, rule: ErrorRateRule, frame: Frame, past: Past, reading: Reading = errors, strata: Strata | None = None
    ) -> None:
        """Set up the tests; `reading` says what is counted, and which of it is bad."""
        self._strata = strata
        self.name, self.critical, self.weight = rule.name, rule.critical, rule.weight
        self._rule, self._frame, self._reading = rule, frame, reading
        self._worst_before = past.worst(reading)
        self._spell = 0.0 if past.shows_spells(reading) else _SPELL
        self._burstiness = Burstiness.of(past, reading, frame.timing.interval)
        self._odds = self._burstiness.odds
        self._catastrophe = self._catastrophe_of(rule.limit)
        self._against_limit = None if rule.limit is None else AboveLimit(rule.limit, frame)
        self._recurrence = None if rule.limit is None else Recurrence(rule.limit, frame, past.baseline(reading))
        self._against_baseline = None
        if rule.comparison is not None and rule.comparison.against is not Against.BEFORE:
            self._against_baseline = AboveBaseline(rule.comparison, frame, past, reading)
        elif rule.comparison is not None and rule.limit is not None:
            self._before = Deterioration.of_errors(rule.comparison, rule.limit, frame, past, reading)
        self._incident, self._lately = SharedIncident(), LastMinute()
        self._interval = RateInterval()
        self._looks = 0
        self._while_settling = (0.0, 0.0)

    def _catastrophe_of(self, limit: float | None) -> Catastrophe | None:
        timing = self._frame.timing
        return Catastrophe(limit or 0.0, self._frame.horizon + round(timing.initial_delay / timing.interval))

    def _step_total(self, look: Look) -> None:
        evidence = look.evidence
        candidate = self._reading(evidence.candidate) if evidence.candidate else None
        baseline = self._reading(evidence.baseline) if evidence.baseline else None
        self._odds = self._burstiness.odds
        self._incident.step(evidence, baseline)
        self._lately.step(evidence.seconds, candidate)
        if candidate is not None:
            if look.settling:
                self._while_settling = (self._while_settling[0] + candidate[0], self._while_settling[1] + candidate[1])
            if self._catastrophe:
                shared = self._incident.above(self._catastrophe.line / 2)
                most = (0.0, 0.0) if shared else self._frame.catastrophe_caps(look.rhythm)
                self._catastrophe.step(candidate[1], candidate[0], self._odds, *most)
        if not look.settling:
            caps = self._frame.caps(look.rhythm, late=self._spell)
            if candidate is not None:
                self._looks += 1
                self._interval.step(candidate[1], candidate[0], self._odds)
                if self._against_limit and self._recurrence:
                    self._against_limit.step(candidate, self._odds, 0.0 if self._is_excused else caps.first)
                    self._recurrence.step(candidate, look.rhythm, excused=self._is_excused)
            if self._against_baseline:
                self._against_baseline.step(candidate, baseline, self._odds, caps)
        elif self._against_baseline:
            self._against_baseline.settle(candidate, baseline, self._odds)
        if self._before:
            self._before.step(look, excused=self._is_excused)
        self._burstiness.learn(candidate, baseline, evidence.seconds, settling=look.settling)

    @property
    def baseline_bad(self) -> bool:
        """True if the baseline itself is surely above half the limit, now or in the last minute."""
        return self._rule.limit is not None and self._incident.surely_above(self._rule.limit / 2)

    @property
    def _is_excused(self) -> bool:
        """True if the baseline seems to be in trouble, be it by chance: then nothing speaks against the candidate."""
        return self._rule.limit is not None and self._incident.above(self._rule.limit / 2)

    @property
    def _is_beyond_limit(self) -> bool:
        return self._rule.limit is not None and self._interval.bad > self._rule.limit * self._interval.requests + 1e-9

    @property
    def _tests(self) -> list[AboveLimit | AboveBaseline]:
        return [test for test in (self._against_limit, self._against_baseline) if test]

    @property
    def _parts_of_total(self) -> list[Part]:
        parts, rest = list[Part](), 1.0
        if self._catastrophe:
            parts, rest = [(_CATASTROPHE, self._catastrophe.log_e, "catastrophic")], 1 - _CATASTROPHE
        if self._recurrence:
            share = _RECURRENCE if self._against_baseline else _RECURRENCE_ALONE
            parts.append((share, self._recurrence.log_e, self._recurrence.cause))
            rest -= share
        if self._before and self._before.decides:
            parts.append((_BEFORE, self._before.log_e_harm, self._before.cause))
            rest -= _BEFORE
        weights = (_LIMIT, rest - _LIMIT) if len(self._tests) == 2 else (rest,)
        return parts + [(w, test.log_e_harm, test.cause) for w, test in zip(weights, self._tests, strict=True)]

    def _report_total(self, silence: Finding | None) -> CriterionReport:
        seen, bad = self._interval.requests, self._interval.bad
        compared = self._against_baseline.totals if self._against_baseline else (0.0, 0.0, 0.0, 0.0)
        needed, needed_seconds = self._still_needed()
        finding = self._finding(silence)
        baseline = compared[3] / compared[2] if compared[2] else None
        if self._before:
            baseline = self._before.usual
        return CriterionReport(
            name=self.name,
            critical=self.critical,
            finding=finding,
            sentence=explain.finding_sentence(
                finding,
                self._what,
                self._cause,
                self._shown(finding),
                self._limits(finding, self._limits_of_total(baseline)),
                needed,
                needed_seconds,
                self._noun,
                counted=seen > 0,
                unproven=self._unproven,
            ),
            observed=bad / seen if seen else None,
            limit=self._rule.limit,
            baseline=baseline,
            interval=self._bounds(finding) if seen else None,
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
            noun=self._noun,
        )

    @property
    def _unproven(self) -> str | None:
        """Say why the total is no proof of harm, if it is beyond the limit: a past of bursts asks for more of it."""
        if not self._is_beyond_limit:
            return None
        worst = self._worst_before
        explains = worst is not None and worst[0] > (self._rule.limit or 0.0) and 1 / (1 + self._odds) > _BURSTY
        return explain.unproven(worst if explains else None)

    def _bounds(self, finding: Finding) -> tuple[float, float]:
        """Return the confidence interval, limited so that it contradicts no finding: it has no caps, and so gives more
        evidence to one disturbance than the verdict may, and its risk is not that of a proof of safety.
        """
        return explain.within_finding(self._interval.bounds(self._frame.risk.false_rollback), finding, self._rule.limit)

    def _shown_of_total(self, finding: Finding) -> str:
        recent, mean = self._lately.rate, self._interval.bad / max(1.0, self._interval.requests)
        if finding is Finding.HARM and self._interval.requests and recent > 1.5 * mean:
            now, all_in_all = explain.percent(recent), explain.percent(mean)
            return f"{now} of the {self._noun}s of the last minute, {all_in_all} since it settled"
        requests, bad, when = self._interval.requests, self._interval.bad, ""
        if not requests:
            (requests, bad), when = self._while_settling, " while settling"
        if not requests:
            return f"no {self._noun}s yet"
        return f"{explain.percent(bad / requests)} ({explain.failed(bad, requests, self._noun)}{when})"

    def _limits_of_total(self, baseline: float | None) -> str:
        parts = []
        if self._rule.limit is not None:
            parts.append(f"limit {explain.percent(self._rule.limit)}")
        if self._before:
            parts.append(explain.before(self._before.usual, self._before.allowed, self._rule.limit, explain.percent))
        elif self._rule.comparison is not None:
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
