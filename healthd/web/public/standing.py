"""State of what customers see, in their words. Pure; nothing here holds the name of a check or a message."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from healthd.model import Status
from healthd.monitoring.state import CheckState


class State(StrEnum):
    """State of a component or of the whole page."""

    OPERATIONAL = "operational"
    MAINTENANCE = "maintenance"
    DEGRADED = "degraded"
    UNKNOWN = "unknown"
    OUTAGE = "outage"


_BETTER_FIRST = tuple(State)
_OF = {
    Status.HEALTHY: State.OPERATIONAL,
    Status.DEGRADED: State.DEGRADED,
    Status.UNHEALTHY: State.OUTAGE,
    Status.UNKNOWN: State.UNKNOWN,
}


class Overall(StrEnum):
    """State of the whole page, for its headline."""

    OPERATIONAL = "all_operational"
    MAINTENANCE = "in_maintenance"
    DEGRADED = "some_degraded"
    UNKNOWN = "not_known"
    PARTIAL_OUTAGE = "partial_outage"
    OUTAGE = "full_outage"


_OVERALL = {
    State.OPERATIONAL: Overall.OPERATIONAL,
    State.MAINTENANCE: Overall.MAINTENANCE,
    State.DEGRADED: Overall.DEGRADED,
    State.UNKNOWN: Overall.UNKNOWN,
    State.OUTAGE: Overall.PARTIAL_OUTAGE,
}


def worst(states: Iterable[State]) -> State:
    """Return the worst state; unknown when there are none."""
    return max(states, key=_BETTER_FIRST.index, default=State.UNKNOWN)


def of_checks(members: Sequence[CheckState]) -> State:
    """Return the state of a component with these checks. It is down while any of them is; what is in maintenance or
    paused does not count, and one of which nothing else is known is unknown."""
    states = [_OF[member.counted] for member in members if member.maintenance is None]
    if any(member.covered("maintenance") is not None for member in members):
        states.append(State.MAINTENANCE)
    return worst(states)


def overall(states: Sequence[State], said: Sequence[State] = ()) -> Overall:
    """Return the state of the whole page from those of its components, and from what is `said` of none of them."""
    if states and all(state is State.OUTAGE for state in states):
        return Overall.OUTAGE
    return _OVERALL[worst([*states, *said])]
