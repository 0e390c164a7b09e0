"""python -m bench.detection.slow_routes [--runs N] [--seed N] [--only TEXT]

Prints how soon a gate sees one route that becomes slow, with `by: route` and without, and how often it fails a healthy
release. The latency is judged by the product's own judge, by the rules of a shipped policy, with three hours of
history; nothing fails. Twenty routes with the same traffic, whose medians go from 5 to 400 ms unless a row says
otherwise.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from bench.detection.judged import START
from bench.detection.route_table import print_table
from bench.detection.streams import Array
from healthd_gates.config.builtin_policies import SHIPPED
from healthd_gates.config.policy import Policy
from healthd_gates.criteria.latency import Latency
from healthd_gates.domain.evidence import Counts, Evidence, Histogram
from healthd_gates.domain.standing import Verdict
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.rules import Rules

_EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, inf)
_LOOK, _PAST_LOOK = 5.0, 30.0
_PAST_LOOKS, _LOOKS = 360, 132  # three hours, and eleven minutes: a little more than a canary takes at most
_ROUTES = 20
_SPREAD = 0.7  # standard deviation of ln(latency)


@dataclass(frozen=True)
class Release:
    """A release: its traffic, and what the candidate does to one of its routes."""

    name: str
    rate: float = 50.0
    limit: float = 5.0
    times: float = 1.0
    """By how much one route of the candidate is slower."""
    waves: float = 0.0
    """Standard deviation of ln(latency) of all routes together, of each arm by itself, anew every half minute."""
    blip: float = 1.0
    """By how much all routes of the candidate are slower for ten seconds."""

    @property
    def is_harmful(self) -> bool:
        """Whether one of the candidate's routes is worse than it was."""
        return self.times > 1

    def counts(self, medians: Array, rng: np.random.Generator, seconds: float) -> Counts:
        """Draw one interval of one arm."""
        apart = {}
        for place, median in enumerate(medians):
            took = median * np.exp(_SPREAD * rng.standard_normal(rng.poisson(self.rate * seconds / _ROUTES)))
            found = np.histogram(took, (0.0, *_EDGES[:-1], np.inf))[0]
            if found.sum():
                apart[f"/{place}"] = Histogram(_EDGES, tuple(map(float, found)))
        whole = Histogram.together(tuple(apart.values())) if apart else None
        strata = {name: (latency.total, 0.0) for name, latency in apart.items()}
        return Counts(whole.total if whole else 0.0, 0.0, whole, strata, apart)


def rules_of(policy: str, limit: float, *, by: bool) -> Rules:
    """The rules of a shipped policy with its latency alone."""
    it = Policy.model_validate(SHIPPED[policy])
    latency = next(each for each in it.criteria if isinstance(each, Latency))
    changed = latency.model_copy(update={"limit": limit, "by": "route" if by else None})
    return replace(it.verdict_rules(), criteria=(changed,))


def ended(release: Release, policy: str, *, by: bool, rng: np.random.Generator) -> tuple[bool, float]:
    """Whether a gate passes within its looks, and when it fails, in seconds after the switch; inf if it does not."""
    rules, usual = rules_of(policy, release.limit, by=by), np.geomspace(0.005, 0.4, _ROUTES)
    rules = replace(rules, timing=replace(rules.timing, minimum=rules.timing.maximum)) if release.is_harmful else rules
    waves = [np.ones(1), np.ones(1)]

    def drawn(arm: int, place: int, factor: Array, seconds: float) -> Counts:
        if release.waves and place % round(30.0 / seconds) == 0:
            waves[arm] = np.exp(release.waves * rng.standard_normal(1))
        return release.counts(usual * factor * waves[arm], rng, seconds)

    plain, slow = np.ones(_ROUTES), np.ones(_ROUTES)
    slow[_ROUTES // 2] = release.times
    past = (Evidence(START, _PAST_LOOK, None, drawn(1, place, plain, _PAST_LOOK)) for place in range(_PAST_LOOKS))
    judge, at = Judge(rules, list(past)), rng.uniform(60.0, 300.0)
    for place in range(_LOOKS):
        hit = at <= place * _LOOK < at + 10.0
        mine = drawn(0, place, slow * (release.blip if hit else 1.0), _LOOK)
        beside = drawn(1, place, plain, _LOOK) if policy == "canary" else None
        judge.take(Evidence(START, _LOOK, mine, beside))
        verdict, _ = judge.decision
        if verdict is Verdict.FAIL:
            return False, (place + 1) * _LOOK
        if verdict is Verdict.PASS:
            return True, inf
    return False, inf


def rows() -> Iterator[tuple[Release, str]]:
    """Each release with the policy that judges it."""
    yield Release("one route of twenty is a hundred times slower", times=100.0), "canary"
    yield Release("one route of twenty is ten times slower", times=10.0), "canary"
    yield Release("one route of twenty is twice as slow", times=2.0), "canary"
    yield Release("one route of twenty is a thousand times slower", times=1000.0), "post-switch"
    for policy in ("canary", "post-switch"):
        yield Release("healthy"), policy
        yield Release("healthy, five requests/s", rate=5.0), policy
        yield Release("healthy, a limit that the slowest routes exceed", limit=0.5), policy
        yield Release("healthy but for 10 s of twenty times in all routes", blip=20.0), policy
    yield Release("healthy, both versions slower and faster by 10 %, each by itself", waves=0.1), "canary"


def main() -> None:
    """Print a table."""
    print_table("bench.detection.slow_routes", __doc__, rows(), _judged, runs=20, seed=20261127)


def _judged(release: Release, policy: str, by: bool, rng: np.random.Generator) -> tuple[bool, float]:
    return ended(release, policy, by=by, rng=rng)


if __name__ == "__main__":
    main()
