"""Running a cell many times, and what to make of the runs."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf

import numpy as np
from scipy.special import bdtr, betaincinv  # scipy.stats takes seconds to import

from bench.detection.judged import Outcome, judged, judged_at_once, shipped
from bench.detection.peers import RULES, oracle
from bench.detection.streams import HISTORY_INTERVALS, INITIAL_DELAY, INTERVAL, Scenario, Stream, simulate
from healthd_gates.domain.standing import Verdict

_SURE = 0.95
_NONE = np.full(HISTORY_INTERVALS, np.nan)
_AT_ONCE = 300  # runs that are drawn and judged together


def at_least(count: int, runs: int) -> float:
    """Clopper and Pearson's lower 95 % bound of a share."""
    return float(betaincinv(count, runs - count + 1, 1 - _SURE)) if count else 0.0


def at_most(count: int, runs: int) -> float:
    """Clopper and Pearson's upper 95 % bound of a share."""
    return float(betaincinv(count + 1, runs - count, _SURE)) if count < runs else 1.0


@dataclass(frozen=True)
class Cell:
    """One scenario at one traffic rate (requests/s in each arm) and base error rate."""

    scenario: Scenario
    rate: float
    base: float
    policy: str = "canary"
    blip: float | None = None
    """Seconds of `blip` in place of the policy's."""
    past: bool = True
    """False if the source keeps no past."""

    @property
    def level(self) -> float:
        """The candidate's true error rate once harmed."""
        return self.base * self.scenario.ratio if self.scenario.level is None else self.scenario.level

    @property
    def start(self) -> float:
        """When detection could begin, in seconds after the switch."""
        return max(INITIAL_DELAY, self.scenario.onset) if self.scenario.level != 1.0 else self.scenario.onset

    @property
    def name(self) -> str:
        """Its name for people."""
        policy = "" if self.policy == "canary" else f", {self.policy}"
        return f"{self.scenario.name}, {self.base:.1%}, {self.rate:g}/s{policy}"


@dataclass(frozen=True)
class Tally:
    """Times of one event over the runs of one cell, in seconds after the switch; inf where it did not happen."""

    times: tuple[float, ...]

    @property
    def count(self) -> int:
        """In how many of the runs it happened."""
        return sum(time < inf for time in self.times)

    @property
    def share(self) -> float:
        """In which share of the runs it happened."""
        return self.count / len(self.times)

    @property
    def bounds(self) -> tuple[float, float]:
        """The lower and the upper 95 % bound of that share."""
        return at_least(self.count, len(self.times)), at_most(self.count, len(self.times))

    @cached_property
    def _sorted(self) -> list[float]:
        return sorted(self.times)

    def quantile(self, level: float) -> float:
        """When it had happened in that share of the runs; inf if it never did."""
        return self._sorted[min(len(self.times) - 1, int(level * len(self.times)))]

    @property
    def median_bounds(self) -> tuple[float, float]:
        """The lower and the upper 95 % bound of the median, by order statistics."""
        runs = len(self.times)
        place = int(np.argmax(bdtr(np.arange(runs + 1), runs, 0.5) >= 1 - _SURE))
        return self._sorted[max(0, place - 1)], self._sorted[min(runs - 1, runs - place)]


@dataclass(frozen=True)
class Result:
    """What all rules made of one cell."""

    cell: Cell
    judge: Tally
    passes: Tally
    """When the gate passed."""
    oracle: Tally | None = None
    peers: dict[str, Tally] = field(default_factory=dict)

    @property
    def early(self) -> Tally:
        """The passes that did not wait for the end."""
        return Tally(tuple(time if time < 1800 else inf for time in self.passes.times))

    @property
    def blind(self) -> Tally:
        """The passes after the candidate had died: one before that was of a candidate that lived."""
        died = self.cell.scenario.dies or self.cell.scenario.gone
        return Tally(tuple(time if time > died else inf for time in self.passes.times))


def run(cell: Cell, runs: int, seed: int, peers: int = 0, interval: float = INTERVAL) -> Result:
    """Run one cell, and the other tools' rules on the first `peers` of its streams. The seed of each run depends on the
    cell's content alone, not on its place in a list.
    """
    scenario = cell.scenario
    name = f"{scenario.name} {cell.rate} {cell.base} {interval}".encode()
    outcomes: list[Outcome] = []
    others: dict[str, list[float]] = {rule: [] for rule in RULES} if not scenario.latency else {}
    ideal: list[float] = []
    # Peers count by intervals of their own; the oracle by the judge's.
    compares = scenario.harmful and not scenario.latency and cell.policy == "canary"
    perfect = oracle(cell.level / cell.base, scenario.onset) if compares else None
    for first in range(0, runs, _AT_ONCE):
        numbers = range(first, min(runs, first + _AT_ONCE))
        streams = [
            simulate(scenario, cell.rate, cell.base, np.random.default_rng([seed, number, *name]), interval)
            for number in numbers
        ]
        if not cell.past:
            streams = [replace(stream, history=(_NONE, _NONE)) for stream in streams]
        outcomes += _judged(cell, streams, interval)
        for number, stream in zip(numbers, streams, strict=True):
            for rule, times in others.items() if number < peers else ():
                times.append(RULES[rule](stream, interval))
            if perfect:
                ideal.append(perfect(stream, interval))
    return Result(
        cell=cell,
        judge=Tally(tuple(outcome.rollback for outcome in outcomes)),
        passes=Tally(tuple(o.seconds if o.verdict is Verdict.PASS else inf for o in outcomes)),
        oracle=Tally(tuple(ideal)) if perfect else None,
        peers={rule: Tally(tuple(times)) for rule, times in others.items() if times},
    )


def _judged(cell: Cell, streams: Sequence[Stream], interval: float) -> list[Outcome]:
    """The product's judge on each stream; where only errors change, that of all at once, which is the same."""
    scenario, policy = cell.scenario, shipped(cell.policy, interval, cell.blip)
    early_pass = scenario.harmful or scenario.silent or scenario.passes
    if scenario.latency or scenario.silent:
        return [judged(stream, interval, early_pass, policy) for stream in streams]
    return judged_at_once(streams, interval, early_pass, policy)
