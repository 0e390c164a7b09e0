"""python -m bench.detection [--quick] [--aims] [--runs N] [--peers N] [--seed N] [--interval SECONDS] [--jobs N]
    [--only TEXT] [--rates N,…] [--bases N,…] [--policy NAME] [--blip SECONDS] [--no-past]

Prints Markdown. Brackets are 95 % bounds, of shares by Clopper and Pearson, of medians by order statistics. The default
seed was not used while the judge was being tuned.
"""

import argparse
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import groupby
from statistics import mean

from bench.detection import cells
from bench.detection.aims import figures, share, soon
from bench.detection.peers import RULES
from bench.detection.streams import INTERVAL, Scenario
from bench.detection.trials import Result, Tally, run

_UNTUNED_SEED = 20261122
_SLOW = 5
"""Part of the runs of a cell of latency, silence or passes: the product's own judge takes its streams one by one."""


def main() -> None:
    """Run the cells that were asked for and print what came of them."""
    asked = _arguments()
    rates, bases = ((5.0, 50.0), (0.01,)) if asked.quick else (cells.RATES, cells.BASES)
    rates, bases = asked.rates or rates, asked.bases or bases
    runs = asked.runs or (40 if asked.quick else 300)
    chosen = list(cells.of_the_aims()) if asked.policy == "canary" else []
    chosen += [] if asked.aims else list(cells.grid(rates, bases, asked.policy))
    chosen = [
        replace(cell, blip=asked.blip, past=not asked.no_past)
        for cell in dict.fromkeys(chosen)
        if asked.only in cell.scenario.name
    ]
    peers = asked.peers if asked.peers is not None else 10 if asked.quick else 100
    one = partial(run, seed=asked.seed, peers=0 if asked.aims else peers, interval=asked.interval)
    with ProcessPoolExecutor(asked.jobs or os.cpu_count()) as pool:
        results = list(pool.map(one, chosen, [_runs(cell.scenario, runs) for cell in chosen]))
    print(f"{runs} runs of a healthy cell, half as many of a harmful one, a fifth for latency, silence and passes;")
    print(f"seed {asked.seed}; {asked.interval:g} s looks; base error rates {', '.join(f'{b:.1%}' for b in bases)};")
    print(f"{', '.join(f'{rate:g}' for rate in rates)} requests/s in each arm.")
    for title, table in (
        ("Aims", _aims_table(results)),
        ("False rollbacks of healthy releases: worst cell [95 % bounds] (mean of all cells)", _healthy_table(results)),
        ("Detection: median seconds after the switch, and share of runs where it is not all", _harmful_table(results)),
        ("Latency", _latency_table(results)),
        ("Candidates that die or lose their traffic: passes after that", _silent_table(results)),
    ):
        if len(lines := list(table)) > 2:
            print(f"\n### {title}\n")
            print("\n".join(lines))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.detection", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer cells and runs, half a minute on two idle cores")
    parser.add_argument("--aims", action="store_true", help="only the cells that an aim names")
    parser.add_argument("--runs", type=int, help="runs of a healthy cell")
    parser.add_argument("--peers", type=int, help="runs of a cell on which the other tools' rules are tried")
    parser.add_argument("--seed", type=int, default=_UNTUNED_SEED)
    parser.add_argument("--jobs", type=int, help="processes; as many as there are cores unless given")
    parser.add_argument("--only", default="", help="releases whose name has this text in it")
    parser.add_argument("--rates", type=_numbers, help="requests/s in each arm, with commas")
    parser.add_argument("--bases", type=_numbers, help="base error rates, with commas")
    parser.add_argument("--policy", default="canary", help="the shipped policy that is measured")
    parser.add_argument("--blip", type=float, help="seconds of `blip` in place of the policy's")
    parser.add_argument("--no-past", action="store_true", help="as with a source that keeps none")
    parser.add_argument("--interval", type=float, default=INTERVAL, help="seconds from one look to the next")
    return parser.parse_args()


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


def _runs(scenario: Scenario, runs: int) -> int:
    if scenario.latency or scenario.silent or scenario.passes:
        return max(4, runs // _SLOW)
    return max(4, runs // 2 if scenario.harmful else runs)


def _by_scenario(results: Sequence[Result]) -> Iterator[tuple[Scenario, list[Result]]]:
    for scenario, group in groupby(results, key=lambda result: result.cell.scenario):
        yield scenario, list(group)


def _aims_table(results: Sequence[Result]) -> Iterator[str]:
    yield _row(["figure", "aim", "found", "", "beyond it"])
    yield _row(["---"] * 5)
    for figure in figures(results):
        misses = "; ".join(figure.misses[:12]) + ("; …" if len(figure.misses) > 12 else "")
        yield _row([figure.name, figure.aim, figure.found, "met" if figure.met else "**missed**", misses])


def _healthy_table(results: Sequence[Result]) -> Iterator[str]:
    yield _row(["release", "**judge**", *RULES])
    yield _row(["---"] * (2 + len(RULES)))
    kept = [r for r in results if not (r.cell.scenario.harmful or r.cell.scenario.silent or r.cell.scenario.passes)]
    for scenario, group in _by_scenario([r for r in kept if not r.cell.scenario.latency]):
        peers = [_worst([r.peers[rule] for r in group if r.peers]) for rule in RULES]
        yield _row([scenario.name, _worst([r.judge for r in group]), *peers])


def _worst(tallies: Sequence[Tally]) -> str:
    if not tallies:
        return ""
    worst = max(tallies, key=lambda tally: tally.share)
    return f"{share(worst)} ({mean(tally.share for tally in tallies):.1%})"


def _harmful_table(results: Sequence[Result]) -> Iterator[str]:
    yield _row(["release", "base", "requests/s", "**judge**", "passes early", "oracle", *RULES])
    yield _row(["---"] * (6 + len(RULES)))
    for result in results:
        cell = result.cell
        if not cell.scenario.harmful or cell.scenario.latency:
            continue
        peers = [_seen(result.peers[rule]) if result.peers else "" for rule in RULES]
        oracle = _seen(result.oracle) if result.oracle else ""
        name = cell.scenario.name if cell.policy == "canary" else f"{cell.scenario.name} (`{cell.policy}`)"
        early = f"{result.early.share:.0%}"
        yield _row([name, f"{cell.base:.1%}", f"{cell.rate:g}", soon(result.judge), early, oracle, *peers])


def _latency_table(results: Sequence[Result]) -> Iterator[str]:
    rates = sorted({result.cell.rate for result in results if result.cell.scenario.latency})
    yield _row(["release", *(f"{rate:g} requests/s" for rate in rates)])
    yield _row(["---"] * (1 + len(rates)))
    for scenario, group in _by_scenario([r for r in results if r.cell.scenario.latency]):
        yield _row([scenario.name, *(soon(result.judge) for result in group)])


def _silent_table(results: Sequence[Result]) -> Iterator[str]:
    yield _row(["release", "passes, worst cell"])
    yield _row(["---"] * 2)
    for scenario, group in _by_scenario([r for r in results if r.cell.scenario.silent]):
        yield _row([scenario.name, share(max((r.blind for r in group), key=lambda tally: tally.share))])


def _seen(tally: Tally) -> str:
    middle = tally.quantile(0.5)
    return f"{tally.share:.0%}" + (f", {middle:.0f} s" if middle < float("inf") else "")


def _row(columns: Sequence[str]) -> str:
    return f"| {' | '.join(columns)} |"


if __name__ == "__main__":
    main()
