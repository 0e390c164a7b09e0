"""What was found, as the tables of the docs say it."""

from collections.abc import Sequence
from math import inf

from bench.detection.trials import Tally, at_most


def percent(share: float) -> str:
    """A share in percent, with a digit after the point below ten and above 99."""
    return f"{round(100 * share, 0 if 0.1 <= share <= 0.99 else 1):g} %"


def how_soon(tally: Tally, *, bounds: bool = True) -> str:
    """In how many of the runs, and after how long: the median, with its 95 % bounds."""
    if not tally.count:
        return "none"
    often = "all" if tally.count == len(tally.times) else percent(tally.share)
    if (middle := tally.quantile(0.5)) == inf:
        return often
    low, high = tally.median_bounds
    return f"{often}, {middle:.0f} s" + (f" [{low:.0f}, {high:.0f}]" if bounds and high < inf else "")


def how_often(tally: Tally, *, bounds: bool = True) -> str:
    """In which share of the runs, with its 95 % bounds where there were any."""
    low, high = tally.bounds
    return percent(tally.share) + (f" [{percent(low)}, {percent(high)}]" if bounds and tally.count else "")


def healthy(tallies: Sequence[Tally]) -> str:
    """How many of all healthy gates were rolled back, with the upper 95 % bound."""
    count, runs = sum(tally.count for tally in tallies), sum(len(tally.times) for tally in tallies)
    return f"{count} of {runs} (at most {percent(at_most(count, runs))})"


def how_it_ended(ends: Sequence[tuple[bool, float]]) -> str:
    """How soon gates failed, and how many had passed; of each is given whether it passed, and when it failed."""
    passed = sum(ok for ok, _ in ends)
    soon = how_soon(Tally(tuple(at for _, at in ends)))
    return f"{soon}; {'all' if passed == len(ends) else percent(passed / len(ends))} passed" if passed else soon
