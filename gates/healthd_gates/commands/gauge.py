"""One criterion as a line of characters: the confidence interval of the true value, and its distance from the limit."""

from __future__ import annotations

from rich.text import Text

from healthd_gates.domain.standing import Unit
from healthd_gates.judge.explain import percent, seconds

_HEADROOM = 1.25  # part of the scale right of the limit, or of the interval if that reaches further
_FURTHEST = 4.0  # limits; an interval beyond that is cut, since the limit must stay visible


def number(value: float | None, unit: Unit | None) -> str:
    """A measured value as a person would write it."""
    if value is None:
        return "–"
    return percent(value) if unit is Unit.RATIO else seconds(value) if unit is Unit.SECONDS else f"{value:g}"


def gauge(
    interval: tuple[float, float | None] | None, observed: float | None, limit: float | None, width: int = 32
) -> Text:
    """`─├──●───┤──┃────`: the interval, the observed value and the limit on one scale from 0.

    An end of the interval that lies outside the scale, or is unknown, is open. Empty where there is nothing to show.
    """
    low, high = interval or (None, None)
    known = [value for value in (low, high, observed) if value is not None]
    if not known and limit is None:
        return Text()
    furthest = max([*known, limit or 0.0])
    end = min(furthest, _FURTHEST * limit) if limit else furthest
    scale = max(_HEADROOM * max(end, limit or 0.0), 1e-9)

    def place(value: float) -> int:
        return min(width - 1, max(0, round(value / scale * (width - 1))))

    cells = [("─", "dim")] * width
    if interval is not None and low is not None:
        colour = _colour(low, high, limit)
        last = width - 1 if high is None else place(high)
        for cell in range(place(low), last + 1):
            cells[cell] = ("━", colour)
        cells[place(low)] = ("├", colour)
        if high is not None and high <= scale:
            cells[last] = ("┤", colour)
    if limit is not None:
        cells[place(limit)] = ("┃", "bold")
    if observed is not None:
        cells[place(observed)] = ("●", "bold")
    return Text.assemble(*cells)


def _colour(low: float, high: float | None, limit: float | None) -> str:
    """Green once the whole interval is under the limit, red once it is all above, and between them undecided."""
    if limit is None:
        return "cyan"
    if high is not None and high < limit:
        return "green"
    return "red" if low > limit else "yellow"
