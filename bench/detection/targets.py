"""What the judge is held to, and whether it is met. Nothing fails here: people read it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from statistics import median

from bench.detection.trials import Result, at_least

Question = Callable[[Result], bool]

_FLOOR = 0.005
_HARMFUL_RATIO = 2.0


@dataclass(frozen=True)
class Target:
    """One promise and what was found."""

    promise: str
    found: str
    met: bool
    misses: tuple[str, ...] = ()


def targets(results: Sequence[Result]) -> Iterator[Target]:
    """All promises, checked on all results."""
    healthy = [result for result in results if not (result.cell.scenario.harmful or result.cell.scenario.silent)]
    harmful = [result for result in results if result.cell.scenario.harmful and _counts(result)]
    yield from _healthy(healthy)
    outages = [result for result in harmful if result.cell.scenario.level == 1.0]
    yield from _each("outage within 10 s at 5 requests/s and more", outages, lambda r: r.cell.rate >= 5, _within(10))
    yield from _each("outage within 60 s at 0.5 requests/s, median", outages, lambda r: r.cell.rate < 5, _within(60))
    seen = [result for result in harmful if result.oracle and result.oracle.share >= 0.5]
    yield from _each("median detection ≤ 2.5 × oracle where that takes 60 s or more", seen, _slow_oracle, _near_oracle)
    yield from _each(
        "median detection ≤ oracle + 60 s elsewhere", seen, lambda r: not _slow_oracle(r), _soon_after_oracle
    )
    for words, start, aim in (("switch", lambda _: 0.0, 1.25), ("end of settling", lambda r: r.cell.start, 1.7)):
        yield from _beside_oracle(words, seen, start, aim)
    early = [result for result in harmful if result.cell.scenario.onset == 0 and result.cell.scenario.slower != 1.5]
    yield from _each(
        "no cell of ≥ ×2 above the floor proven above 5 % early passes", early, lambda _: True, _rarely_early
    )
    yield from _each(
        "detected ≥ 93 % where the oracle reaches 50 %", seen, lambda _: True, lambda r: r.judge.share >= 0.93
    )


def _beside_oracle(
    words: str, results: Sequence[Result], start: Callable[[Result], float], aim: float
) -> Iterator[Target]:
    """The median over cells of how much longer the judge takes than the oracle, from `start` on."""
    ratios = []
    for result in results:
        judge, oracle = (tally.quantile(0.5) - start(result) for tally in (result.judge, result.oracle) if tally)
        if oracle > 0:
            ratios.append(judge / oracle)
    if ratios:
        found = median(ratios)
        yield Target(f"detection ÷ oracle, median of cells, from the {words} ≤ {aim}", f"{found:.2f}", found <= aim)


def _healthy(results: Sequence[Result]) -> Iterator[Target]:
    if not results:
        return
    worst = max(results, key=lambda result: result.judge.share)
    over = tuple(_name(result) for result in results if result.judge.share_at_least > 0.01)
    yield Target(
        "no healthy cell proven above 1 % false rollbacks",
        f"{len(results) - len(over)} of {len(results)} cells, worst {worst.judge.share:.1%} ({_name(worst)})",
        not over,
        over,
    )
    pooled = sum(result.judge.share for result in results) / len(results)
    yield Target("pooled false rollbacks ≤ 0.2 %", f"{pooled:.3%}", pooled <= 0.002)


def _each(promise: str, results: Sequence[Result], applies: Question, keeps: Question) -> Iterator[Target]:
    chosen = [result for result in results if applies(result)]
    misses = tuple(_name(result) for result in chosen if not keeps(result))
    if chosen:
        yield Target(promise, f"{len(chosen) - len(misses)} of {len(chosen)} cells", not misses, misses)


def _counts(result: Result) -> bool:
    """Whether the policy calls the change harmful: at least twice the errors, and above the floor."""
    cell = result.cell
    return cell.scenario.latency or (cell.level >= _HARMFUL_RATIO * cell.base and cell.level >= _FLOOR)


def _within(seconds: float) -> Question:
    return lambda result: result.judge.quantile(0.5) - result.cell.scenario.onset <= seconds


def _after_start(result: Result) -> tuple[float, float]:
    """Median detection of judge and oracle, counted from when detection could begin."""
    assert result.oracle is not None
    start = result.cell.start
    return result.judge.quantile(0.5) - start, result.oracle.quantile(0.5) - start


def _slow_oracle(result: Result) -> bool:
    return 60 <= _after_start(result)[1] < inf


def _near_oracle(result: Result) -> bool:
    judge, oracle = _after_start(result)
    return judge <= 2.5 * oracle


def _soon_after_oracle(result: Result) -> bool:
    judge, oracle = _after_start(result)
    return judge <= oracle + 60


def _rarely_early(result: Result) -> bool:
    return at_least(result.passed_early, len(result.judge.times)) <= 0.05


def _name(result: Result) -> str:
    cell = result.cell
    return f"{cell.scenario.name}, base {cell.base:.1%}, {cell.rate:g}/s"
