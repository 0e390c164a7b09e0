"""What pages show of benchmarks is what these printed, and what this judge would print again."""

import re

import numpy as np
import pytest

from bench.behind import RELEASES as RELEASES_BEHIND
from bench.behind import SETUPS, Traffic, _cell, roll_out
from bench.detection import adversarial, own_numbers, routes
from bench.detection.trials import Cell, Tally, run
from bench.detection.words import how_it_ended, how_soon
from bench.ramp.__main__ import _SEED, _harm, _measure
from bench.ramp.releases import RELEASES
from bench.ramp.schemes import OWN
from docs.generate import PAGES
from docs.generator.results import RESULTS, SHOWN
from healthd_gates.judge.ramp import usual_budget

DRAWN_AGAIN = "the figures of another judge: run the commands of bench/results/ again, then `make docs`"


def test_every_result_is_shown_once_and_by_the_command_that_prints_it() -> None:
    """`make docs` puts each where its name stands; none is left over, and each command names a benchmark."""
    shown = [block for page in PAGES if page.suffix == ".md" for block in SHOWN.finditer(page.read_text("utf-8"))]
    assert sorted(block["name"] for block in shown) == sorted(file.name for file in RESULTS.iterdir())
    modules = [re.search(r": python -m (bench[\w.]*) ", block["head"]) for block in shown]
    assert all(module and __import__(module[1]) for module in modules)


@pytest.mark.parametrize("gate", ["a gate, `canary`", "a gate, `analysis`", "a gate, `analysis`, asked every 2 s"])
def test_a_gate_behind_another_tool_harms_as_many_as_the_table_says(gate: str) -> None:
    """One row is run again, by the same seeds: a judge that decides otherwise needs other figures."""
    tool, release = "Argo Rollouts, 10 s", "8 % errors"
    own, gated = (
        [
            roll_out(SETUPS[tool][rule], Traffic(rng(number), 100, RELEASES_BEHIND[release], 0.001))
            for number in range(20)
        ]
        for rule in ("its own rule", gate)
    )
    head, row = _table("behind.md", f"{tool} | {release}")
    harmed = sum(each.harmed for each in own) / len(own)
    assert row[head.index(gate)] == _cell(gated, harmed, is_own=False), DRAWN_AGAIN


@pytest.mark.parametrize(("table", "past"), [("ramp_without_past.md", False), ("ramp_with_past.md", True)])
def test_a_ramp_harms_as_many_as_the_table_says(table: str, past: bool) -> None:
    """Of 10 % errors at 1 %, 500 requests/s and the usual budget."""
    release = "10 %"
    place = [each.name for each in RELEASES].index(release)
    found = _measure((place, 500.0, 0.01), 100, _SEED, (OWN,), past=past)
    head, row = _table(table, release)
    assert row[head.index("1 %, 500, 300")] == _harm(found[OWN], usual_budget(500.0), is_own=True), DRAWN_AGAIN


def test_a_rate_of_events_is_judged_as_soon_as_the_table_says() -> None:
    """The judge's column of one row, by the same seeds."""
    place, row = next((k, row) for k, row in enumerate(own_numbers.rows()) if row.harm > 1 and "`rate`" in row.name)
    runs = [own_numbers.ended(row, np.random.default_rng([20261122, place, number]))["judge"] for number in range(200)]
    assert _table("events_and_shares.md", row.name)[1][1] == how_soon(Tally(tuple(runs))), DRAWN_AGAIN


@pytest.mark.parametrize("by", [True, False])
def test_a_route_that_fails_is_seen_as_soon_as_the_table_says(by: bool) -> None:
    """One row, by the same seeds."""
    place, (release, policy) = next(
        (k, row) for k, row in enumerate(routes.rows()) if row[0].name.endswith("fails all")
    )
    ends = [
        routes.ended(release, policy, by=by, early=True, rng=np.random.default_rng([20261126, place, number]))
        for number in range(20)
    ]
    row = _table("routes.md", f"{release.name} | `{policy}`")[1]
    assert row[2 if by else 3] == how_it_ended(ends), DRAWN_AGAIN


def test_harder_traffic_is_judged_as_the_table_says() -> None:
    """Of the row with the most rollbacks, by the same seeds."""
    scenario = next(each for each in adversarial.HEALTHY if each.name == "bursts after a quiet past, gaps")
    found = run(Cell(scenario, 50.0, 0.01), 300, 20261128).judge
    assert _table("adversarial.md", scenario.name)[1][1] == adversarial._kept(found), DRAWN_AGAIN


def rng(number: int) -> np.random.Generator:
    """That of one run of `python -m bench.behind`."""
    return np.random.default_rng([20261126, number])


def _table(name: str, row: str) -> tuple[list[str], list[str]]:
    """The heads of a result's table and the cells of a row."""
    lines = (RESULTS / name).read_text("utf-8").splitlines()
    heads, cells = lines[0], next(line for line in lines if line.startswith(f"| {row} |"))
    return heads.strip("| ").split(" | "), cells.strip("| ").split(" | ")
