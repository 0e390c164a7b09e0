"""Ways to widen a rollout: fixed schedules with the published defaults of each tool, and the product's own.

A tool that needs a limit has 5 %. Each is asked after every look which share of the traffic the candidate gets next;
0 is the way back, and final.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

import numpy as np

from bench.ramp.releases import LOOK
from healthd_gates.config.builtin_policies import SHIPPED
from healthd_gates.config.policy import Policy
from healthd_gates.domain.evidence import Counts, Evidence
from healthd_gates.domain.standing import Verdict
from healthd_gates.judge.arms import errors
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.ramp import Pace, Ramp, next_weight, usual_budget
from healthd_gates.judge.rules import Rules

LIMIT = 0.05
_START = datetime(2026, 1, 1, tzinfo=UTC)
_MINUTE = 60.0
_PAST_LOOK, _PAST_LOOKS = 30.0, 360
_ACTION = 5.0  # seconds that the product's action takes


@dataclass(frozen=True)
class Seen:
    """Requests and bad ones of both arms in one look."""

    n: float
    x: float
    m: float
    y: float


class Scheme(Protocol):
    """One rollout. `weight` is the candidate's share of the traffic."""

    weight: float

    def step(self, seen: Seen) -> None:
        """Take one look, and set the weight for the next."""


class Fixed:
    """A list of (seconds, weight), and a check every minute: more than `tolerated` failed ones are the way back."""

    def __init__(self, schedule: Sequence[tuple[float, float]], tolerated: int, checks: float = 1e9) -> None:
        self._schedule, self._tolerated, self._checks = schedule, tolerated, checks
        self._at = self._n = self._x = 0.0
        self._failed = self._made = 0
        self.weight = schedule[0][1]

    def step(self, seen: Seen) -> None:
        """Count, check once a minute, and follow the list."""
        self._at += LOOK
        self._n, self._x = self._n + seen.n, self._x + seen.x
        if self._at % _MINUTE < LOOK / 2 and self._made < self._checks:
            self._made += 1
            self._failed += self._n > 0 and self._x / self._n > LIMIT
            self._n = self._x = 0.0
            if self._failed > self._tolerated:
                self.weight = 0.0
        if self.weight:
            self.weight = max(weight for at, weight in self._schedule if at <= self._at)


class Flagger:
    """5 % more every minute up to 50 %, then the promotion, as its controller has it: the threshold is looked at before
    the check, a failed check gives no more weight, and none is taken back."""

    def __init__(self, threshold: int) -> None:
        self._threshold, self._failed = threshold, 0
        self._at = self._n = self._x = 0.0
        self.weight = 0.05

    def step(self, seen: Seen) -> None:
        """Count, and advance once a minute."""
        self._at += LOOK
        self._n, self._x = self._n + seen.n, self._x + seen.x
        if self._at % _MINUTE >= LOOK / 2 or not 0 < self.weight < 1:
            return
        is_good, self._n, self._x = self._n > 0 and self._x / self._n <= LIMIT, 0.0, 0.0
        if self._failed >= self._threshold:
            self.weight = 0.0
        elif is_good:
            self.weight = 1.0 if self.weight > 0.495 else self.weight + 0.05
        else:
            self._failed += 1


class Gated:
    """The product's judge: all the traffic at once under `post-switch`, or widened by evidence under `canary`.
    `past` is what its source keeps of the baseline.
    """

    def __init__(self, past: Sequence[Evidence], *, ramps: bool) -> None:
        self._ramps = ramps
        self._policy = Policy.model_validate(SHIPPED["canary" if ramps else "post-switch"])
        rules = _by_errors(self._policy.verdict_rules())
        self._past = past
        self._judge = Judge(rules, past)
        self._bake: list[Evidence] | None = []
        self._ramp = Ramp([errors], rules.timing, rules.risk.false_pass)
        self._budget: float | None = None
        self._looks, self._settled = 0, 0
        self.weight = 0.0 if ramps else 1.0
        self._over = False

    def step(self, seen: Seen) -> None:
        """Judge the look, and widen; a new weight is seen for one look before the next."""
        self._looks += 1
        evidence = Evidence(
            _START + timedelta(seconds=LOOK * self._looks),
            LOOK,
            Counts(seen.n, seen.x) if seen.n or self.weight else None,
            Counts(seen.m, seen.y) if self._ramps else None,
        )
        if self._over:
            return
        if self._bake is not None:
            self._bake.append(evidence)
        self._judge.take(evidence)
        verdict, _ = self._judge.decision
        if verdict is Verdict.FAIL:
            self.weight, self._over = 0.0, True
        elif verdict is not None and self.weight >= 1:
            self._watch()
        if self._over or not self._ramps or self.weight >= 1:
            return
        self._ramp.take(evidence)
        allowance = self._ramp.allowance(_ACTION)
        self._budget = self._budget or usual_budget(allowance.traffic)
        self._settled += 1
        settling = self._looks * LOOK < self._policy.initial_delay
        if self._settled < 2 or (settling and self.weight):
            return
        widened = next_weight(self.weight, allowance.weight(self._budget), Pace())
        if widened > self.weight:
            self.weight, self._settled = widened, 0

    def _watch(self) -> None:
        """Judge on after the pass, as the shipped policies do: with what was seen until then."""
        if self._bake is not None:
            self._judge = Judge(_by_errors(self._policy.watch_rules()), self._past, self._bake)
            self._bake = None


def _by_errors(rules: Rules) -> Rules:
    """Return the rules without the latency, which these streams do not have."""
    return replace(rules, criteria=rules.criteria[:1])


def _linear(step: float, until: float = 1.0) -> list[tuple[float, float]]:
    count = round(until / step)
    return [(_MINUTE * place, step * (place + 1)) for place in range(count)]


def past_of(traffic: float, base: float, rng: np.random.Generator) -> list[Evidence]:
    """Three hours of a baseline, as a source that keeps them tells a gate."""
    counts = rng.poisson(traffic * _PAST_LOOK, _PAST_LOOKS)
    return [
        Evidence(_START, _PAST_LOOK, None, Counts(float(m), float(y)))
        for m, y in zip(counts, rng.binomial(counts, base), strict=True)
    ]


OWN = "**healthd ramp**"
SCHEMES: dict[str, Callable[[Sequence[Evidence]], Scheme]] = {
    OWN: lambda past: Gated(past, ramps=True),
    "all at once, gated": lambda past: Gated(past, ramps=False),
    "Flagger": lambda _: Flagger(threshold=5),
    "Argo": lambda _: Fixed([(0, 0.2), (60, 0.4), (120, 0.6), (180, 0.8), (240, 1.0)], tolerated=0, checks=5),
    "ECS linear": lambda _: Fixed(_linear(0.1), tolerated=0),
    "ECS canary": lambda _: Fixed([(0, 0.1), (300, 1.0)], tolerated=0),
    "fixed stages": lambda _: Fixed([(0, 0.01), (300, 0.05), (600, 0.25), (900, 0.5), (1200, 1.0)], tolerated=0),
}
