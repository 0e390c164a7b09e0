"""python -m bench.detection.own_numbers [--runs N] [--seed N]

Prints how often the product's own criteria `value` and `rate` fail healthy gates of half an hour, and how soon they see
harm. Values are log-normal around 100, with noise of each sample and a drift (AR(1)) of each arm and of the past.
Events are Poisson, around rates that have spells of a minute of six times as many.
"""

import argparse
from collections.abc import Callable, Iterator
from math import exp, inf

import numpy as np

from bench.detection.aims import soon
from bench.detection.judged import START
from bench.detection.streams import Array
from bench.detection.trials import Tally
from healthd_gates.criteria.contract import TrafficCriterion
from healthd_gates.criteria.rate import Rate
from healthd_gates.criteria.value import Value
from healthd_gates.domain.evidence import Events, Evidence, Numbers, Stream, Values
from healthd_gates.domain.standing import Verdict
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.rules import Rules, Timing

_LOOK, _PAST_LOOK = 15.0, 30.0
_LOOKS, _PAST_LOOKS = 122, 360
_TIMING = Timing(interval=_LOOK, initial_delay=30.0, minimum=1800.0, maximum=1800.0)

Draw = Callable[[int, float, np.random.Generator], Array]
"""Draws so many numbers of one arm, so many seconds apart."""


def drifting(deviation: float, memory: float, noise: float) -> Draw:
    """A value around 100."""

    def draw(count: int, apart: float, rng: np.random.Generator) -> Array:
        keeps, level, levels = exp(-apart / memory), rng.normal(0, deviation), np.empty(count)
        for place in range(count):
            levels[place] = level
            level = keeps * level + rng.normal(0, deviation * (1 - keeps**2) ** 0.5)
        return np.asarray(100 * np.exp(levels + rng.normal(0, noise, count)))

    return draw


def spells(times: float, often: float = 0.2) -> Draw:
    """So many events a second; in spells of a minute, about one in ten minutes, so many times more."""

    def draw(count: int, apart: float, rng: np.random.Generator) -> Array:
        seconds = np.full(round(count * apart), often)
        begin = 0
        while (begin := begin + int(rng.exponential(600))) < seconds.size:
            seconds[begin : begin + 60] *= times
            begin += 60
        return np.asarray(rng.poisson(seconds).reshape(count, round(apart)).sum(axis=1), dtype=float)

    return draw


def ended(criterion: TrafficCriterion, draw: Draw, harm: float, past: bool, rng: np.random.Generator) -> float:
    """When a gate of this criterion alone fails, in seconds after the switch; inf if it does not."""
    own, other = (draw(_LOOKS, _LOOK, rng) for _ in range(2))
    before = draw(_PAST_LOOKS if past else 0, _PAST_LOOK, rng)
    own = rng.poisson(own * harm).astype(float) if isinstance(criterion, Rate) and harm > 1 else own * harm
    history = [_evidence(criterion, _PAST_LOOK, None, number) for number in before]
    judge = Judge(Rules((criterion,), timing=_TIMING), history)
    for place, (mine, theirs) in enumerate(zip(own, other, strict=True), 1):
        judge.take(_evidence(criterion, _LOOK, mine, theirs))
        if judge.decision[0] is Verdict.FAIL:
            return place * _LOOK
    return inf


def _evidence(criterion: TrafficCriterion, seconds: float, own: float | None, other: float) -> Evidence:
    def numbers(number: float) -> Numbers:
        return Events(number) if isinstance(criterion, Rate) else Values((number,))

    arms = Stream(None if own is None else numbers(own), numbers(other))
    return Evidence(START, seconds, streams={criterion.name: arms})


def rows() -> Iterator[tuple[str, TrafficCriterion, Draw, float, bool]]:
    """Name, criterion, numbers, times the baseline's, and whether there is a past."""
    value = Value.model_validate({"name": "v", "value": "v", "compare": {"tolerated": 1.2}})
    rate = Rate.model_validate({"name": "r", "events": "r", "compare": {"tolerated": 1.5}})
    steady = drifting(0.0, 60.0, 0.1)
    yield "`value`, noise of 10 %", value, steady, 1.0, True
    for minutes in (1, 2, 10, 30, 60):
        yield f"`value`, drifts of 30 % for {minutes} min", value, drifting(0.3, 60.0 * minutes, 0.1), 1.0, True
    yield "`value`, noise of 10 %: twice as high", value, steady, 2.0, True
    yield "`value`, drifts of 10 % for 2 min: twice as high", value, drifting(0.1, 120.0, 0.1), 2.0, True
    yield "`value`, drifts of 30 % for 10 min: four times as high", value, drifting(0.3, 600.0, 0.1), 4.0, True
    yield "`rate`, steady", rate, spells(1.0), 1.0, True
    yield "`rate`, spells of a minute ×6", rate, spells(6.0), 1.0, True
    yield "`rate`, spells of a minute ×6, no past", rate, spells(6.0), 1.0, False
    yield "`rate`, 5/s, spells of a minute ×6", rate, spells(6.0, 5.0), 1.0, True
    yield "`rate`, 5/s, spells of a minute ×6, no past", rate, spells(6.0, 5.0), 1.0, False
    yield "`rate`, steady: five times as many", rate, spells(1.0), 5.0, True
    yield "`rate`, steady, no past: five times as many", rate, spells(1.0), 5.0, False


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.detection.own_numbers", description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=20261122)
    asked = parser.parse_args()
    print(f"| {asked.runs} runs a row; seed {asked.seed} | failed [95 % bounds], or the median |\n| --- | --- |")
    for place, (name, criterion, draw, harm, past) in enumerate(rows()):
        times = [
            ended(criterion, draw, harm, past, np.random.default_rng([asked.seed, place, number]))
            for number in range(asked.runs)
        ]
        print(f"| {name} | {soon(Tally(tuple(times)))} |", flush=True)


if __name__ == "__main__":
    main()
