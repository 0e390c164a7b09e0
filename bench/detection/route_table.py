"""The table of releases that are judged by route and without, as `routes` and `slow_routes` print it."""

import argparse
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

import numpy as np

from bench.detection.trials import Tally
from bench.detection.words import healthy, how_it_ended


class Release(Protocol):
    """A release: its name, and whether one of the candidate's routes is worse than it was."""

    @property
    def name(self) -> str: ...

    @property
    def is_harmful(self) -> bool: ...


ReleaseT = TypeVar("ReleaseT", bound=Release)
Ended = Callable[[ReleaseT, str, bool, np.random.Generator], tuple[bool, float]]
"""Judges a release by a policy, by route or without; returns whether it passed, and when it failed."""


def print_table(
    prog: str,
    description: str | None,
    rows: Iterable[tuple[ReleaseT, str]],
    ended: Ended[ReleaseT],
    runs: int,
    seed: int,
) -> None:
    """Print the rows that the command line asks for. `runs` and `seed` are the defaults."""
    parser = argparse.ArgumentParser(prog=f"python -m {prog}", description=description)
    parser.add_argument("--runs", type=int, default=runs)
    parser.add_argument("--seed", type=int, default=seed)
    parser.add_argument("--only", default="", help="rows whose name contains this")
    asked = parser.parse_args()
    print("| release | policy | with `by: route` | without |\n| --- | --- | --- | --- |")
    kept = list[list[Tally]]()
    for place, (release, policy) in enumerate(rows):
        if asked.only not in release.name:
            continue
        seeds = [[asked.seed, place, run] for run in range(asked.runs)]
        found = [[ended(release, policy, by, np.random.default_rng(each)) for each in seeds] for by in (True, False)]
        if release.is_harmful:
            print(f"| {release.name} | `{policy}` | {' | '.join(how_it_ended(ends) for ends in found)} |", flush=True)
        else:
            kept.append([Tally(tuple(at for _, at in ends)) for ends in found])
    if kept:
        with_it, without = (healthy(tallies) for tallies in zip(*kept, strict=True))
        print(f"\nHealthy releases rolled back: {with_it} with `by: route`, {without} without.")
