"""The scenarios and the grid of traffic and base error rates that they run on."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

from bench.detection.streams import Scenario
from bench.detection.trials import Cell

RATES = (0.5, 5.0, 50.0, 500.0)
BASES = (0.001, 0.01, 0.03)

HEALTHY = (
    Scenario("steady"),
    Scenario("tolerated ×1.25", ratio=1.25),
    Scenario("bursts ρ=.01", burst=0.01),
    Scenario("bursts ρ=.05", burst=0.05),
    Scenario("bursts after a quiet past", burst=0.05, history_burst=0.0),
    Scenario("each arm's own spells ×6", own_spells=6.0),
    Scenario("each arm's own drift", own_wander=0.6),
    Scenario("wandering rate", wander=0.5),
    Scenario("shared incident", shared_incident=0.2),
    Scenario("spike while settling", settling_spike=0.2),
    Scenario("10 s blip of 30 %", blip=0.3),
    Scenario("10 s blip of 80 %", blip=0.8),
    Scenario("10 s blip of 30 %, staggered scrapes", blip=0.3, scrape=30),
    Scenario("gaps and resets", missing=0.2, resets=0.02),
)
HARMFUL = (
    Scenario("×2", harmful=True, ratio=2.0),
    Scenario("×5", harmful=True, ratio=5.0),
    Scenario("5 % errors", harmful=True, level=0.05),
    Scenario("10 % errors", harmful=True, level=0.1),
    Scenario("50 % errors", harmful=True, level=0.5),
    Scenario("outage", harmful=True, level=1.0),
    Scenario("×2 after 300 s", harmful=True, ratio=2.0, onset=300.0),
    Scenario("×5 after 300 s", harmful=True, ratio=5.0, onset=300.0),
    Scenario("10 % after 300 s", harmful=True, level=0.1, onset=300.0),
    Scenario("outage after 300 s", harmful=True, level=1.0, onset=300.0),
    Scenario("×5, incident in the past", harmful=True, ratio=5.0, history_incident=0.3),
    Scenario("one route of twenty fails", harmful=True, level=0.06),
    Scenario("10 % errors, staggered scrapes", harmful=True, level=0.1, scrape=30),
    Scenario("50 % for 10 s of 60", harmful=True, level=None, intermittent=0.5),
)
SILENT = (
    Scenario("fades to 2 %", fades=20.0),
    Scenario("fades to 2 % in six minutes", fades=60.0, gone=240.0),
    Scenario("falls to a tenth at once", fades=1.0, left=0.1, gone=65.0),
    Scenario("black hole: requests that never end", swallowed=45.0),
    Scenario("dies at 60 s", dies=60.0),
    Scenario("dies at 100 s", dies=100.0),
    Scenario("dies at 70 s, scraped every 15 s", dies=70.0, scrape=15, pods=1),
    Scenario("black hole, scraped every 60 s", swallowed=60.0, scrape=60, pods=1),
)
HEALTHY_LATENCY = (
    Scenario("latency steady", slower=1.0),
    Scenario("latency jitter", slower=1.0, jitter=0.1),
)
HARMFUL_LATENCY = (
    Scenario("latency ×1.5", harmful=True, slower=1.5),
    Scenario("latency ×2", harmful=True, slower=2.0),
    Scenario("latency ×5", harmful=True, slower=5.0),
    Scenario("latency ×2 after 300 s", harmful=True, slower=2.0, onset=300.0),
)

PASSING = Scenario("steady, until it is proven safe", passes=True)
_LATENCY_RATES, _LATENCY_BASE = (0.5, 5.0, 50.0), 0.01
_POST_SWITCH = "post-switch"


def grid(rates: Sequence[float], bases: Sequence[float], policy: str) -> Iterator[Cell]:
    """All scenarios at all rates and bases, but changes that are no harm at a base."""
    for scenario, base, rate in product(HEALTHY + HARMFUL + SILENT, bases, rates):
        cell = Cell(scenario, rate, base, policy)
        if not scenario.harmful or scenario.intermittent or cell.level >= 1.5 * base:
            yield cell
    latency = [rate for rate in rates if rate in _LATENCY_RATES]
    for scenario, rate in product(HEALTHY_LATENCY + HARMFUL_LATENCY, latency):
        yield Cell(scenario, rate, _LATENCY_BASE, policy)


def named(name: str) -> Scenario:
    """Return the harmful scenario of that name."""
    return next(scenario for scenario in HARMFUL if scenario.name == name)


TWICE, FIVE_TIMES, TENTH = (named(name) for name in ("×2", "×5", "10 % errors"))
INTERMITTENT = named("50 % for 10 s of 60")


def scraped(scenario: Scenario, seconds: int) -> Scenario:
    """The same of one process that is scraped every so many seconds."""
    return replace(scenario, name=f"{scenario.name}, scraped every {seconds} s", scrape=seconds, pods=1)


SCRAPED = tuple(scraped(named(name), seconds) for name, seconds in product(("outage", "50 % errors"), (15, 60)))


def of_the_aims() -> Iterator[Cell]:
    """The cells that an aim names."""
    for scenario, rate, base in (
        (TWICE, 5.0, 0.01),
        (TWICE, 50.0, 0.01),
        (TWICE, 500.0, 0.01),
        (FIVE_TIMES, 50.0, 0.01),
        (TENTH, 5.0, 0.01),
        (PASSING, 5.0, 0.001),
        (PASSING, 50.0, 0.001),
        (PASSING, 5000.0, 0.01),
    ):
        yield Cell(scenario, rate, base)
    for scenario in (INTERMITTENT, *SCRAPED):
        yield Cell(scenario, 50.0, 0.01, _POST_SWITCH)
