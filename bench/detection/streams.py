"""Simulated traffic of two versions: counts an interval, with everything that real telemetry does to them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import erf, exp, inf, log, sqrt

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

INTERVAL = 5.0
BAKE = 1800.0
INITIAL_DELAY = 30.0
HISTORY_INTERVALS, HISTORY_SECONDS = 360, 30.0
EDGES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, inf)
_MEDIAN, _SIGMA = 0.2, 0.7


@dataclass(frozen=True)
class Scenario:
    """What happens to a service. Rates are fractions, times seconds from the first request of the candidate. With
    `scrape`, each of the `pods` is read every so many seconds, at a time of its own.
    """

    name: str
    harmful: bool = False
    ratio: float = 1.0
    level: float | None = None
    onset: float = 0.0
    burst: float = 0.0
    burst_lasts: int = 10
    history_burst: float | None = None
    wander: float = 0.0
    shared_incident: float = 0.0
    settling_spike: float = 0.0
    blip: float = 0.0
    missing: float = 0.0
    resets: float = 0.0
    own_spells: float = 0.0
    spell_lasts: int = 120
    spells_apart: float = 720.0
    own_wander: float = 0.0
    own_memory: float = 120.0
    quiet_past: bool = False
    """Whether what an arm does on its own begins with the release."""
    history_incident: float = 0.0
    intermittent: float = 0.0
    fades: float = 0.0
    """Seconds in which half of the traffic is lost, from 60 s on, until no more than `left` of it is there."""
    left: float = 0.02
    gone: float = 0.0
    """Seconds after which a pass is blind: the last minute had less than a fifth of the traffic."""
    swallowed: float | None = None
    scrape: int | None = None
    pods: int = 10
    passes: bool = False
    """Healthy, and ends when it is proven safe; otherwise a healthy gate watches to its end."""
    dies: float | None = None
    slower: float | None = None
    jitter: float = 0.0

    @property
    def silent(self) -> bool:
        """Whether the candidate loses its traffic or its numbers."""
        return bool(self.fades) or self.dies is not None or self.swallowed is not None

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
    draw_latencies: Callable[[], tuple[Array, Array, Array]]
    span: float | None = None
    """How many seconds the counts of one process reach back, where that is longer than an interval."""

    @cached_property
    def slow(self) -> tuple[Array, Array, Array]:
        """Bucket counts of candidate, baseline and history, shape (intervals, edges); drawn once they are asked for."""
        return self.draw_latencies()


def simulate(
    scenario: Scenario, rate: float, base: float, rng: np.random.Generator, interval: float = INTERVAL
) -> Stream:
    """One deploy at `rate` requests/s in each arm and a base error rate of `base`."""
    steps = round((INITIAL_DELAY + BAKE) / interval)
    seconds, past_seconds = round(steps * interval), round(HISTORY_INTERVALS * HISTORY_SECONDS)
    time = np.arange(seconds)
    p, q = _own(scenario, base, seconds, rng), _own(scenario, base, seconds, rng)
    past = _own(scenario, base, past_seconds, rng, past=True)
    shared = _wander(scenario.wander, seconds, rng)
    p, q, past = p * shared, q * shared, past * _wander(scenario.wander, past_seconds, rng)
    harmed = time >= scenario.onset
    p = np.where(harmed, p * scenario.ratio if scenario.level is None else scenario.level, p)
    at = int(rng.integers(60, seconds // 2))
    if scenario.shared_incident:
        p[at : at + 60] = q[at : at + 60] = scenario.shared_incident
    if scenario.settling_spike:
        p[: int(INITIAL_DELAY)] = scenario.settling_spike
    if scenario.blip:
        p[at : at + 10] = scenario.blip
    if scenario.intermittent:
        p = np.where((time + at) % 60 < 10, scenario.intermittent, p)
    if scenario.history_incident:
        past[3000:3300] = scenario.history_incident
    flow = np.full(seconds, rate)
    if scenario.fades:
        flow = rate * np.maximum(scenario.left, 0.5 ** (np.maximum(0, time - 60) / scenario.fades))
    if scenario.swallowed is not None:
        flow = np.where(time >= scenario.swallowed, 0.0, rate)
    count = _counted if scenario.scrape is None else partial(_scraped, scenario)
    n, x = count(flow, p, interval, rng)
    m, y = count(np.full(seconds, rate), q, interval, rng)
    history = _counted(np.full(past_seconds, rate), past, HISTORY_SECONDS, rng)
    late = np.arange(steps) * interval >= scenario.onset
    stream = Stream(n, x, m, y, history, partial(_latencies, scenario, n, m, history[0], late, rng.spawn(1)[0]))
    if scenario.scrape is not None:
        stream = replace(stream, span=float(scenario.scrape))
    if scenario.dies is not None:
        stream.n[round(scenario.dies / interval) :] = np.nan
    return _spoil(stream, scenario, rng)


def _own(scenario: Scenario, base: float, seconds: int, rng: np.random.Generator, *, past: bool = False) -> Array:
    """The error rate of one arm, second by second: what it does on its own."""
    rate = np.full(seconds, base)
    burst = scenario.history_burst if past and scenario.history_burst is not None else scenario.burst
    if burst:
        size, lasts = 1 / burst - 1, scenario.burst_lasts
        bursts = rng.beta(base * size, (1 - base) * size, seconds // lasts + 2).repeat(lasts)
        phase = int(rng.integers(lasts))
        rate = bursts[phase : phase + seconds]
    if past and scenario.quiet_past:
        return rate
    if scenario.own_spells:
        begin = 0
        while (begin := begin + int(rng.exponential(scenario.spells_apart))) < seconds:
            rate[begin : begin + scenario.spell_lasts] *= scenario.own_spells
            begin += scenario.spell_lasts
        rate *= base / max(base, rate.mean())
    return rate * _wander(scenario.own_wander, seconds, rng, scenario.own_memory)


def _counted(flow: Array, rate: Array, interval: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Requests and errors of each interval, from the flow and the error rate of each second."""
    steps, each = round(flow.size / interval), round(interval)
    requests = rng.poisson(flow)
    bad = rng.binomial(requests, np.clip(rate, 0.0, 1.0))
    return tuple(part[: steps * each].reshape(steps, each).sum(axis=1).astype(float) for part in (requests, bad))


