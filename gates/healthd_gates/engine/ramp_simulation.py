"""Simulates ramps: how much a bad release harms, and how long a good one takes to have all of the traffic.

The steps are those of a gate (`transitions.on_ramp_look`), its judge and its evidence are the real ones; only the
traffic is drawn, and the balancer does what it is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from statistics import mean

from healthd_gates.config.policy import Policy
from healthd_gates.domain.action_order import ActionRun, Occasion, OrderState
from healthd_gates.domain.evidence import Verdict
from healthd_gates.domain.gate import Decision, Gate, GateState
from healthd_gates.domain.request import Deployment, Version
from healthd_gates.engine import ramping, transitions
from healthd_gates.engine.rollback_confirmation import bounds_of
from healthd_gates.engine.spec import GateSpec
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.rules import Rules
from healthd_gates.judge.simulated_traffic import START, Change, Service, Traffic
from healthd_gates.judge.simulation import at_most, reached, with_traffic_alone


@dataclass(frozen=True, slots=True)
class RampForecast:
    """Results of `runs` simulated ramps of one change.

    Shares are fractions of the runs; times are seconds after the start of the gate, by which half of *all* runs were so
    far, None if fewer were. `harmed` is the mean, and `harmed_90` what nine of ten runs do not exceed, of the requests
    that were bad because of the release until its weight was back at 0, or until the verdict. `widest` is the mean of
    the largest weights. `weights` are the seconds and weights of the first run, and `ended` says why it ended.
    """

    change: Change
    runs: int
    failed: float
    failed_at_most: float
    back: float
    back_median: float | None
    harmed: float
    harmed_90: float
    widest: float
    full_median: float | None
    passed: float
    passed_median: float | None
    inconclusive: float
    weights: tuple[tuple[float, float], ...]
    ended: str


def forecast_ramp(
    policy: Policy, traffic: Traffic, changes: Sequence[Change], *, action: float, runs: int = 20, seed: int = 1
) -> list[RampForecast]:
    """Return one row for each change; `traffic` is that of the baseline before the release, `action` how many seconds
    a change of weight takes. Changes of latency are left out if no criterion reads it. A paused ramp goes on at once.
    """
    assert policy.ramp is not None
    unpaused = policy.model_copy(update={"ramp": policy.ramp.model_copy(update={"pause_before": ()})})
    spec = GateSpec(unpaused, None)
    rules = with_traffic_alone(spec.verdict_rules)
    looks_at_latency = any(rule.reads_latency for rule in rules.criteria)
    return [
        _forecast(spec, rules, traffic, change, action, runs, seed)
        for change in changes
        if change.latency == 1.0 or looks_at_latency
    ]


@dataclass(frozen=True, slots=True)
class _Run:
    decision: Decision
    seconds: float
    harmed: float
    weights: tuple[tuple[float, float], ...]
    full: float | None

    @property
    def is_back(self) -> bool:
        return self.decision.counts_as is Verdict.FAIL


def _forecast(
    spec: GateSpec, rules: Rules, traffic: Traffic, change: Change, action: float, runs: int, seed: int
) -> RampForecast:
    found = [
        _Simulated(spec, rules, traffic, change, action, Random(f"{seed} {change.name} {run}")).run()
        for run in range(runs)
    ]
    failed = sum(run.decision.verdict is Verdict.FAIL for run in found)
    back = sorted(run.seconds + action for run in found if run.is_back)
    passed = sorted(run.seconds for run in found if run.decision.verdict is Verdict.PASS)
    harmed = sorted(run.harmed for run in found)
    return RampForecast(
        change=change,
        runs=runs,
        failed=failed / runs,
        failed_at_most=at_most(failed, runs),
        back=len(back) / runs,
        back_median=reached(back, 0.5, runs),
        harmed=mean(harmed),
        harmed_90=reached(harmed, 0.9, runs) or 0.0,
        widest=mean(max((weight for _, weight in run.weights), default=0.0) for run in found),
        full_median=reached(sorted(run.full for run in found if run.full is not None), 0.5, runs),
        passed=len(passed) / runs,
        passed_median=reached(passed, 0.5, runs),
        inconclusive=sum(run.decision.verdict is Verdict.INCONCLUSIVE for run in found) / runs,
        weights=found[0].weights,
        ended=found[0].decision.sentence,
    )


class _Simulated:
    """One gate, and a balancer that takes `action` seconds for each change of weight."""

    def __init__(
        self, spec: GateSpec, rules: Rules, traffic: Traffic, change: Change, action: float, random: Random
    ) -> None:
        self._spec, self._rules, self._action = spec, rules, action
        self._service = Service(rules, traffic, change, random)
        self._requests = traffic.candidate + traffic.baseline
        self._bad = max(self._service.harm(bound.reading) for bound in bounds_of(spec.policy))
        self._gate = _gate(spec.policy)
        self._weights = [(0.0, 0.0)]
        self._orders: list[ActionRun] = []
        self._harmed = 0.0

    def run(self) -> _Run:
        """Run it until its decision."""
        history = list(self._service.history())
        judge, widening = Judge(self._rules, history), ramping.Widening(self._spec.policy, self._rules, history)
        interval, elapsed = self._rules.timing.interval, 0.0
        while self._gate.decision is None:
            assert self._gate.ramp is not None
            elapsed += interval
            evidence = self._service.interval_at(self._share(elapsed - interval, elapsed), elapsed)
            self._harmed += self._requests * self._share(elapsed - interval, elapsed) * interval * self._bad
            standing = judge.step(evidence)
            widening.take(evidence)
            seen, orders = widening.look(self._gate.ramp), self._done_by(evidence.at)
            step = transitions.on_ramp_look(self._gate, standing, (), seen, orders, self._spec, evidence.at)
            if ramping.is_filled_by(self._gate, step):
                judge.end_within(self._spec.policy.observe.max)
            self._order(step.gate, evidence.at, elapsed)
            self._gate = self._answered(step.gate, evidence.at)
        return self._over(elapsed)

    def _share(self, since: float, until: float) -> float:
        """Return the mean weight in force between two moments."""
        total = 0.0
        for place, (at, weight) in enumerate(self._weights):
            end = self._weights[place + 1][0] if place + 1 < len(self._weights) else until
            total += weight * max(0.0, min(end, until) - max(at, since))
        return total / (until - since)

    def _order(self, gate: Gate, moment: datetime, elapsed: float) -> None:
        ramp = gate.ramp
        if ramp is None or ramp.weight == self._weights[-1][1]:
            return
        self._weights.append((elapsed + self._action, ramp.weight))
        key, done = f"{gate.id}:{ramp.purpose}:shift", moment + timedelta(seconds=self._action)
        due = (OrderState.DUE, moment, moment, 0, "", 1)
        self._orders = [ActionRun(key, gate.id, 0, "shift", Occasion.RAMP, *due, finished_at=done, weight=ramp.weight)]

    def _done_by(self, moment: datetime) -> list[ActionRun]:
        return [
            replace(order, state=OrderState.DONE)
            if order.finished_at and order.finished_at <= moment
            else replace(order, finished_at=None)
            for order in self._orders
        ]

    def _answered(self, gate: Gate, moment: datetime) -> Gate:
        """Return a gate that waits for a person as one whose time to decide is over."""
        if gate.state is not GateState.HELD:
            return gate
        return transitions.on_hold_timeout(gate, self._spec, moment).gate

    def _over(self, elapsed: float) -> _Run:
        decision, ramp = self._gate.decision, self._gate.ramp
        assert decision is not None
        assert ramp is not None
        if decision.counts_as is Verdict.FAIL:  # the way back takes as long as a widening
            self._harmed += self._requests * self._share(elapsed, elapsed + self._action) * self._action * self._bad
        full = (ramp.full_at - START).total_seconds() if ramp.full_at is not None else None
        return _Run(decision, elapsed, self._harmed, tuple(self._weights[1:]), full)


def _gate(policy: Policy) -> Gate:
    """Return the gate of a release that begins now."""
    state = GateState.SETTLING if policy.initial_delay else GateState.RAMPING
    timing = policy.verdict_rules().timing
    return Gate(
        id="simulated",
        service="simulated",
        policy="simulated",
        candidate=Version(version="candidate"),
        baseline=Version(version="baseline"),
        deployment=Deployment(),
        rollback_mode="auto",
        caller="simulated",
        state=state,
        created_at=START,
        decides_by=START + timedelta(seconds=timing.initial_delay + timing.maximum),
        ramp=ramping.begin(policy, START),
    )
