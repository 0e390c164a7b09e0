"""python -m bench.detection.before [--runs N] [--seed N] [--rates N,…] [--only TEXT]

Prints how often the comparison of `post-switch` with what was there before the switch fails healthy releases, and how
soon it sees harm below the limits: the evidence of that comparison alone, of errors and latencies together with their
shares of the risk, in half an hour in which nothing passes. Latencies are log-normal, in the buckets that clients of
Prometheus have.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import exp, inf, pi

import numpy as np

from bench.detection.aims import soon
from bench.detection.judged import START
from bench.detection.streams import Array, lognormal
from bench.detection.trials import Tally
from healthd_gates.config.builtin_policies import SHIPPED
from healthd_gates.config.policy import Policy
from healthd_gates.criteria.error_rate import ErrorRate
from healthd_gates.criteria.latency import Latency
from healthd_gates.domain.evidence import Counts, Evidence, Histogram
from healthd_gates.judge import error_rate, latency
from healthd_gates.judge.arms import errors
from healthd_gates.judge.criterion import Frame, Look
from healthd_gates.judge.deterioration import Deterioration
from healthd_gates.judge.mixtures import log_weighted
from healthd_gates.judge.past import Past
from healthd_gates.judge.rhythm import Rhythm

_BASE, _MEDIAN = 0.008, 0.01  # share of errors, and seconds
_EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, inf)
_LOOK, _LOOKS = 5.0, 366
_PAST_LOOK, _PAST_LOOKS = 30.0, 360
_POLICY = Policy.model_validate(SHIPPED["post-switch"])

Course = Callable[[Array, np.random.Generator], Array]
"""Factors at so many seconds after the switch, which are negative before it."""


def _same(time: Array, _: np.random.Generator) -> Array:
    return np.ones(time.size)


@dataclass(frozen=True)
class Release:
    """What happens to errors, latencies and traffic after the switch; with `always`, before it as well."""

    name: str
    errors: Course = _same
    slowness: Course = _same
    traffic: Course = _same
    always: bool = False
    past_traffic: float = 1.0


def times(factor: float, since: float = 0.0, until: float = inf) -> Course:
    """So many times as much for a while."""
    return lambda time, _: np.where((time >= since) & (time < until), factor, 1.0)


def fading(factor: float, memory: float) -> Course:
    """So many times as much at the switch, which fades with a memory of so many seconds: cold caches."""
    return lambda time, _: 1 + (factor - 1) * np.exp(-np.maximum(0.0, time) / memory)


def daily(factor: float) -> Course:
    """Up to so many times as much within six hours."""
    return lambda time, _: np.asarray(factor ** ((1 - np.cos(2 * pi * (time + 10800) / 43200)) / 2))


def drifting(deviation: float, memory: float) -> Course:
    """A wandering level, AR(1) in its logarithm."""

    def course(time: Array, rng: np.random.Generator) -> Array:
        keeps, level, levels = exp(-(time[1] - time[0]) / memory), rng.normal(0, deviation), np.empty(time.size)
        for place in range(time.size):
            levels[place] = level
            level = keeps * level + rng.normal(0, deviation * (1 - keeps**2) ** 0.5)
        return np.asarray(np.exp(levels))

    return course


def spells(factor: float) -> Course:
    """So many times as much for two minutes, about every twelve."""

    def course(time: Array, rng: np.random.Generator) -> Array:
        levels, begin = np.ones(time.size), time[0]
        while (begin := begin + rng.exponential(720)) < time[-1]:
            levels[(time >= begin) & (time < begin + 120)] = factor
            begin += 120
        return levels

    return course


HEALTHY = (
    Release("steady"),
    Release("cold caches: ×10 slower, fading in a minute", slowness=fading(10, 60)),
    Release("×10 slower, fading in two minutes", slowness=fading(10, 120)),
    Release("×30 slower, fading in a minute", slowness=fading(30, 60)),
    Release("×5 slower, fading in five minutes", slowness=fading(5, 300)),
    Release("×10 slower, fading in five minutes", slowness=fading(10, 300)),
    Release("×4 the errors, fading in 75 s", errors=fading(4, 75)),
    Release("daily season, ×4 in all", errors=daily(4), slowness=daily(4), traffic=daily(4), always=True),
    Release("a quiet past, then a busy hour: ×2.5 in all", times(2.5), times(2.5), past_traffic=0.02),
    Release("errors in two-minute spells, ×6", errors=spells(6), always=True),
    Release("errors drift (AR(1) of two minutes, .6)", errors=drifting(0.6, 120), always=True),
    Release("latencies drift (AR(1) of two minutes, .5)", slowness=drifting(0.5, 120), always=True),
    Release("spells that the past has not shown, ×6 the errors", errors=spells(6)),
    Release("a dependency is ×6 slower for a minute", slowness=times(6, 400, 460)),
    Release("a dependency is ×20 slower for five minutes", slowness=times(20, 400, 700)),
    Release("a dependency fails 3 % for five minutes", errors=times(0.03 / _BASE, 400, 700)),
)
HARMFUL = (
    Release("×90 slower", slowness=times(90)),
    Release("×20 slower", slowness=times(20)),
    Release("×5 the errors", errors=times(5)),
    Release("×3.5 the errors", errors=times(3.5)),
    Release("×90 slower after ten minutes", slowness=times(90, 600)),
    Release("×5 the errors after ten minutes", errors=times(5, 600)),
)


def failed_at(release: Release, rate: float, rng: np.random.Generator) -> float:
    """When the comparison decides, in seconds after the switch; inf if it does not."""
    frame, past = Frame(_POLICY.verdict_rules().risk, _POLICY.verdict_rules().timing), _past(release, rate, rng)
    parts, weight = list[tuple[float, Deterioration]](), sum(getattr(each, "weight", 0.0) for each in _POLICY.criteria)
    for rule in _POLICY.criteria:
        assert isinstance(rule, ErrorRate | Latency)
        assert rule.comparison is not None
        assert rule.limit is not None
        kind = ErrorRate if release.slowness is _same else Latency if release.errors is _same else ErrorRate | Latency
        if not (isinstance(rule, kind) or release.name == "steady"):
            continue  # what the release leaves alone is steady, and shows nothing
        if isinstance(rule, ErrorRate):
            found = Deterioration.of_errors(rule.comparison, rule.limit, frame, past, errors)
            parts.append((error_rate._BEFORE * rule.weight / weight, found))
        else:
            found = Deterioration.of_latency(rule.comparison, rule.quantile, rule.limit, frame, past)
            parts.append((latency._BEFORE * rule.weight / weight, found))
    rhythm = Rhythm()
    for place, counts in enumerate(_counts(release, rate, np.arange(_LOOKS, dtype=np.float64) * _LOOK, _LOOK, rng)):
        evidence = Evidence(START, _LOOK, counts)
        rhythm.step(evidence)
        for _, part in parts:
            part.step(Look(evidence, (place + 0.5) * _LOOK < frame.timing.initial_delay, rhythm), excused=False)
        if log_weighted([(share, part.log_e_harm) for share, part in parts]) >= frame.harm_needed:
            return (place + 1) * _LOOK
    return inf


def _past(release: Release, rate: float, rng: np.random.Generator) -> Past:
    before = release if release.always else Release("")
    time = np.arange(-_PAST_LOOKS, 0, dtype=np.float64) * _PAST_LOOK
    counts = _counts(before, rate * release.past_traffic, time, _PAST_LOOK, rng)
    return Past.of(Evidence(START, _PAST_LOOK, None, each) for each in counts)


def _counts(release: Release, rate: float, time: Array, seconds: float, rng: np.random.Generator) -> Sequence[Counts]:
    """The counts of intervals that begin at these times."""
    requests = rng.poisson(rate * seconds * release.traffic(time, rng))
    bad = rng.binomial(requests, np.clip(_BASE * release.errors(time, rng), 0.0, 1.0))
    slow = lognormal(requests.astype(np.float64), _MEDIAN * release.slowness(time, rng), _EDGES, rng)
    kinds = zip(requests.tolist(), bad.tolist(), slow.tolist(), strict=True)
    return [Counts(n, x, Histogram(_EDGES, tuple(buckets))) for n, x, buckets in kinds]


def rows(rates: Sequence[float], only: str) -> Iterator[tuple[Release, float]]:
    """The releases that were asked for."""
    for release in HEALTHY + HARMFUL:
        for rate in rates if only in release.name else ():
            yield release, rate


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.detection.before", description=__doc__)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=20261127)
    parser.add_argument("--rates", default="50", help="requests/s, with commas")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    asked = parser.parse_args()
    print(f"| {asked.runs} runs; seed {asked.seed} | requests/s | fails |\n| --- | --- | --- |")
    for release, rate in rows([float(part) for part in asked.rates.split(",")], asked.only):
        rngs = (np.random.default_rng([asked.seed, run, *release.name.encode()]) for run in range(asked.runs))
        tally = Tally(tuple(failed_at(release, rate, rng) for rng in rngs))
        print(f"| {release.name} | {rate:g} | {tally.count}: {soon(tally)} |", flush=True)


if __name__ == "__main__":
    main()
