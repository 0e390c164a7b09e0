"""Width of a release: a weight that follows from the evidence and a harm budget. Pure; no clock, no traffic.

The rule is w = (B − S)/(λ·U·T): so wide that, even if the release were as bad as the evidence still allows, no more
than the budget fails before it is taken back. Symbols and proof: docs/statistics.md, "Widening by evidence".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, sqrt

from healthd_gates.domain.evidence import Evidence
from healthd_gates.judge.arms import Reading
from healthd_gates.judge.excess import Excess, worst
from healthd_gates.judge.pace import GRAIN as GRAIN
from healthd_gates.judge.pace import Pace as Pace
from healthd_gates.judge.past import Past
from healthd_gates.judge.rhythm import Rhythm
from healthd_gates.judge.risk import Timing

FIRST = 0.5
"""The first weight at most: a release that has everything at once is never compared with the baseline."""
_WORTH = 1.25  # times the last weight: a smaller change is not worth an action
_REMEMBERED, _WINDOW = 300.0, 15.0  # seconds in which λ is looked for, and over which it is measured
_DEVIATIONS = 2.0
_USUAL_RATE, _USUAL_SECONDS = 0.01, 60.0  # the budget of a policy that names none: 1 % of a minute's traffic
_LEAST_BUDGET = 20.0  # bad requests that the judge needs to prove twice a rate of 1 %: no schedule keeps less


@dataclass(frozen=True, slots=True)
class Allowance:
    """Allowance of the evidence: `excess` is U (a fraction), `spent` is S (requests), `traffic` is λ (requests a
    second), `reaction` is T (seconds)."""

    excess: float
    spent: float
    traffic: float
    reaction: float

    def weight(self, budget: float) -> float:
        """Return the largest weight that keeps the budget of so many requests, from 0 to 1: (B − S)/(λ·U·T)."""
        room, cost = budget - self.spent, self.traffic * self.excess * self.reaction
        if room <= 0 or self.traffic <= 0:
            return 0.0
        return 1.0 if room >= cost else room / cost


def usual_budget(traffic: float) -> float:
    """Return the budget of a policy that names none, in requests, for so many requests a second."""
    return max(_LEAST_BUDGET, traffic * _USUAL_RATE * _USUAL_SECONDS)


def next_weight(last: float, allowed: float, pace: Pace) -> float:
    """Return the weight after `last` if the evidence allows `allowed`: never less than `last`, and `last` itself while
    more is not allowed or not worth it. The first is half of the traffic at most.

    Weights are rounded down to GRAIN, so that rounding never widens.
    """
    if pace.steps:
        step = next((step for step in (*pace.steps, 1.0) if step > last), 1.0)
        return max(last, step) if allowed >= step else last
    capped = min(allowed, last * pace.max_step if last > 0 else FIRST)
    weight = 1.0 if capped >= 1.0 else round(floor(capped / GRAIN + 1e-9) * GRAIN, 4)
    return weight if weight > last and (weight >= 1.0 or weight >= _WORTH * last) else last


class Ramp:
    """The evidence of a ramp, as a fold: replayed evidence brings it back as it was."""

    def __init__(
        self, readings: Sequence[Reading], timing: Timing, risk: float, history: Sequence[Evidence] = ()
    ) -> None:
        """Set up for what the readings call bad; `risk` is the probability that U is ever too low."""
        past = Past.of(history)
        self._kinds = [Excess(reading, past, timing.interval) for reading in readings]
        self._timing, self._risk = timing, risk
        self._rhythm = Rhythm()
        self._elapsed = 0.0
        self._recent: deque[tuple[float, float]] = deque()
        self._pending = (0.0, 0.0)

    def take(self, evidence: Evidence) -> None:
        """Take the evidence of the next look."""
        settling = self._elapsed + evidence.seconds / 2 < self._timing.initial_delay
        self._elapsed += evidence.seconds
        self._rhythm.step(evidence)
        for kind in self._kinds:
            kind.step(evidence, settling=settling)
        arms = [arm.requests for arm in (evidence.candidate, evidence.baseline) if arm is not None]
        self._pending = (self._pending[0] + evidence.seconds, self._pending[1] + sum(arms))
        if evidence.baseline is not None:
            self._recent.append(self._pending)
            self._pending = (0.0, 0.0)
        while len(self._recent) > 1 and sum(seconds for seconds, _ in self._recent) > _REMEMBERED:
            self._recent.popleft()

    def allowance(self, action_seconds: float) -> Allowance:
        """Return what the evidence allows, if the action takes so long to change a weight."""
        excess, spent = worst(self._kinds, self._risk)
        return Allowance(excess, spent, self.traffic, self._reaction(action_seconds))

    @property
    def traffic(self) -> float:
        """λ: all requests a second, the most in any 15 s of the last five minutes, plus two standard deviations; 0
        before any."""
        recent = list(self._recent)
        highest = 0.0
        for first in range(len(recent)):
            seconds = requests = 0.0
            for each in recent[first:]:
                seconds, requests = seconds + each[0], requests + each[1]
                if seconds >= _WINDOW:
                    break
            if first == 0 or seconds >= _WINDOW:
                highest = max(highest, (requests + _DEVIATIONS * sqrt(requests)) / seconds)
        return highest

    def _reaction(self, action_seconds: float) -> float:
        """Return T: a look, the reports that a verdict takes at any harm, the action, and what is left of the settling
        time, in which only a catastrophe decides.

        Beyond that the judge needs a number of requests that depends on the harm, and not on the weight.
        """
        look = self._timing.interval
        spacing, span = max(look, self._rhythm.spacing), max(look, self._rhythm.span)
        reports = 1 + max(1, ceil((self._timing.blip + span) / spacing - 0.1))
        return look + reports * spacing + action_seconds + max(0.0, self._timing.initial_delay - self._elapsed)
