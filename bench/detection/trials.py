"""Running a cell many times, and what to make of the runs."""

from dataclasses import dataclass
from math import inf, sqrt

import numpy as np

from bench.detection.judged import Outcome, judged
from bench.detection.peers import RULES, oracle
from bench.detection.streams import INTERVAL, WARM_UP, Scenario, simulate
from healthd_gates.domain.evidence import Verdict

_NORMAL_95 = 1.645


def at_least(share: float, runs: int) -> float:
    """Wilson's lower 95 % bound of a share seen in so many runs."""
    z = _NORMAL_95
    middle, spread = share + z * z / (2 * runs), z * sqrt(share * (1 - share) / runs + z * z / (4 * runs * runs))
    return max(0.0, (middle - spread) / (1 + z * z / runs))


def at_most(share: float, runs: int) -> float:
    """Wilson's upper 95 % bound of a share seen in so many runs."""
    return 1 - at_least(1 - share, runs)


@dataclass(frozen=True)
class Cell:
    """One scenario at one traffic rate (requests/s in each arm) and base error rate."""

    scenario: Scenario
    rate: float
    base: float
    policy: str = "canary"

    @property
    def level(self) -> float:
        """The candidate's true error rate once harmed."""
        return self.base * self.scenario.ratio if self.scenario.level is None else self.scenario.level

    @property
    def start(self) -> float:
        """When detection could begin, in seconds after the switch."""
        return max(WARM_UP, self.scenario.onset) if self.scenario.level != 1.0 else self.scenario.onset


@dataclass(frozen=True)
class Tally:
    """Rollback times of one rule over the runs of one cell, in seconds after the switch."""

    times: tuple[float, ...]

    @property
    def share(self) -> float:
        """Share of the runs that were rolled back."""
        return sum(time < inf for time in self.times) / len(self.times)

    @property
    def share_at_least(self) -> float:
        """The lower 95 % bound of that share."""
        return at_least(self.share, len(self.times))

    @property
    def share_at_most(self) -> float:
        """The upper 95 % bound of that share."""
        return at_most(self.share, len(self.times))

    def quantile(self, level: float) -> float:
        """When that share of the runs had been rolled back; inf if it never was."""
        return sorted(self.times)[min(len(self.times) - 1, int(level * len(self.times)))]


@dataclass(frozen=True)
class Result:
    """What all rules made of one cell."""

    cell: Cell
    judge: Tally
    passed_early: float
    passed: float
    oracle: Tally | None
    peers: dict[str, Tally]


def run(cell: Cell, runs: int, seed: int, peers: bool = True, interval: float = INTERVAL) -> Result:
    """Run one cell; the seed of each run depends on the cell's content alone, not on its place in a list."""
    scenario = cell.scenario
    name = f"{scenario.name} {cell.rate} {cell.base} {interval}".encode()
    early_pass = scenario.harmful or scenario.silent
    outcomes: list[Outcome] = []
    others: dict[str, list[float]] = {rule: [] for rule in RULES} if peers and not scenario.latency else {}
    ideal: list[float] = []
    # Peers count by intervals of their own; the oracle by the judge's.
    perfect = oracle(cell.level / cell.base, scenario.onset) if scenario.harmful and not scenario.latency else None
    for number in range(runs):
        stream = simulate(scenario, cell.rate, cell.base, np.random.default_rng([seed, number, *name]), interval)
        outcomes.append(judged(stream, interval, early_pass, cell.policy))
        for rule, times in others.items():
            times.append(RULES[rule](stream, interval))
        if perfect:
            ideal.append(perfect(stream, interval))
    return Result(
        cell=cell,
        judge=Tally(tuple(outcome.rollback for outcome in outcomes)),
        passed_early=sum(o.verdict is Verdict.PASS and o.seconds < 1800 for o in outcomes) / runs,
        passed=sum(o.verdict is Verdict.PASS for o in outcomes) / runs,
        oracle=Tally(tuple(ideal)) if perfect else None,
        peers={rule: Tally(tuple(times)) for rule, times in others.items()},
    )
