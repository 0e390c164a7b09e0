"""python -m bench.ramp [--quick] [--runs N] [--seed N] [--jobs N] [--rates N,…] [--bases N,…]
    [--scheme TEXT] [--past]

Prints Markdown: bad requests beyond the base rate until all traffic is back or half an hour is over (mean/p95; bold
where the p95 of our own ramp is above 1.5 times the budget; † never taken back), and seconds until a healthy release
has all of it. All schemes meet the same release, traffic and base rate; each draws the requests that its own weights
bring.
"""

import argparse
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from math import inf
from statistics import mean, median

import numpy as np

from bench.ramp.releases import HORIZON, LOOK, RELEASES, Release
from bench.ramp.schemes import OWN, SCHEMES, Seen, past_of
from healthd_gates.judge.ramp import usual_budget

_SEED = 20261126
_WITHIN = 1.5
"""How many times the budget the 95th percentile of harm may be."""


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
    """Run every cell under every scheme and print a table."""
    asked = _arguments()
    rates = asked.rates or ((50.0, 500.0) if asked.quick else (5.0, 50.0, 500.0, 5000.0))
    bases = asked.bases or ((0.01,) if asked.quick else (0.01, 0.001))
    runs = asked.runs or (8 if asked.quick else 100)
    schemes = tuple(name for name in SCHEMES if asked.scheme in name)
    cells = [(place, rate, base) for base, rate, place in product(bases, rates, range(len(RELEASES)))]
    with ProcessPoolExecutor(asked.jobs) as pool:
        results = list(pool.map(partial(_measure, runs=runs, seed=asked.seed, schemes=schemes, past=asked.past), cells))
    places = list(product(bases, rates))
    print_table(places, schemes, dict(zip(cells, results, strict=True)))


def print_table(
    places: Sequence[tuple[float, float]],
    schemes: Sequence[str],
    found: Mapping[tuple[int, float, float], Mapping[str, list[Run]]],
) -> None:
    """Print a column for each base rate, traffic and scheme; what they have in common stands in the first."""
    columns = [(base, rate, scheme) for (base, rate), scheme in product(places, schemes)]
    common = _place(*places[0]) if len(places) == 1 else "base rate, requests/s, budget"
    heads = [
        ", ".join([scheme] * (len(schemes) > 1) + [_place(base, rate)] * (len(places) > 1)) or scheme
        for base, rate, scheme in columns
    ]
    print(f"| {' | '.join([common, *heads])} |\n|{' --- |' * (1 + len(columns))}")
    for number, release in enumerate(RELEASES):
        shown = [
            _harm(found[number, rate, base][scheme], usual_budget(rate), is_own=scheme == OWN)
            if release.harmful
            else _full(found[number, rate, base][scheme])
            for base, rate, scheme in columns
        ]
        print(f"| {release.name}{'' if release.harmful else ': time to full'} | {' | '.join(shown)} |")


def _place(base: float, rate: float) -> str:
    return f"{100 * base:g} %, {rate:,g}, {usual_budget(rate):,g}"


def _measure(
    cell: tuple[int, float, float], runs: int, seed: int, schemes: tuple[str, ...], *, past: bool
) -> dict[str, list[Run]]:
    place, rate, base = cell
    release = Cell(RELEASES[place], rate, base)
    return {
        name: [_roll_out(release, name, [seed, number, place], past=past) for number in range(runs)] for name in schemes
    }


def _roll_out(cell: Cell, name: str, seed: list[int], *, past: bool) -> Run:
    rng = np.random.default_rng([*seed, *name.encode()])
    scheme = SCHEMES[name](past_of(cell.traffic, cell.base, rng.spawn(1)[0]) if past else ())
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


def _harm(found: list[Run], budget: float, *, is_own: bool) -> str:
    harms = sorted(run.harm for run in found)
    high, kept = harms[int(0.95 * len(harms))], sum(not run.back for run in found) / len(found)
    text = f"{mean(harms):,.0f}/{high:,.0f}"
    if is_own and high > _WITHIN * budget:
        text = f"**{text}**"
    return f"{text} †" if kept == 1 else f"{text} ({kept:.0%} stay)".replace("%", " %") if kept else text


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
    parser.add_argument(
        "--past", action="store_true", help="with three hours of the baseline, as Prometheus keeps them"
    )
    parser.add_argument("--scheme", default="", help="schemes whose name has this text in it")
    return parser.parse_args()


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


if __name__ == "__main__":
    main()
