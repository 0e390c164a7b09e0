"""What the judge is held to, and what it was measured at. Nothing fails here: people read it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from statistics import median

from bench.detection.cells import FIVE_TIMES, INTERMITTENT, PASSING, SCRAPED, TENTH, TWICE
from bench.detection.streams import Scenario
from bench.detection.trials import Result, Tally

_FLOOR, _HARMFUL_RATIO = 0.005, 2.0


@dataclass(frozen=True)
class Figure:
    """A figure, its aim, what was found, and whether that is within the aim; `misses` names what is not."""

    name: str
    aim: str
    found: str
    met: bool
    misses: tuple[str, ...] = ()


def figures(results: Sequence[Result]) -> Iterator[Figure]:
    """All figures that the results have the cells for."""
    healthy = [r for r in results if not (r.cell.scenario.harmful or r.cell.scenario.silent or r.cell.scenario.passes)]
    yield from _false_rollbacks(healthy)
    harmful = [r for r in results if r.cell.scenario.harmful and r.cell.policy == "canary" and _is_harm(r)]
    yield from _early(harmful)
    seen = [r for r in harmful if r.oracle and r.oracle.share >= 0.5]
    yield from _beside_oracle("from the switch", seen, lambda _: 0.0, 1.25)
    yield from _beside_oracle("from the end of settling", seen, lambda r: r.cell.start, 1.7)
    wanted: list[tuple[Scenario, float, float, float]] = [
        (TWICE, 0.01, 50, 200),
        (TWICE, 0.01, 500, 60),
        (FIVE_TIMES, 0.01, 50, 50),
        (TENTH, 0.01, 5, 75),
    ]
    for scenario, base, rate, aim in wanted:
        for result in _of(results, scenario, base, rate):
            yield _soon(f"{scenario.name} at {base:.0%}, {rate:g}/s, rolled back", result.judge, aim)
    for result in _of(results, TWICE, 0.01, 5):
        yield _often("×2 at 1 %, 5/s, rolled back within 30 min", result.judge, 0.65)
    for base, rate, aim in ((0.001, 5, 300), (0.001, 50, 75), (0.01, 5000, 120)):
        for result in _of(results, PASSING, base, rate):
            yield _soon(f"healthy at {base:.1%}, {rate:g}/s, passes", result.passes, aim)
    yield from _silent([r for r in results if r.cell.scenario.silent])
    for result in _of(results, INTERMITTENT, 0.01, 50, "post-switch"):
        yield _often(f"{INTERMITTENT.name}, `post-switch`, rolled back", result.judge, 0.95)
        yield _soon(f"{INTERMITTENT.name}, `post-switch`, rolled back", result.judge, 200)
    for scenario in SCRAPED:
        for result in _of(results, scenario, 0.01, 50, "post-switch"):
            apart = scenario.scrape or 0
            aim = 2 * apart + 5 if scenario.level == 1.0 else 3 * apart
            yield _soon(scenario.name, result.judge, result.cell.start + aim)


def _of(
    results: Sequence[Result], scenario: Scenario, base: float, rate: float, policy: str = "canary"
) -> Iterator[Result]:
    wanted = (scenario, base, rate, policy)
    yield from (r for r in results if (r.cell.scenario, r.cell.base, r.cell.rate, r.cell.policy) == wanted)


def share(tally: Tally) -> str:
    """A share with its bounds, for people."""
    low, high = tally.bounds
    return f"{tally.share:.1%} [{low:.1%}, {high:.1%}]"


def soon(tally: Tally) -> str:
    """A median with its bounds, for people; the share beside it where it is not all."""
    low, high = tally.median_bounds
    if (middle := tally.quantile(0.5)) == inf:
        return share(tally)
    times = f"{middle:.0f} s [{low:.0f}, {'never' if high == inf else f'{high:.0f}'}]"
    return times if tally.share == 1 else f"{times}, {share(tally)}"


def _false_rollbacks(results: Sequence[Result]) -> Iterator[Figure]:
    if not results:
        return
    over = [r for r in results if r.judge.bounds[1] > 0.01]
    proven = [r for r in results if r.judge.bounds[0] > 0.01]
    events, runs = sum(r.judge.count for r in results), sum(len(r.judge.times) for r in results)
    yield Figure(
        "false rollback of a healthy release",
        "95 % bound ≤ 1 % in every cell",
        f"{len(results) - len(over)} of {len(results)} cells, {len(proven)} proven above; {events} of {runs} runs",
        not over,
        tuple(f"{r.cell.name}: {share(r.judge)}" for r in sorted(over, key=lambda r: -r.judge.share) if r.judge.count),
    )


def _early(results: Sequence[Result]) -> Iterator[Figure]:
    results = [r for r in results if r.cell.scenario.onset == 0 and r.cell.scenario.slower != 1.5]
    if not results:
        return
    worst = max(results, key=lambda r: r.early.share)
    over = tuple(f"{r.cell.name}: {share(r.early)}" for r in results if r.early.share > 0.05)
    found = f"worst {share(worst.early)} ({worst.cell.name})"
    yield Figure("early pass of ≥ ×2 above the floor", "≤ 5 % in every cell", found, not over, over)


def _beside_oracle(
    since: str, results: Sequence[Result], start: Callable[[Result], float], aim: float
) -> Iterator[Figure]:
    """The median over cells of how much longer the judge takes than the oracle."""
    ratios = []
    for result in results:
        assert result.oracle is not None
        judge, oracle = (tally.quantile(0.5) - start(result) for tally in (result.judge, result.oracle))
        if oracle > 0:
            ratios.append(judge / oracle)
    if ratios:
        found = median(ratios)
        name = f"detection ÷ oracle, median of {len(ratios)} harmful cells, {since}"
        yield Figure(name, f"≤ {aim}", f"{found:.2f}", found <= aim)


def _soon(name: str, tally: Tally, aim: float) -> Figure:
    return Figure(name, f"≤ {aim:g} s", soon(tally), tally.quantile(0.5) <= aim)


def _often(name: str, tally: Tally, aim: float) -> Figure:
    return Figure(name, f"≥ {aim:.0%}", share(tally), tally.share >= aim)


def _silent(results: Sequence[Result]) -> Iterator[Figure]:
    if results:
        passed, runs = sum(r.blind.count for r in results), sum(len(r.passes.times) for r in results)
        misses = tuple(f"{r.cell.name}: {share(r.blind)}" for r in results if r.blind.count)
        found = f"{passed} of {runs} runs in {len(results)} cells"
        yield Figure("dies, fades, black hole: passes after that", "0", found, not passed, misses)


def _is_harm(result: Result) -> bool:
    """Whether the policy calls the change harmful: at least twice the errors, and above the floor."""
    cell = result.cell
    if cell.scenario.latency or cell.scenario.intermittent:
        return cell.scenario.latency
    return cell.level >= _HARMFUL_RATIO * cell.base and cell.level >= _FLOOR
