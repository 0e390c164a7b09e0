"""Draws the traffic of a simulated gate: Poisson arrivals, independent failures, log-normal latencies."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import exp, inf, log, log1p, sqrt
from random import Random
from statistics import NormalDist

from healthd_gates.domain.evidence import Counts, Evidence, Histogram, Observation
from healthd_gates.judge.arms import Reading
from healthd_gates.judge.rules import Rules

START = datetime(2026, 1, 1, tzinfo=UTC)
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
    """The change by a release: factors of errors and times. One that answers nobody is counted nowhere."""

    name: str
    errors: float = 1.0
    latency: float = 1.0
    answers: bool = True


HEALTHY = Change("healthy")
CHANGES = (
    HEALTHY,
    Change("2× errors", errors=2.0),
    Change("5× errors", errors=5.0),
    Change("1.5× latency", latency=1.5),
)


class Service:
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
            yield Evidence(START, _HISTORY_SECONDS, baseline=self._arm(rate, HEALTHY, _HISTORY_SECONDS))

    def interval(self, elapsed: float) -> Evidence:
        """Return the interval that ended `elapsed` seconds after the switch."""
        return self._interval(elapsed, self._traffic.candidate, self._traffic.baseline)

    def interval_at(self, share: float, elapsed: float) -> Evidence:
        """Return such an interval in which the candidate had this share of the requests of both."""
        requests = self._traffic.candidate + self._traffic.baseline
        return self._interval(elapsed, share * requests, (1 - share) * requests)

    def _interval(self, elapsed: float, candidate: float, baseline: float) -> Evidence:
        return Evidence(
            at=START + timedelta(seconds=elapsed),
            seconds=self._seconds,
            candidate=self._arm(candidate, self._change) if self._change.answers else None,
            baseline=self._arm(baseline, HEALTHY) if baseline else None,
            observations=self._observations,
        )

    def harm(self, reading: Reading) -> float:
        """Return the mean share of the candidate's requests that are bad because of the change."""
        if not self._change.answers:
            return 1.0
        changed, healthy = reading(self._mean(self._change)), reading(self._mean(HEALTHY))
        return max(0.0, changed[1] - healthy[1]) if changed and healthy else 0.0

    def _mean(self, change: Change) -> Counts:
        """Return the mean of the counts of one request."""
        median, tails = self._traffic.median_latency * change.latency, [1.0]
        tails += [1 - NormalDist().cdf(log(edge / median) / _SPREAD) for edge in _EDGES[:-1]]
        latency = Histogram(_EDGES, tuple(high - low for high, low in pairwise((*tails, 0.0))))
        return Counts(1.0, min(1.0, self._traffic.error_rate * change.errors), latency)

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
