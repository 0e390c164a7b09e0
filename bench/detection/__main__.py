"""python -m bench.detection [--quick] [--runs N] [--seed N] [--interval SECONDS] [--jobs N] [--only TEXT]
    [--rates N,…] [--bases N,…] [--policy NAME]

Prints Markdown. The default seed was not used while the judge was being tuned.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import groupby, product
from math import inf
from statistics import mean

from bench.detection.cells import BASES, HARMFUL, HARMFUL_LATENCY, HEALTHY, HEALTHY_LATENCY, RATES, SILENT
from bench.detection.peers import RULES
from bench.detection.streams import INTERVAL, Scenario
from bench.detection.targets import targets
from bench.detection.trials import Cell, Result, Tally, run

_UNTUNED_SEED = 20261122
_LATENCY_RATES = (0.5, 5.0, 50.0)
_LATENCY_BASE = 0.01


def main() -> None:
    """Run the cells that were asked for and print what came of them."""
    asked = _arguments()
    rates, bases = ((0.5, 5.0, 50.0), (0.01,)) if asked.quick else (RATES, BASES)
    rates, bases = asked.rates or rates, asked.bases or bases
    runs = asked.runs or (4 if asked.quick else 200)
    cells = [replace(c, policy=asked.policy) for c in _cells(rates, bases) if asked.only in c.scenario.name]
    shares = [1.0 if not cell.scenario.harmful else 0.5 for cell in cells]
    counts = [max(1, round(runs * share)) for share in shares]
    one = partial(run, seed=asked.seed, interval=asked.interval)
    with ProcessPoolExecutor(asked.jobs) as pool:
        results = list(pool.map(one, cells, counts))
    print(f"{runs} runs of every healthy cell, half as many of the others; seed {asked.seed};", end=" ")
    print(
        f"{asked.interval:g} s intervals; {', '.join(f'{rate:g}' for rate in rates)} requests/s in each arm;", end=" "
    )
    print(f"base error rates {', '.join(f'{base:.1%}' for base in bases)}.")
    for title, table in (
        ("False rollbacks of healthy releases: worst cell [95 % bounds] (mean of all cells)", _healthy_table(results)),
        ("Detection: share of runs, and median seconds after the switch", _harmful_table(results)),
        ("Latency", _latency_table(results)),
        ("Candidates that die or lose their traffic: passes", _silent_table(results)),
        ("Targets", _target_table(results)),
    ):
        if len(lines := list(table)) > 2:
            print(f"\n### {title}\n")
            print("\n".join(lines))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.detection", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer cells and runs, two minutes on two cores")
    parser.add_argument("--runs", type=int, help="runs of a healthy cell")
    parser.add_argument("--seed", type=int, default=_UNTUNED_SEED)
    parser.add_argument("--jobs", type=int, help="processes; as many as there are cores unless given")
    parser.add_argument("--only", default="", help="releases whose name has this text in it")
    parser.add_argument("--rates", type=_numbers, help="requests/s in each arm, with commas")
    parser.add_argument("--bases", type=_numbers, help="base error rates, with commas")
    parser.add_argument("--policy", default="canary", help="the shipped policy that is measured")
    parser.add_argument("--interval", type=float, default=INTERVAL, help="scrape interval in seconds")
    return parser.parse_args()


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


def _cells(rates: Sequence[float], bases: Sequence[float]) -> Iterator[Cell]:
    for scenario, base, rate in product(HEALTHY + HARMFUL + SILENT, bases, rates):
        cell = Cell(scenario, rate, base)
        if not scenario.harmful or scenario.intermittent or cell.level >= 1.5 * base:
            yield cell
    for scenario, rate in product(
        HEALTHY_LATENCY + HARMFUL_LATENCY, [rate for rate in rates if rate in _LATENCY_RATES]
    ):
        yield Cell(scenario, rate, _LATENCY_BASE)


def _by_scenario(
    results: Sequence[Result], wanted: Callable[[Scenario], bool]
) -> Iterator[tuple[Scenario, list[Result]]]:
    chosen = [result for result in results if wanted(result.cell.scenario)]
    for scenario, group in groupby(chosen, key=lambda result: result.cell.scenario):
        yield scenario, list(group)


def _healthy_table(results: Sequence[Result]) -> Iterator[str]:
    yield _row(["release", "**judge**", *RULES])
    yield _row(["---"] * (2 + len(RULES)))
    for scenario, group in _by_scenario(
        results, lambda scenario: not (scenario.harmful or scenario.latency or scenario.silent)
    ):
        tallies = [[result.judge for result in group]]
        tallies += [[result.peers[rule] for result in group] for rule in RULES]
        yield _row([scenario.name, *(_worst(column) for column in tallies)])


def _worst(tallies: Sequence[Tally]) -> str:
    worst = max(tallies, key=lambda tally: tally.share)
    bounds = f"[{worst.share_at_least:.1%}, {worst.share_at_most:.1%}]"
    return f"{worst.share:.1%} {bounds} ({mean(tally.share for tally in tallies):.1%})"


def _harmful_table(results: Sequence[Result]) -> Iterator[str]:
    yield _row(["release", "base", "requests/s", "**judge**", "oracle", *RULES])
    yield _row(["---"] * (5 + len(RULES)))
    for scenario, group in _by_scenario(results, lambda scenario: scenario.harmful and not scenario.latency):
        for result in group:
            cell, peers = result.cell, result.peers.values()
            yield _row(
                [
                    scenario.name,
                    f"{cell.base:.1%}",
                    f"{cell.rate:g}",
                    _seen(result.judge),
                    _seen(result.oracle) if result.oracle else "",
                    *(_seen(peer) for peer in peers),
                ]
            )


def _latency_table(results: Sequence[Result]) -> Iterator[str]:
    rates = sorted({result.cell.rate for result in results if result.cell.scenario.latency})
    yield _row(["release", *(f"{rate:g} requests/s" for rate in rates)])
    yield _row(["---"] * (1 + len(rates)))
    for scenario, group in _by_scenario(results, lambda scenario: scenario.latency):
        yield _row([scenario.name, *(_seen(result.judge) for result in group)])


def _silent_table(results: Sequence[Result]) -> Iterator[str]:
    yield _row(["release", "passes, worst cell"])
    yield _row(["---"] * 2)
    for scenario, group in _by_scenario(results, lambda scenario: scenario.silent):
        yield _row([scenario.name, f"{max(result.passed for result in group):.0%}"])


def _target_table(results: Sequence[Result]) -> Iterator[str]:
    yield _row(["target", "found", "", "missed by"])
    yield _row(["---"] * 4)
    for target in targets(results):
        misses = "; ".join(target.misses[:12]) + ("; …" if len(target.misses) > 12 else "")
        yield _row([target.promise, target.found, "met" if target.met else "**not met**", misses])


def _seen(tally: Tally) -> str:
    median = tally.quantile(0.5)
    return f"{tally.share:.0%}" + (f", {median:.0f} s" if median < inf else "")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
