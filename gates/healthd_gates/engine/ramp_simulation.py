"""Simulates ramps on traffic that is drawn: how much a bad release harms, and how long a good one takes to have all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from statistics import mean

from healthd_gates.config.policy import Policy
from healthd_gates.domain.gate import Decision
from healthd_gates.domain.standing import Verdict
from healthd_gates.engine.rollback_confirmation import bounds_of
from healthd_gates.engine.spec import GateSpec
from healthd_gates.engine.virtual_ramp import VirtualRamp, unpaused
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
    policy: Policy,
    traffic: Traffic,
    changes: Sequence[Change],
    *,
    action: float,
    runs: int = 20,
    seed: int = 1,
    ran: Callable[[], None] = lambda: None,
) -> list[RampForecast]:
    """Return one row for each change; `traffic` is that of the baseline before the release, `action` how many seconds
    a change of weight takes. Changes of latency are left out if no criterion reads it. A paused ramp goes on at once.
    `ran` is called after each gate.
    """
    assert policy.ramp is not None
    spec = GateSpec(unpaused(policy), None)
    rules = with_traffic_alone(spec.verdict_rules)
    looks_at_latency = any(rule.reads_latency for rule in rules.criteria)
    return [
        _forecast(spec, rules, traffic, change, action, runs, seed, ran)
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
    spec: GateSpec,
    rules: Rules,
    traffic: Traffic,
    change: Change,
    action: float,
    runs: int,
    seed: int,
    ran: Callable[[], None],
) -> RampForecast:
    found = []
    for run in range(runs):
        found.append(_simulated(spec, rules, traffic, change, action, Random(f"{seed} {change.name} {run}")))
        ran()
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


def _simulated(spec: GateSpec, rules: Rules, traffic: Traffic, change: Change, action: float, random: Random) -> _Run:
    """Run one gate until its decision."""
    service = Service(rules, traffic, change, random)
    requests = traffic.candidate + traffic.baseline
    bad = max(service.harm(bound.reading) for bound in bounds_of(spec.policy))
    ramp = VirtualRamp(spec, rules, list(service.history()), START, action)
    interval, harmed = rules.timing.interval, 0.0
    while (decision := ramp.gate.decision) is None:
        share = ramp.share(interval)
        harmed += requests * share * interval * bad
        ramp.look(service.interval_at(share, ramp.elapsed + interval))
    if decision.counts_as is Verdict.FAIL:  # the way back takes as long as a widening
        harmed += requests * ramp.share(action) * action * bad
    return _Run(decision, ramp.elapsed, harmed, ramp.weights, ramp.full_after)
