"""Simulated traffic of two versions: counts an interval, with everything that real telemetry does to them."""

from dataclasses import dataclass, replace
from math import erf, inf, log, sqrt

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

INTERVAL = 10.0
BAKE = 1800.0
WARM_UP = 30.0
HISTORY_INTERVALS = 1080
EDGES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, inf)
_MEDIAN, _SIGMA = 0.2, 0.7


@dataclass(frozen=True)
class Scenario:
    """What happens to a service. Rates are fractions, times seconds from the first request of the candidate."""

    name: str
    harmful: bool = False
    ratio: float = 1.0
    level: float | None = None
    onset: float = 0.0
    burst: float = 0.0
    history_burst: float | None = None
    wander: float = 0.0
    shared_incident: float = 0.0
    warm_up_spike: float = 0.0
    blip: float = 0.0
    missing: float = 0.0
    resets: float = 0.0
    slower: float | None = None
    jitter: float = 0.0

    @property
    def latency(self) -> bool:
        """Whether it is about latency."""
        return self.slower is not None


@dataclass(frozen=True)
class Stream:
    """One deploy: requests and errors an interval of both arms, NaN where a scrape is missing; history before it."""

    n: Array
    x: Array
    m: Array
    y: Array
    history: tuple[Array, Array]
    slow: tuple[Array, Array, Array] | None = None
    """Bucket counts of candidate, baseline and history, shape (intervals, edges)."""


def simulate(
    scenario: Scenario, rate: float, base: float, rng: np.random.Generator, interval: float = INTERVAL
) -> Stream:
    """One deploy at `rate` requests/s in each arm and a base error rate of `base`."""
    steps = round((WARM_UP + BAKE) / interval)
    time = np.arange(steps) * interval
    drift, past_drift = _wander(scenario.wander, steps, rng), _wander(scenario.wander, HISTORY_INTERVALS, rng)
    p, q = np.full(steps, base) * drift, np.full(steps, base) * drift
    harmed = time >= scenario.onset
    p = np.where(harmed, p * scenario.ratio if scenario.level is None else scenario.level, p)
    at = rng.integers(round((WARM_UP + 30) / interval), steps // 2)
    if scenario.shared_incident:
        during = slice(at, at + round(60 / interval))
        p[during] = q[during] = scenario.shared_incident
    if scenario.warm_up_spike:
        p[: round(WARM_UP / interval)] = scenario.warm_up_spike
    if scenario.blip:
        p[at : at + max(1, round(10 / interval))] = scenario.blip
    n, m, past = (rng.poisson(rate * interval, size).astype(float) for size in (steps, steps, HISTORY_INTERVALS))
    past_burst = scenario.burst if scenario.history_burst is None else scenario.history_burst
    x, y = _bad(n, p, scenario.burst, rng), _bad(m, q, scenario.burst, rng)
    history = (past, _bad(past, np.full(HISTORY_INTERVALS, base) * past_drift, past_burst, rng))
    stream = Stream(n, x, m, y, history, _latencies(scenario, n, m, past, harmed, rng))
    return _spoil(stream, scenario, rng)


def _wander(deviation: float, steps: int, rng: np.random.Generator) -> Array:
    """A factor on the rate: exp of an AR(1) process with the given deviation, the same for both arms."""
    if not deviation:
        return np.ones(steps)
    memory, level, values = 0.9, rng.normal(0, deviation), np.empty(steps)
    for step in range(steps):
        level = memory * level + rng.normal(0, deviation * sqrt(1 - memory**2))
        values[step] = level
    return np.exp(values - deviation**2 / 2)


def _bad(requests: Array, rate: Array, correlation: float, rng: np.random.Generator) -> Array:
    """Beta-binomial counts."""
    p = np.clip(rate, 0.0, 1.0)
    if correlation:
        size = 1 / correlation - 1
        inner = (p > 0) & (p < 1)
        p = np.where(inner, rng.beta(np.where(inner, p * size, 1), np.where(inner, (1 - p) * size, 1)), p)
    return rng.binomial(requests.astype(int), p).astype(float)


def _latencies(
    scenario: Scenario, n: Array, m: Array, past: Array, harmed: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[Array, Array, Array] | None:
    if scenario.slower is None:
        return None
    factor = np.where(harmed, scenario.slower, 1.0)
    return (
        _buckets(n, factor * np.exp(rng.normal(0, scenario.jitter, n.size)), rng),
        _buckets(m, np.exp(rng.normal(0, scenario.jitter, m.size)), rng),
        _buckets(past, np.exp(rng.normal(0, scenario.jitter, past.size)), rng),
    )


def _buckets(requests: Array, factor: Array, rng: np.random.Generator) -> Array:
    """Log-normal latencies, median 200 ms times `factor`, counted in buckets."""
    rows = []
    for count, scale in zip(requests, factor, strict=True):
        below = [0.5 * (1 + erf(log(edge / (_MEDIAN * scale)) / _SIGMA / sqrt(2))) for edge in EDGES[:-1]]
        rows.append(rng.multinomial(int(count), np.diff([0.0, *below, 1.0])))
    return np.array(rows, dtype=float)


def _spoil(stream: Stream, scenario: Scenario, rng: np.random.Generator) -> Stream:
    """Take scrapes away (the next one covers the gap) and restart counters (a part of the interval is lost)."""
    if not (scenario.missing or scenario.resets):
        return stream
    n, x = _spoil_arm(stream.n, stream.x, scenario, rng)
    m, y = _spoil_arm(stream.m, stream.y, scenario, rng)
    return replace(stream, n=n, x=x, m=m, y=y)


def _spoil_arm(requests: Array, bad: Array, scenario: Scenario, rng: np.random.Generator) -> tuple[Array, Array]:
    kept_requests, kept_bad = np.full_like(requests, np.nan), np.full_like(bad, np.nan)
    pending = np.zeros(2)
    for step in range(requests.size):
        if rng.random() < scenario.resets:
            left = rng.random()
            ok = rng.binomial(int(requests[step] - bad[step]), left)
            failed = rng.binomial(int(bad[step]), left)
            pending[:] = ok + failed, failed
        else:
            pending += requests[step], bad[step]
        if rng.random() >= scenario.missing:
            kept_requests[step], kept_bad[step] = pending
            pending[:] = 0
    return kept_requests, kept_bad
