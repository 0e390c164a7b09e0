"""Simulates gates: how soon they detect a regression, how often they roll back a healthy release.

Pure functions of rules, traffic and seed; the command line prints the rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import exp, inf, log, log1p, sqrt
from random import Random
from statistics import NormalDist

from healthd_gates.domain.evidence import Counts, Evidence, Histogram, Observation, Verdict
from healthd_gates.judge.assumed import Assumed
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.rules import Rules

_START = datetime(2026, 1, 1, tzinfo=UTC)
_EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, inf)
_SPREAD = 0.7
"""Standard deviation of the logarithm of simulated latencies: p95 is about three times the median."""
_HISTORY, _HISTORY_SECONDS = 360, 30.0
_MANY = 50.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """The service at present: requests/s to candidate and baseline (0: none), error rate, median latency in seconds."""

    candidate: float
    baseline: float
    error_rate: float = 0.01
    median_latency: float = 0.2

    def __post_init__(self) -> None:
        if self.candidate < 0 or self.baseline < 0:
            raise ValueError("a traffic rate must not be negative")
        if not 0.0 <= self.error_rate < 1.0:
            raise ValueError(f"error_rate is a fraction below 1, got {self.error_rate}")
        if self.median_latency <= 0:
            raise ValueError(f"median_latency must be positive, got {self.median_latency}")


@dataclass(frozen=True, slots=True)
class Change:
    """The change by a release: factors of errors and times."""

    name: str
    errors: float = 1.0
    latency: float = 1.0


HEALTHY = Change("healthy")
CHANGES = (
    HEALTHY,
    Change("2× errors", errors=2.0),
    Change("5× errors", errors=5.0),
    Change("1.5× latency", latency=1.5),
)


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
    own = tuple(Assumed(rule) if rule.stream is not None else rule for rule in rules.criteria)
    rules = replace(rules, criteria=own)
    looks_at_latency = any(rule.reads_latency for rule in rules.criteria)
    return [
        _forecast(rules, traffic, change, runs, seed) for change in changes if change.latency == 1.0 or looks_at_latency
    ]


def _forecast(rules: Rules, traffic: Traffic, change: Change, runs: int, seed: int) -> Forecast:
    outcomes = [_run(rules, traffic, change, Random(f"{seed} {change.name} {run}")) for run in range(runs)]
    failed = sorted(seconds for verdict, seconds in outcomes if verdict is Verdict.FAIL)
    passed = sorted(seconds for verdict, seconds in outcomes if verdict is Verdict.PASS)
    return Forecast(
        change=change,
        runs=runs,
        failed=len(failed) / runs,
        failed_at_most=_at_most(len(failed), runs),
        passed=len(passed) / runs,
        inconclusive=1 - (len(failed) + len(passed)) / runs,
        failed_median=_reached(failed, 0.5, runs),
        failed_90=_reached(failed, 0.9, runs),
        passed_median=_reached(passed, 0.5, runs),
    )


def _reached(times: list[float], level: float, runs: int) -> float | None:
    """Return the time by which the share `level` of all runs was over."""
    place = round(level * runs) - 1
    return times[max(0, place)] if times and place < len(times) else None


def _at_most(count: int, runs: int) -> float:
    """Return Wilson's upper 95 % bound of a share."""
    share, z = count / runs, 1.645
    spread = z * sqrt(share * (1 - share) / runs + (z / (2 * runs)) ** 2)
    return min(1.0, (share + z * z / (2 * runs) + spread) / (1 + z * z / runs))


def _run(rules: Rules, traffic: Traffic, change: Change, random: Random) -> tuple[Verdict, float]:
    """Run one gate: return its verdict and the time of it."""
    service = _Service(rules, traffic, change, random)
    judge = Judge(rules, list(service.history()))
    elapsed = 0.0
    while True:
        elapsed += rules.timing.interval
        judge.take(service.interval(elapsed))
        verdict, _ = judge.decision
        if verdict is not None:
            return verdict, elapsed


class _Service:
    """Simulated counts of both arms: Poisson arrivals, independent failures, log-normal latencies."""

    def __init__(self, rules: Rules, traffic: Traffic, change: Change, random: Random) -> None:
        self._traffic, self._change, self._random = traffic, change, random
        self._seconds = rules.timing.interval
        self._observations = tuple(Observation(rule.name, ok=True) for rule in rules.criteria if not rule.reads_traffic)
        self._measures_latency = any(rule.reads_latency for rule in rules.criteria)

    def history(self) -> Iterator[Evidence]:
        """Yield the three hours before the switch: the baseline's traffic, or all of it if nothing runs beside."""
        rate = self._traffic.baseline or self._traffic.candidate
        for _ in range(_HISTORY):
            yield Evidence(_START, _HISTORY_SECONDS, baseline=self._arm(rate, HEALTHY, _HISTORY_SECONDS))

    def interval(self, elapsed: float) -> Evidence:
        """Return the interval that ended `elapsed` seconds after the switch."""
        return Evidence(
            at=_START + timedelta(seconds=elapsed),
            seconds=self._seconds,
            candidate=self._arm(self._traffic.candidate, self._change),
            baseline=self._arm(self._traffic.baseline, HEALTHY) if self._traffic.baseline else None,
            observations=self._observations,
        )

    def _arm(self, rate: float, change: Change, seconds: float | None = None) -> Counts:
        requests = _poisson(self._random, rate * (seconds or self._seconds))
        errors = _binomial(self._random, requests, min(1.0, self._traffic.error_rate * change.errors))
        latency = self._histogram(requests, change.latency) if self._measures_latency else None
        return Counts(requests, errors, latency)

    def _histogram(self, requests: int, factor: float) -> Histogram:
        median = self._traffic.median_latency * factor
        left, beyond, counts = requests, 1.0, []
        for edge in _EDGES[:-1]:
            tail = 1 - NormalDist().cdf(log(edge / median) / _SPREAD)
            inside = _binomial(self._random, left, (beyond - tail) / beyond if beyond > 0 else 0.0)
            counts.append(inside)
            left, beyond = left - inside, tail
        return Histogram(_EDGES, (*counts, left), requests * median * exp(_SPREAD**2 / 2))


def _poisson(random: Random, mean: float) -> int:
    """Draw by Knuth's product for small means, by the normal approximation beyond."""
    if mean > _MANY:
        return max(0, round(random.gauss(mean, sqrt(mean))))
    count, product, floor = 0, random.random(), exp(-mean)
    while product > floor:
        count += 1
        product *= random.random()
    return count


def _binomial(random: Random, trials: int, chance: float) -> int:
    """Draw by gaps between successes for small means, by the normal approximation beyond."""
    if chance > 0.5:
        return trials - _binomial(random, trials, 1 - chance)
    if trials <= 0 or chance <= 0:
        return 0
    if trials * chance > _MANY:
        return min(trials, max(0, round(random.gauss(trials * chance, sqrt(trials * chance * (1 - chance))))))
    count, place = 0, 0
    while True:
        place += 1 + int(log(1 - random.random()) / log1p(-chance))
        if place > trials:
            return count
        count += 1
