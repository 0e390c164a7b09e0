"""python -m bench.detection.own_numbers [--runs N] [--seed N] [--only TEXT]

Prints how often the product's own criteria `ratio`, `rate` and `value` fail healthy gates of half an hour, and how soon
they see harm, beside the rules of other tools on the same streams. Values are log-normal around 100, with noise of each
sample and a drift (AR(1)) of each arm and of the past. Events are Poisson, around rates that have spells of a minute of
six times as many. Of a ratio every arm has two of the whole a second, of which one in fifty is bad.

Kayenta compares the minutes of both arms, as the product does. Flagger and Argo hold the candidate's minutes to a
limit, which somebody set at one and a half times what is usual.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import exp, inf

import numpy as np

from bench.detection.judged import START
from bench.detection.peers import Minutes, argo_rule, flagger_rule, kayenta_rule
from bench.detection.streams import Array
from bench.detection.trials import Tally
from bench.detection.words import how_often, how_soon
from healthd_gates.criteria.contract import TrafficCriterion
from healthd_gates.criteria.rate import Rate
from healthd_gates.criteria.ratio import Ratio
from healthd_gates.criteria.value import Value
from healthd_gates.domain.evidence import Counts, Events, Evidence, Numbers, Stream, Values
from healthd_gates.domain.standing import Verdict
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.rules import Rules, Timing

_LOOK, _PAST_LOOK = 15.0, 30.0
_LOOKS, _PAST_LOOKS = 122, 360
_IN_A_MINUTE = round(60 / _LOOK)
_TIMING = Timing(interval=_LOOK, initial_delay=30.0, minimum=1800.0, maximum=1800.0)
_LIMIT = 1.5  # times what is usual: where the tools without a comparison have their limit

_OTHERS: dict[str, Callable[[Minutes, float], float]] = {
    "Flagger 5": lambda minutes, limit: flagger_rule(minutes, 5, limit),
    "Flagger 1": lambda minutes, limit: flagger_rule(minutes, 1, limit),
    "Argo 0": lambda minutes, limit: argo_rule(minutes, 0, limit),
    "Argo 1": lambda minutes, limit: argo_rule(minutes, 1, limit),
    "Kayenta 10": lambda minutes, _: kayenta_rule(minutes, 10),
    "Kayenta 30": lambda minutes, _: kayenta_rule(minutes, 30),
}

Draw = Callable[[int, float, float, np.random.Generator], Array]
"""Draws so many numbers of one arm, so many seconds apart, at so many times what is usual; a ratio's are two columns,
the whole and its bad part."""


@dataclass(frozen=True)
class Row:
    """A criterion on streams of one kind. `harm` is how many times the usual the candidate has."""

    name: str
    criterion: TrafficCriterion
    draw: Draw
    usual: float
    harm: float = 1.0
    past: bool = True


def drifting(deviation: float, memory: float, noise: float) -> Draw:
    """A value around 100."""

    def draw(count: int, apart: float, times: float, rng: np.random.Generator) -> Array:
        keeps, level, levels = exp(-apart / memory), rng.normal(0, deviation), np.empty(count)
        for place in range(count):
            levels[place] = level
            level = keeps * level + rng.normal(0, deviation * (1 - keeps**2) ** 0.5)
        return np.asarray(100 * times * np.exp(levels + rng.normal(0, noise, count)))

    return draw


def spells(more: float, often: float = 0.2) -> Draw:
    """So many events a second; in spells of a minute, about one in ten minutes, so many times more."""

    def draw(count: int, apart: float, times: float, rng: np.random.Generator) -> Array:
        seconds = np.full(round(count * apart), often * times)
        begin = 0
        while (begin := begin + int(rng.exponential(600))) < seconds.size:
            seconds[begin : begin + 60] *= more
            begin += 60
        return np.asarray(rng.poisson(seconds).reshape(count, round(apart)).sum(axis=1), dtype=float)

    return draw


def shares(bad: float, correlation: float = 0.0, often: float = 2.0) -> Draw:
    """A whole of so many a second, of which such a share is bad, with such a correlation within a report."""

    def draw(count: int, apart: float, times: float, rng: np.random.Generator) -> Array:
        whole = rng.poisson(often * apart, count)
        share = np.full(count, min(0.99, bad * times))
        if correlation:
            odds = 1 / correlation - 1
            share = rng.beta(share * odds, (1 - share) * odds)
        return np.column_stack((whole, rng.binomial(whole, share))).astype(float)

    return draw


def ended(row: Row, rng: np.random.Generator) -> dict[str, float]:
    """When a gate of this criterion alone fails, and when each rule rolls back, in seconds after the switch; inf if
    never."""
    own, other = row.draw(_LOOKS, _LOOK, row.harm, rng), row.draw(_LOOKS, _LOOK, 1.0, rng)
    before = row.draw(_PAST_LOOKS if row.past else 0, _PAST_LOOK, 1.0, rng)
    minutes = list(zip(_by_minute(row, own), _by_minute(row, other), strict=True))
    others = {name: rule(minutes, _LIMIT * row.usual) for name, rule in _OTHERS.items()}
    return {"judge": _judged(row.criterion, own, other, before), **others}


def _judged(criterion: TrafficCriterion, own: Array, other: Array, before: Array) -> float:
    history = [_evidence(criterion, _PAST_LOOK, None, number) for number in before]
    judge = Judge(Rules((criterion,), timing=_TIMING), history)
    for place, (mine, theirs) in enumerate(zip(own, other, strict=True), 1):
        judge.take(_evidence(criterion, _LOOK, mine, theirs))
        if judge.decision[0] is Verdict.FAIL:
            return place * _LOOK
    return inf


def _by_minute(row: Row, numbers: Array) -> list[float]:
    """Return what a query of a minute finds: a mean, events a second, or a share."""
    whole = len(numbers) // _IN_A_MINUTE * _IN_A_MINUTE
    minutes = numbers[:whole].reshape(-1, _IN_A_MINUTE, *numbers.shape[1:]).sum(axis=1)
    if isinstance(row.criterion, Ratio):
        with np.errstate(invalid="ignore"):
            return [float(share) for share in minutes[:, 1] / minutes[:, 0]]
    return [float(number) for number in minutes / (60.0 if isinstance(row.criterion, Rate) else _IN_A_MINUTE)]


def _evidence(criterion: TrafficCriterion, seconds: float, own: Array | None, other: Array) -> Evidence:
    def numbers(number: Array) -> Numbers:
        if isinstance(criterion, Ratio):
            return Counts(float(number[0]), float(number[1]))
        return Events(float(number)) if isinstance(criterion, Rate) else Values((float(number),))

    arms = Stream(None if own is None else numbers(own), numbers(other))
    return Evidence(START, seconds, streams={criterion.name: arms})


def rows() -> Iterator[Row]:
    """Each kind of numbers, healthy and harmful."""
    value = Value.model_validate({"name": "v", "value": "v", "compare": {"tolerated": 1.2}})
    rate = Rate.model_validate({"name": "r", "events": "r", "compare": {"tolerated": 1.5}})
    steady = drifting(0.0, 60.0, 0.1)
    yield Row("`value`, noise of 10 %", value, steady, 100)
    for minutes in (1, 2, 10, 30, 60):
        yield Row(f"`value`, drifts of 30 % for {minutes} min", value, drifting(0.3, 60.0 * minutes, 0.1), 100)
    yield Row("`value`, noise of 10 %: twice as high", value, steady, 100, 2.0)
    yield Row("`value`, drifts of 10 % for 2 min: twice as high", value, drifting(0.1, 120.0, 0.1), 100, 2.0)
    yield Row("`value`, drifts of 30 % for 10 min: four times as high", value, drifting(0.3, 600.0, 0.1), 100, 4.0)
    yield Row("`rate`, steady", rate, spells(1.0), 0.2)
    yield Row("`rate`, spells of a minute ×6", rate, spells(6.0), 0.2)
    yield Row("`rate`, spells of a minute ×6, no past", rate, spells(6.0), 0.2, past=False)
    yield Row("`rate`, 5/s, spells of a minute ×6", rate, spells(6.0, 5.0), 5.0)
    yield Row("`rate`, 5/s, spells of a minute ×6, no past", rate, spells(6.0, 5.0), 5.0, past=False)
    yield Row("`rate`, steady: five times as many", rate, spells(1.0), 0.2, 5.0)
    yield Row("`rate`, steady, no past: five times as many", rate, spells(1.0), 0.2, 5.0, past=False)
    compare = {"to": "concurrent", "tolerated": 1.25, "floor": 0}
    ratio = Ratio.model_validate({"name": "c", "of": "of", "bad": "bad", "limit": 0.1, "compare": compare})
    yield Row("`ratio`, steady", ratio, shares(0.02), 0.02)
    yield Row("`ratio`, bursts (ρ = .05)", ratio, shares(0.02, 0.05), 0.02)
    yield Row("`ratio`, bursts (ρ = .05), no past", ratio, shares(0.02, 0.05), 0.02, past=False)
    yield Row("`ratio`, steady: three times as many", ratio, shares(0.02), 0.02, 3.0)
    yield Row("`ratio`, bursts (ρ = .05): five times as many", ratio, shares(0.02, 0.05), 0.02, 5.0)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.detection.own_numbers", description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--only", default="", help="rows whose name contains this")
    asked = parser.parse_args()
    for harmful in (False, True):
        head = ["\n| harmful" if harmful else "| healthy, each arm on its own", "**judge**", *_OTHERS]
        print(f"{' | '.join(head)} |\n|{' --- |' * len(head)}")
        for place, row in enumerate(rows()):
            if asked.only not in row.name or (row.harm > 1) is not harmful:
                continue
            runs = [ended(row, np.random.default_rng([asked.seed, place, number])) for number in range(asked.runs)]
            tallies = [Tally(tuple(run[name] for run in runs)) for name in runs[0]]
            shown = how_soon if harmful else how_often
            cells = [shown(tally, bounds=tally is tallies[0]) for tally in tallies]
            print(f"| {row.name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