def _scraped(
    scenario: Scenario, flow: Array, rate: Array, interval: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """The same of a fleet, each process of which is scraped at times of its own; NaN where none of them was."""
    steps, pods, apart = round(flow.size / interval), scenario.pods, scenario.scrape or 1
    requests = rng.poisson(flow / pods, (pods, flow.size))
    kinds = (requests, rng.binomial(requests, np.clip(rate, 0.0, 1.0)))
    seen, reports = np.zeros((2, steps)), np.zeros(steps)
    for pod, phase in enumerate(rng.integers(1, apart, pods)):
        scrapes = np.arange(phase, flow.size, apart)
        looks = ((scrapes - 1) // interval).astype(int)
        np.add.at(reports, looks, 1)
        for kind, counts in enumerate(kinds):
            totals = np.concatenate(([0], np.cumsum(counts[pod])))[scrapes]
            np.add.at(seen[kind], looks, np.diff(totals, prepend=0))
    seen[:, reports == 0] = np.nan
    return seen[0], seen[1]


def _wander(deviation: float, seconds: int, rng: np.random.Generator, remembers: float = 120.0) -> Array:
    """A factor on the rate: exp of an AR(1) process with the given deviation and a memory of so many seconds."""
    if not deviation:
        return np.ones(seconds)
    memory, level, values = exp(-10 / remembers), rng.normal(0, deviation), np.empty(seconds // 10 + 1)
    for step in range(values.size):
        level = memory * level + rng.normal(0, deviation * sqrt(1 - memory**2))
        values[step] = level
    return np.asarray(np.exp(values - deviation**2 / 2).repeat(10)[:seconds])


def _latencies(
    scenario: Scenario, n: Array, m: Array, past: Array, harmed: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[Array, Array, Array]:
    factor = np.where(harmed, scenario.slower or 1.0, 1.0)
    return (
        _buckets(n, factor * np.exp(rng.normal(0, scenario.jitter, n.size)), rng),
        _buckets(m, np.exp(rng.normal(0, scenario.jitter, m.size)), rng),
        _buckets(past, np.exp(rng.normal(0, scenario.jitter, past.size)), rng),
    )


def _buckets(requests: Array, factor: Array, rng: np.random.Generator) -> Array:
    """Log-normal latencies, median 200 ms times `factor`, counted in buckets."""
    return lognormal(requests, _MEDIAN * factor, EDGES, rng)


def lognormal(requests: Array, median: Array, edges: Sequence[float], rng: np.random.Generator) -> Array:
    """Latencies of this median in seconds, counted in buckets."""
    scales, place = np.unique(median, return_inverse=True)
    below = np.array(
        [[0.5 * (1 + erf(log(edge / scale) / _SIGMA / sqrt(2))) for edge in edges[:-1]] for scale in scales]
    )
    parts = np.diff(np.pad(below, ((0, 0), (1, 0))), append=1.0, axis=1)
    return rng.multinomial(np.nan_to_num(requests).astype(int), parts[place]).astype(float)


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
