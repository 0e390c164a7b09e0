"""Bars of a component, one a day, as SVG paths. Geometry only; colours are in the style sheet. Heights distinguish what
colours do: the worse a day, the taller its bar."""

from __future__ import annotations

from collections.abc import Sequence

from healthd.monitoring.uptime_days import Day
from healthd.web.public.standing import State

HEIGHT, STEP = 24, 5
"""Height of the drawing, and units from one bar to the next."""
_BAR = {State.OPERATIONAL: 14, State.DEGRADED: 19, State.OUTAGE: HEIGHT, State.UNKNOWN: 4}
_SHORT = 0.01  # share of a day


def of_day(day: Day) -> State:
    """Return the state that stands for a day: an outage of less than 1 % of it is one of a degraded day."""
    if day.known <= 0:
        return State.UNKNOWN
    if day.down >= _SHORT * day.known:
        return State.OUTAGE
    return State.DEGRADED if day.down > 0 or day.degraded > 0 else State.OPERATIONAL


def drawn(days: Sequence[Day]) -> dict[State, str]:
    """Return a path for each state that occurs, the newest day at the right end."""
    paths: dict[State, str] = {}
    for place, day in enumerate(days):
        state = of_day(day)
        top = HEIGHT - _BAR[state]
        paths[state] = paths.get(state, "") + f"M{place * STEP} {HEIGHT}V{top}h{STEP - 1}V{HEIGHT}z"
    return paths
