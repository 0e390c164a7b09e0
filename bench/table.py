"""One line of the benchmarks' table, and how it is printed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isnan


@dataclass(frozen=True, slots=True)
class Row:
    """`ours` against `theirs`, or against a limit, as text with units; `ratio` is ours to theirs, nan
    where there is nothing to compare with."""

    what: str
    ours: str
    theirs: str
    ratio: float
    aim: str


def show(rows: Iterable[Row]) -> None:
    lines = [("", "healthd", "against", "ratio", "aim")]
    lines += [
        (row.what, row.ours, row.theirs, "–" if isnan(row.ratio) else f"{row.ratio:.2f}", row.aim) for row in rows
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    for what, *figures in lines:
        print(what.ljust(widths[0]), *(text.rjust(width) for text, width in zip(figures, widths[1:], strict=True)))
