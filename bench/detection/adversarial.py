"""python -m bench.detection.adversarial [--runs N] [--seed N] [--rates N,…] [--bases N,…] [--policy NAME] [--no-past]
    [--interval SECONDS] [--only TEXT]

Prints how often a shipped policy rolls back healthy releases on traffic that is harder than that of
`bench.detection`: arms that drift and have spells more, longer or together with other trouble, incidents in the past,
trouble that the past has not shown, fleets that are scraped rarely, versions with unlike buckets. **Bold** is a cell
with one or more whose upper 95 % bound is above the stated 1 %. Then how soon it sees harm that hides in such traffic.
The judge was made without these cells.
"""

import argparse
from dataclasses import replace
from itertools import product
from math import inf

import numpy as np

from bench.detection.judged import START, shipped
from bench.detection.streams import EDGES, INTERVAL, Scenario, lognormal
from bench.detection.trials import Cell, Tally, run
from bench.detection.words import how_often, how_soon
from healthd_gates.config.policy import Policy
from healthd_gates.domain.evidence import Counts, Evidence, Histogram
from healthd_gates.domain.standing import Verdict
from healthd_gates.judge.judge import Judge

_STATED = 0.01

HEALTHY = (
    Scenario("each arm's own spells ×3", own_spells=3.0),
    Scenario("each arm's own spells ×12", own_spells=12.0),
    Scenario("each arm's own drift, deviation 0.3", own_wander=0.3),
    Scenario("each arm's own drift, deviation 0.9", own_wander=0.9),
    Scenario("own drift and bursts", own_wander=0.4, burst=0.02),
    Scenario("own spells ×6, a fleet scraped every 30 s", own_spells=6.0, scrape=30),
    Scenario("own drift, an incident in the past", own_wander=0.6, history_incident=0.3),
    Scenario("an incident in the past", history_incident=0.3),
    Scenario("10 s blip of 80 %, an incident in the past", blip=0.8, history_incident=0.3),
    Scenario("10 s blip of 80 %, a fleet scraped every 60 s", blip=0.8, scrape=60),
    Scenario("10 s blip of 60 %, two processes scraped every 15 s", blip=0.6, scrape=15, pods=2),
    Scenario("shared incident, gaps and resets", shared_incident=0.3, missing=0.3, resets=0.05),
    Scenario("bursts after a quiet past, gaps", burst=0.03, history_burst=0.0, missing=0.3),
    Scenario("own drift, 0.5, with a memory of 10 min", own_wander=0.5, own_memory=600.0),
    Scenario("own drift, 0.4, with a memory of 30 min", own_wander=0.4, own_memory=1800.0),
    Scenario("own spells ×3 of 10 min, one an hour", own_spells=3.0, spell_lasts=600, spells_apart=3600.0),
    Scenario("own spells ×6, not in the past", own_spells=6.0, quiet_past=True),
    Scenario("own drift, 0.6, not in the past", own_wander=0.6, quiet_past=True),
    Scenario("bursts of 25 s, not in the past", burst=0.05, history_burst=0.0, burst_lasts=25),
)
HARMFUL = (
    Scenario("×5, each arm's own drift", harmful=True, ratio=5.0, own_wander=0.6),
    Scenario("×5, each arm's own spells ×6", harmful=True, ratio=5.0, own_spells=6.0),
    Scenario("10 % errors, a fleet scraped every 60 s", harmful=True, level=0.1, scrape=60),
    Scenario("100 % for 10 s of 60", harmful=True, intermittent=1.0),
    Scenario("10 % after 900 s, an incident in the past", harmful=True, level=0.1, onset=900.0, history_incident=0.3),
)
_UNLIKE = "versions with unlike buckets"
_COARSE = (0.1, 0.25, 0.5, 1.0, 5.0, inf)


def main() -> None:
    """Print the tables, row by row."""
    asked = _arguments()
    places = list(product(asked.bases, asked.rates))
    head = [f"{100 * base:g} %, {rate:g}/s" for base, rate in places]
    for title, scenarios in (("healthy", HEALTHY), ("harmful", HARMFUL)):
        print(f"| {title} | {' | '.join(head)} |\n|{' --- |' * (1 + len(head))}", flush=True)
        for scenario in scenarios:
            if asked.only not in scenario.name:
                continue
            runs = asked.runs // 4 if scenario.harmful else asked.runs
            cells = [Cell(scenario, rate, base, asked.policy, past=not asked.no_past) for base, rate in places]
            found = [run(cell, runs, asked.seed, interval=asked.interval).judge for cell in cells]
            shown = [how_soon(tally) if scenario.harmful else _kept(tally) for tally in found]
            print(f"| {scenario.name} | {' | '.join(shown)} |", flush=True)
        if title == "healthy":
            if asked.only in _UNLIKE:
                found = [
                    _unlike_buckets(shipped(asked.policy, asked.interval), rate, base, asked.runs // 10, asked.seed)
                    for base, rate in places
                ]
                print(f"| {_UNLIKE} | {' | '.join(_kept(tally) for tally in found)} |", flush=True)
            print()


def _kept(tally: Tally) -> str:
    """How many of how many were rolled back; of some also the share, with its 95 % bounds."""
    text = f"{tally.count} of {len(tally.times)}" + (f", {how_often(tally)}" if tally.count else "")
    return f"**{text}**" if tally.count and tally.bounds[1] > _STATED else text


def _unlike_buckets(policy: Policy, rate: float, base: float, runs: int, seed: int) -> Tally:
    """Rollbacks of a healthy candidate whose buckets are coarse and few, beside a baseline with others; its past has
    those of the baseline. The gate watches to its end."""
    return Tally(tuple(_unlike(policy, rate, base, np.random.default_rng([seed, place])) for place in range(runs)))


def _unlike(policy: Policy, rate: float, base: float, rng: np.random.Generator) -> float:
    rules, looks = policy.verdict_rules(), policy.interval
    rules = replace(rules, timing=replace(rules.timing, minimum=rules.timing.maximum))

    def counts(seconds: float, edges: tuple[float, ...]) -> Counts:
        requests = rng.poisson(np.array([rate * seconds])).astype(float)
        slow = lognormal(requests, np.array([0.2]), edges, rng)[0]
        return Counts(requests[0], float(rng.binomial(int(requests[0]), base)), Histogram(edges, tuple(slow.tolist())))

    judge = Judge(rules, [Evidence(START, 30.0, None, counts(30.0, EDGES)) for _ in range(360)])
    for look in range(round((rules.timing.initial_delay + rules.timing.maximum) / looks)):
        mine = counts(looks, _COARSE)
        beside = counts(looks, EDGES) if policy.needs_baseline else None
        judge.take(Evidence(START, looks, mine, beside))
        if judge.decision[0] is Verdict.FAIL:
            return looks * (look + 1)
    return inf


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.detection.adversarial", description=__doc__)
    parser.add_argument("--runs", type=int, default=300, help="runs of a healthy cell; a fourth for harm")
    parser.add_argument("--seed", type=int, default=20261128)
    parser.add_argument("--rates", type=_numbers, default=(50.0,), help="requests/s in each arm, with commas")
    parser.add_argument("--bases", type=_numbers, default=(0.01,), help="base error rates, with commas")
    parser.add_argument("--policy", default="canary", help="the shipped policy that is measured")
    parser.add_argument("--no-past", action="store_true", help="as with a source that keeps none")
    parser.add_argument("--interval", type=float, default=INTERVAL, help="seconds from one look to the next")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    return parser.parse_args()


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


if __name__ == "__main__":
    main()
