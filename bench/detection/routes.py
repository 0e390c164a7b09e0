"""python -m bench.detection.routes [--runs N] [--seed N]

Prints how soon a gate sees one route that fails, with `by: route` and without, and how often it fails a healthy
release. The error rate is judged by the product's own judge, by the rules of a shipped policy, with three hours of
history; latencies are steady. Twenty routes, each with the same traffic unless a row says otherwise.
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
from healthd_gates.criteria.error_rate import ErrorRate
from healthd_gates.domain.evidence import Counts, Evidence
from healthd_gates.domain.standing import Verdict
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.rules import Rules

_LOOK, _PAST_LOOK = 5.0, 30.0
_PAST_LOOKS, _LOOKS = 360, 366


@dataclass(frozen=True)
class Release:
    """A release: traffic and error rates of its routes, and what the candidate does to one of them."""

    name: str
    rate: float = 50.0
    base: float = 0.01
    routes: int = 20
    share: float | None = None
    """The share of the traffic that the failing route has; that of all others unless given."""
    fails: float | None = None
    """The error rate of one route in the candidate; None if it is healthy."""
    unlike: bool = False
    """True if the base rates of the routes differ, up to tenfold."""
    correlation: float = 0.0
    """Correlation of the errors of one route in one look."""
    blip: float = 0.0
    """Error rate of the candidate in all routes for ten seconds, at any phase."""

    @property
    def is_harmful(self) -> bool:
        """Whether one of the candidate's routes is worse than it was."""
        return self.fails is not None

    def traffic(self) -> Array:
        """Requests a second of each route."""
        first = 1 / self.routes if self.share is None else self.share
        return self.rate * np.array([first, *[(1 - first) / (self.routes - 1)] * (self.routes - 1)])

    def rates(self) -> Array:
        """The base error rate of each route."""
        spread = np.geomspace(0.3, 3.0, self.routes) if self.unlike else np.ones(self.routes)
        return np.minimum(0.9, self.base * spread)

    def counts(self, rates: Array, seconds: float, rng: np.random.Generator) -> Counts:
        """Draw one interval of one arm."""
        requests = rng.poisson(self.traffic() * seconds)
        if self.correlation:
            odds = 1 / self.correlation - 1
            rates = rng.beta(rates * odds, (1 - rates) * odds)
        bad = rng.binomial(requests, rates)
        strata = {
            f"/{place}": (float(n), float(x)) for place, (n, x) in enumerate(zip(requests, bad, strict=True)) if n
        }
        return Counts(float(requests.sum()), float(bad.sum()), strata=strata)


def rules_of(policy: str, *, by: bool, watch: bool = False) -> Rules:
    """The rules of a shipped policy with its error rate alone."""
    it = Policy.model_validate(SHIPPED[policy])
    rate = next(each for each in it.criteria if isinstance(each, ErrorRate))
    return replace(
        it.watch_rules() if watch else it.verdict_rules(),
        criteria=(rate.model_copy(update={"by": "route"}) if by else rate,),
    )


def ended(release: Release, policy: str, *, by: bool, early: bool, rng: np.random.Generator) -> tuple[bool, float]:
    """Whether a gate passes, and when it or its watch fails within half an hour, in seconds after the switch; inf if
    neither does."""
    rules, base = rules_of(policy, by=by), release.rates()
    if not early:
        rules = replace(rules, timing=replace(rules.timing, minimum=rules.timing.maximum))
    history = [Evidence(START, _PAST_LOOK, None, release.counts(base, _PAST_LOOK, rng)) for _ in range(_PAST_LOOKS)]
    judge, own, at = Judge(rules, history), base.copy(), rng.uniform(60.0, 300.0)
    if release.fails is not None:
        own[0] = release.fails
    passed, bake = False, list[Evidence]()
    for place in range(_LOOKS):
        hit = max(0.0, min(at + 10.0, (place + 1) * _LOOK) - max(at, place * _LOOK)) / _LOOK if release.blip else 0.0
        mine = release.counts(own + hit * (release.blip - own), _LOOK, rng)
        beside = release.counts(base, _LOOK, rng) if policy == "canary" else None
        bake.append(Evidence(START, _LOOK, mine, beside))
        judge.take(bake[-1])
        verdict, _ = judge.decision
        if verdict is Verdict.FAIL:
            return passed, (place + 1) * _LOOK
        if verdict is Verdict.PASS and not passed:
            passed, judge = True, Judge(rules_of(policy, by=by, watch=True), history, tuple(bake))
    return passed, inf


def rows() -> Iterator[tuple[Release, str]]:
    """Each release with the policy that judges it."""
    for policy in ("canary", "post-switch"):
        yield Release("one route of twenty fails half", fails=0.5), policy
        yield Release("one route of twenty fails all", fails=1.0), policy
        yield Release("a route with 1 % of the traffic fails half", share=0.01, fails=0.5), policy
        yield Release("a route with 0.2 % of the traffic fails all", share=0.002, fails=1.0), policy
        yield Release("one route of twenty fails 10 %", fails=0.1), policy
    yield Release("one route of two fails 10 %: the total sees it", routes=2, fails=0.1), "canary"
    for policy in ("canary", "post-switch"):
        yield Release("healthy"), policy
        yield Release("healthy, fifty routes", routes=50), policy
        yield Release("healthy, routes fail 0.3 to 3 %", unlike=True), policy
        yield Release("healthy, bursts (ρ = .05) in every route", correlation=0.05), policy
        yield Release("healthy, 0.1 %, five requests/s", rate=5.0, base=0.001), policy
        yield Release("healthy but for 10 s of 80 % in all routes", blip=0.8), policy


def main() -> None:
    """Print a table."""
    print_table("bench.detection.routes", __doc__, rows(), _judged, runs=40, seed=20261126)


def _judged(release: Release, policy: str, by: bool, rng: np.random.Generator) -> tuple[bool, float]:
    return ended(release, policy, by=by, early=release.is_harmful, rng=rng)


if __name__ == "__main__":
    main()
