"""Looks of a gate as they are stored, up to its verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from healthd_gates.domain.evidence import Evidence
from healthd_gates.domain.ramp import Course


@dataclass(frozen=True, slots=True)
class Recording:
    """The `looks` of a gate, the baseline's `history` from before, and those of `earlier` gates where the source keeps
    none; oldest first. The judge knew the history from the look at `history_at` on, None: from the first on. `courses`
    says where a ramp was after each look that was judged, by the time of the look; empty without a ramp."""

    looks: Sequence[Evidence]
    history: Sequence[Evidence] = ()
    earlier: Sequence[Evidence] = ()
    history_at: datetime | None = None
    courses: Mapping[datetime, Course] = field(default_factory=dict)

    @property
    def learned(self) -> int:
        """The place of the first look that was judged with the history."""
        at = self.history_at
        if at is None:
            return 0
        return next((place for place, after in enumerate(self.looks[1:]) if after.at > at), max(0, len(self.looks) - 1))
