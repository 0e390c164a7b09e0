"""Simulates gates: how soon they detect a regression, how often they roll back a healthy release.

Pure functions of rules, traffic and seed; the command line prints the rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt
from random import Random

from healthd_gates.domain.standing import Verdict
from healthd_gates.judge.assumed import Assumed
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.rules import Rules
from healthd_gates.judge.simulated_traffic import CHANGES, Change, Service, Traffic


@dataclass(frozen=True, slots=True)
class Forecast:
    """Results of `runs` simulated gates over one change.

    Shares are fractions of the runs. Times are seconds after the switch: `failed_median` and `failed_90` are those by
    which half and nine tenths of *all* runs were rolled back, None if fewer were; `passed_median` likewise.
    `failed_at_most` is the upper 95 % bound of `failed` that so few runs allow.
    """

    change: Change
    runs: int
    failed: float
    failed_at_most: float
    passed: float
    inconclusive: float
    failed_median: float | None
    failed_90: float | None
    passed_median: float | None


def forecast(
    rules: Rules, traffic: Traffic, changes: Sequence[Change] = CHANGES, *, runs: int = 100, seed: int = 1
) -> list[Forecast]:
    """Return one row for each change. Changes of latency are left out if no criterion reads it.

    Checks, smoke requests and criteria with numbers of their own are assumed to hold. Requests are independent: bursts
    make every gate slower.
    """
    if runs < 1:
        raise ValueError(f"runs must be at least 1, got {runs}")
    rules = with_traffic_alone(rules)
    looks_at_latency = any(rule.reads_latency for rule in rules.criteria)
    return [
        _forecast(rules, traffic, change, runs, seed) for change in changes if change.latency == 1.0 or looks_at_latency
    ]


def with_traffic_alone(rules: Rules) -> Rules:
    """Return rules in which the criteria with numbers of their own hold, since those cannot be drawn."""
    own = tuple(Assumed(rule) if rule.stream is not None else rule for rule in rules.criteria)
    return replace(rules, criteria=own)


def _forecast(rules: Rules, traffic: Traffic, change: Change, runs: int, seed: int) -> Forecast:
    outcomes = [_run(rules, traffic, change, Random(f"{seed} {change.name} {run}")) for run in range(runs)]
    failed = sorted(seconds for verdict, seconds in outcomes if verdict is Verdict.FAIL)
    passed = sorted(seconds for verdict, seconds in outcomes if verdict is Verdict.PASS)
    return Forecast(
        change=change,
        runs=runs,
        failed=len(failed) / runs,
        failed_at_most=at_most(len(failed), runs),
        passed=len(passed) / runs,
        inconclusive=1 - (len(failed) + len(passed)) / runs,
        failed_median=reached(failed, 0.5, runs),
        failed_90=reached(failed, 0.9, runs),
        passed_median=reached(passed, 0.5, runs),
    )


def reached(times: list[float], level: float, runs: int) -> float | None:
    """Return the time by which the share `level` of all runs was over."""
    place = round(level * runs) - 1
    return times[max(0, place)] if times and place < len(times) else None


def at_most(count: int, runs: int) -> float:
    """Return Wilson's upper 95 % bound of a share."""
    share, z = count / runs, 1.645
    spread = z * sqrt(share * (1 - share) / runs + (z / (2 * runs)) ** 2)
    return min(1.0, (share + z * z / (2 * runs) + spread) / (1 + z * z / runs))


def _run(rules: Rules, traffic: Traffic, change: Change, random: Random) -> tuple[Verdict, float]:
    """Run one gate: return its verdict and the time of it."""
    service = Service(rules, traffic, change, random)
    judge = Judge(rules, list(service.history()))
    elapsed = 0.0
    while True:
        elapsed += rules.timing.interval
        judge.take(service.interval(elapsed))
        verdict, _ = judge.decision
        if verdict is not None:
            return verdict, elapsed
