"""The rate criterion: events a second, instance or request, against a limit and against the baseline.

It proves harm, and no safety: of events that are rare a proof would take longer than a gate.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log
from typing import Any

from healthd_gates.domain.evidence import Events
from healthd_gates.domain.standing import CriterionReport, Finding, Reason, Unit
from healthd_gates.judge import explain
from healthd_gates.judge.arms import SharedIncident
from healthd_gates.judge.burstiness import Burstiness
from healthd_gates.judge.criterion import END_SUSPICION, Frame, Look
from healthd_gates.judge.interval import RateInterval
from healthd_gates.judge.mixtures import log_weighted
from healthd_gates.judge.past import SHOWS_SPELLS, Past, Span
from healthd_gates.judge.rate_tests import UNITS, AboveBaselineRate, RateHarm
from healthd_gates.judge.rules import RateRule
from healthd_gates.judge.streams import interval_of

_LIMIT = 0.3
"""Share of the risk for the limit if there is a baseline too."""
_ROUNDING = 1e-9
_FEWEST = 1000.0  # seconds of the past that tell a rate
_LASTING = 60.0
"""Seconds of a spell that does not decide by comparison where no past shows the spells in which events come."""

Exposure = Callable[[Events, float], float | None]
"""Returns the exposure of an arm's events that were counted in so many seconds, None if it is not known."""


class _Arm:
    """One arm's exposure and events in units of the reference, with the seconds since it last reported."""

    def __init__(self, exposure: Exposure) -> None:
        self._exposure, self._seconds = exposure, 0.0

    def read(self, seconds: float, numbers: Any, scale: float) -> tuple[float, float] | None:
        self._seconds += seconds
        if not isinstance(numbers, Events):
            return None
        exposure, self._seconds = self._exposure(numbers, self._seconds), 0.0
        return None if not exposure else (exposure * scale, numbers.events)


