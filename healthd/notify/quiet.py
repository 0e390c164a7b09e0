"""Reasons to hold back a notice."""

from __future__ import annotations

from enum import Enum

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
