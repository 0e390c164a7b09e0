"""python -m bench.ramp [--quick] [--runs N] [--seed N] [--jobs N] [--rates N,…] [--bases N,…]

Prints Markdown: bad requests beyond the base rate until all traffic is back (mean/p95), and seconds until a healthy
release has all of it. All schemes meet the same release, traffic and base rate; each draws the requests that its own
weights bring.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from math import inf
from statistics import mean, median

import numpy as np

from bench.ramp.releases import HORIZON, LOOK, RELEASES, Release
from bench.ramp.schemes import SCHEMES, Seen
from healthd_gates.judge.ramp import usual_budget

_SEED = 20261126


@dataclass(frozen=True)
class Cell:
    """One release at so many requests a second in all, and a base rate of bad ones."""

    release: Release
    traffic: float
    base: float


@dataclass(frozen=True)
class Run:
    """Requests harmed, seconds until all traffic (inf: never), and whether it was taken back."""

    harm: float
    full: float
    back: bool


def main() -> None:
    """Run every cell under every scheme and print a row for each as it comes."""
    asked = _arguments()
    rates = asked.rates or ((50.0, 500.0) if asked.quick else (5.0, 50.0, 500.0, 5000.0))
    bases = asked.bases or ((0.01,) if asked.quick else (0.001, 0.01))
    runs = asked.runs or (8 if asked.quick else 100)
    cells = [(place, rate, base) for place, rate, base in product(range(len(RELEASES)), rates, bases)]
    print(f"{runs} runs of a cell; seed {asked.seed}; looks of {LOOK:g} s; the budget is the usual one.\n")
    print("| release | base | requests/s | budget |", " | ".join(SCHEMES), "|")
    print("|", " | ".join(["---"] * (4 + len(SCHEMES))), "|", flush=True)
    with ProcessPoolExecutor(asked.jobs) as pool:
        results = pool.map(partial(_measure, runs=runs, seed=asked.seed), cells)
        for (place, rate, base), found in zip(cells, results, strict=True):
            shown = _full if not RELEASES[place].harmful else _harm
            budget = usual_budget(rate)
            head = f"| {RELEASES[place].name} | {base:.1%} | {rate:g} | {budget:g} |"
            print(head, " | ".join(shown(found[name]) for name in SCHEMES), "|", flush=True)


def _measure(cell: tuple[int, float, float], runs: int, seed: int) -> dict[str, list[Run]]:
    place, rate, base = cell
    return {
        name: [_roll_out(Cell(RELEASES[place], rate, base), name, [seed, number, place]) for number in range(runs)]
        for name in SCHEMES
    }


def _roll_out(cell: Cell, name: str, seed: list[int]) -> Run:
    scheme, rng = SCHEMES[name](), np.random.default_rng([*seed, *name.encode()])
    harm, full, at = 0.0, inf, 0.0
    while at < HORIZON:
        share, rate = scheme.weight, cell.release.rate(at, cell.base)
        if share >= 1 and full == inf:
            full = at
        n, m = rng.poisson(cell.traffic * LOOK * share), rng.poisson(cell.traffic * LOOK * (1 - share))
        x = rng.binomial(n, rate)
        harm += n * (rate - cell.base)
        scheme.step(Seen(float(n), float(x), float(m), float(rng.binomial(m, cell.base))))
        at += LOOK
        if share > 0 and scheme.weight == 0:
            # The way back takes as long as a widening: one more look of the harm.
            return Run(harm + cell.traffic * LOOK * share * (cell.release.rate(at, cell.base) - cell.base), full, True)
        if not cell.release.harmful and full < inf and at > full + 600:
            break
    return Run(harm, full, False)


def _harm(found: list[Run]) -> str:
    harms = sorted(run.harm for run in found)
    kept = sum(not run.back for run in found) / len(found)
    return f"{mean(harms):,.0f}/{harms[int(0.95 * len(harms))]:,.0f}" + (f" ({kept:.0%} stay)" if kept else "")


def _full(found: list[Run]) -> str:
    middle, back = median(run.full for run in found), sum(run.back for run in found) / len(found)
    return ("never" if middle == inf else f"{middle:.0f} s") + (f" ({back:.0%} taken back)" if back else "")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.ramp", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer cells and runs, about a minute on two cores")
    parser.add_argument("--runs", type=int, help="runs of a cell")
    parser.add_argument("--seed", type=int, default=_SEED)
    parser.add_argument("--jobs", type=int, help="processes; as many as there are cores unless given")
    parser.add_argument("--rates", type=_numbers, help="requests/s in all, with commas")
    parser.add_argument("--bases", type=_numbers, help="base rates, with commas")
    return parser.parse_args()


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


if __name__ == "__main__":
    main()