class Rate:
    """A `RateRule` in use."""

    failed = False
    failure = Reason.HARM
    proves_safety = False

    def __init__(self, rule: RateRule, frame: Frame, past: Past, exposure: Exposure) -> None:
        self.name, self.critical, self.weight = rule.name, rule.critical, rule.weight
        self._rule, self._frame, self._exposure = rule, frame, exposure
        before = _spans([*past.before, *past.earlier, *past.bake], exposure)
        own = _spans(past.own, exposure)
        self._lasting = 0.0 if sum(seconds for _, _, seconds in before) >= SHOWS_SPELLS else _LASTING
        self._reference = rule.limit or _rate_of(before) or _rate_of(own)
        scale = self._scale if self._reference else None
        self._burstiness = Burstiness(_scaled(before, scale), frame.timing.interval, _scaled(own, scale))
        self._against_limit = None if rule.limit is None else RateHarm(1 / UNITS, frame.horizon)
        self._against_baseline = None if rule.ratio is None else AboveBaselineRate(rule.ratio, frame)
        self._candidate, self._baseline = _Arm(exposure), _Arm(exposure)
        self._incident, self._interval = SharedIncident(), RateInterval()
        self._events = 0.0

    @property
    def _scale(self) -> float:
        return (self._reference or 1.0) * UNITS

    def step(self, look: Look) -> None:
        """Judge the evidence of one evaluation with the estimates before it, then update them."""
        own = interval_of(look.evidence, self._rule.stream)
        if self._reference is None:
            self._set_reference(own.candidate, own.seconds)
        candidate = self._candidate.read(own.seconds, own.candidate, self._scale)
        baseline = self._baseline.read(own.seconds, own.baseline, self._scale)
        odds = self._burstiness.odds
        self._incident.step(look.evidence, baseline)
        if not look.settling:
            cap = self._frame.cap(look.rhythm)
            caps = self._frame.caps(look.rhythm, self._lasting)
            if candidate is not None:
                self._events += candidate[1]
                self._interval.step(candidate[1], candidate[0], odds)
                if self._against_limit:
                    self._against_limit.step(candidate[1], candidate[0], odds, 0.0 if self._is_excused else cap)
            if self._against_baseline:
                self._against_baseline.step(candidate, baseline, odds, caps)
        elif self._against_baseline:
            self._against_baseline.settle(candidate, baseline, odds)
        self._burstiness.learn(candidate, baseline, own.seconds, settling=look.settling)

    def _set_reference(self, numbers: Any, seconds: float) -> None:
        """Without a limit and a past, one event an interval is the reference: it is set before any is counted by it."""
        exposure = self._exposure(numbers, seconds) if isinstance(numbers, Events) else None
        self._reference = 1 / exposure if exposure else None

    @property
    def baseline_bad(self) -> bool:
        """True if the baseline itself is surely above half the limit, now or in the last minute."""
        return self._rule.limit is not None and self._incident.surely_above(0.5 / UNITS)

    @property
    def _is_excused(self) -> bool:
        return self._rule.limit is not None and self._incident.above(0.5 / UNITS)

    @property
    def uncompared(self) -> bool:
        """True if a comparison was required and none was made."""
        return self._against_baseline is not None and self._against_baseline.uncompared

    @property
    def _parts(self) -> list[tuple[float, float, str]]:
        limit, baseline = self._against_limit, self._against_baseline
        share = _LIMIT if limit and baseline else 1.0
        parts = [(share, limit.log_e, "above the limit")] if limit else []
        return parts + ([(1 - share if limit else 1.0, baseline.log_e, baseline.cause)] if baseline else [])

    @property
    def log_e_harm(self) -> float:
        """ln E of harm."""
        return log_weighted([(weight, log_e) for weight, log_e, _ in self._parts])

    @property
    def _is_beyond_limit(self) -> bool:
        return self._rule.limit is not None and self._events * UNITS > self._interval.requests + 1e-9

    @property
    def proven(self) -> bool:
        """True if nothing speaks for harm so far."""
        return self._interval.requests > 0 and self.log_e_harm <= _ROUNDING and not self._is_beyond_limit

    @property
    def acceptable(self) -> bool:
        """True if there is no suspicion of harm at the end, and every required comparison was made."""
        return self._interval.requests > 0 and self.log_e_harm < END_SUSPICION and not self.uncompared

    def report(self, silence: Finding | None) -> CriterionReport:
        """Return the criterion's report."""
        finding = self._finding(silence)
        totals = self._against_baseline.totals if self._against_baseline else (0.0, 0.0, 0.0, 0.0)
        baseline = totals[3] / totals[2] * self._scale if totals[2] else None
        exposed = self._interval.requests
        low, high = self._interval.bounds(self._frame.risk.false_rollback)
        return CriterionReport(
            name=self.name,
            critical=self.critical,
            finding=finding,
            sentence=self._sentence(finding, baseline),
            observed=self._events / exposed * self._scale if exposed else None,
            limit=self._rule.limit,
            baseline=baseline,
            interval=(low * self._scale, high * self._scale) if exposed else None,
            requests=self._events,
            baseline_requests=totals[3],
            log_e_harm=self.log_e_harm,
            correlation=self._burstiness.correlation,
            unit=Unit.RATE,
            noun="event",
        )

    def _finding(self, silence: Finding | None) -> Finding:
        if self.log_e_harm >= self._frame.harm_needed:
            return Finding.HARM
        if silence is not None:
            return silence
        if self.baseline_bad:
            return Finding.BASELINE_ALREADY_BAD
        return Finding.CLEAR if self.acceptable else Finding.OPEN

    def _sentence(self, finding: Finding, baseline: float | None) -> str:
        exposed, unit = self._interval.requests, self._rule.unit
        if exposed:
            rate = self._events / exposed * self._scale
            seen = f"{rate:.3g} {unit} ({explain.plural(self._events, 'event')})"
        else:
            seen = "nothing counted yet"
        limits = [f"limit {self._rule.limit:.3g} {unit}"] if self._rule.limit is not None else []
        if self._rule.ratio is not None:
            limits.append(f"baseline {'unknown' if baseline is None else f'{baseline:.3g}'}")
        cause = max(self._parts, key=lambda part: log(part[0]) + part[1])[2]
        return explain.finding_sentence(
            finding, f"rate of {self.name}", cause, seen, ", ".join(limits), None, None, "event"
        )


def _spans(stretches: Any, exposure: Exposure) -> list[Span]:
    """Return exposure, events and seconds of each stretch of the past."""
    read = [
        (exposure(numbers, seconds), numbers, seconds) for numbers, seconds in stretches if isinstance(numbers, Events)
    ]
    return [(exposed, numbers.events, seconds) for exposed, numbers, seconds in read if exposed]


def _scaled(spans: list[Span], scale: float | None) -> list[Span]:
    """Return the spans with exposures in the unit of the estimates; none where that is not known."""
    return [(e * scale, x, seconds) for e, x, seconds in spans] if scale is not None else []


def _rate_of(past: list[Span]) -> float | None:
    """Return the rate of the past, None if it is too short or nothing happened."""
    events = sum(x for _, x, _ in past)
    return events / sum(e for e, _, _ in past) if events and sum(s for _, _, s in past) >= _FEWEST else None
