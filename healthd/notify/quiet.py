"""Reasons to hold back a notice."""

from __future__ import annotations

from enum import Enum

from healthd.model import Status
from healthd.monitoring.state import CheckState
from healthd.notifiers.notice import Notice


class Quiet(Enum):
    """Reason for which the notices of a subject are held back."""

    NO = "no"
    SILENCED = "silenced"
    ACKNOWLEDGED = "acknowledged"
    DEPENDENT = "dependent"  # something that it depends on is down

    def holds(self, notice: Notice, told: Notice | None) -> bool:
        """True if a firing notice is held back. An acknowledged failure that gets worse than what was sent is not."""
        if self is Quiet.ACKNOWLEDGED and told is not None and told.firing:
            return not (notice.severity.reaches(told.severity) and notice.severity is not told.severity)
        return self in (Quiet.SILENCED, Quiet.DEPENDENT)


def quiet_of(state: CheckState) -> Quiet:
    """Return why the notices of a check, as this replica sees it, are held back."""
    windows = held_by_windows(state)
    if windows is Quiet.SILENCED or (state.status is Status.DEGRADED and state.probe and state.probe.result.expected):
        return Quiet.SILENCED
    return Quiet.DEPENDENT if state.held_by is not None else windows


def held_by_windows(state: CheckState) -> Quiet:
    """Return how the windows of a check hold back what any replica sees of it."""
    if state.maintenance is not None or state.covered("silence") is not None:
        return Quiet.SILENCED
    return Quiet.ACKNOWLEDGED if state.covered("acknowledgement") is not None else Quiet.NO
