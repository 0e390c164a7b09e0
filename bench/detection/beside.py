"""python -m bench.detection.beside [--runs N] [--seed N] [--jobs N]

Prints in which share of the runs the shipped `canary` and the rules of other tools roll back, and after how many
seconds (median after the switch), on the same streams: releases with few requests or none to spare, and two that
should stay.
"""

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import chain

from bench.detection.cells import FIVE_TIMES, HEALTHY, named
from bench.detection.trials import Cell, Tally, run
from bench.detection.words import how_soon

_UNTUNED_SEED = 20261122
_RULES = ("Flagger 5", "Flagger 1", "Argo 0", "Argo 1", "Kayenta 10", "Kayenta 30")
_HARMFUL = (
    Cell(FIVE_TIMES, 50.0, 0.01),
    Cell(FIVE_TIMES, 0.5, 0.01),
    Cell(named("5 % errors"), 5.0, 0.01),
    Cell(named("5 % errors"), 0.5, 0.01),
    Cell(named("10 % after 300 s"), 50.0, 0.01),
)
_HEALTHY = tuple(Cell(scenario, 0.5, 0.03) for scenario in HEALTHY[:2])


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.detection.beside", description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=_UNTUNED_SEED)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    asked = parser.parse_args()
    heads = ["release", "base", "requests/s", "**judge**", *_RULES]
    print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    cells = tuple(chain(_HARMFUL, _HEALTHY))
    with ProcessPoolExecutor(asked.jobs) as pool:
        one = partial(run, runs=asked.runs, seed=asked.seed, peers=asked.runs)
        for cell, result in zip(cells, pool.map(one, cells), strict=True):
            shown = [_cell(tally) for tally in (result.judge, *(result.peers[rule] for rule in _RULES))]
            head = [cell.scenario.name, f"{cell.base:.0%}".replace("%", " %"), f"{cell.rate:g}"]
            print(f"| {' | '.join([*head, *shown])} |", flush=True)


def _cell(tally: Tally) -> str:
    return how_soon(tally, bounds=False)


if __name__ == "__main__":
    main()
