"""One run of a deploy tool, such as one rollout of one version, as far as its calls tell of it. What identifies a run
is the dialect's; when one is over, the tool says, or its silence does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

_LEAST_SILENCE, _UNKNOWN_SILENCE, _LONGEST_SILENCE = 60.0, 900.0, 7200.0  # seconds
_PAUSES = 5.0


class RunOver(StrEnum):
    """Why a run is over. `ENDED`: its tool said so. `SUPERSEDED`: the tool is at another run of the same thing.
    `SILENT`: the tool stopped asking."""

    ENDED = "ended"
    SUPERSEDED = "superseded"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class HookRun:
    """`pause` is the longest time in seconds between two of its calls so far, unknown after the first one. `advanced`
    says that traffic was shifted in it, `told` that a call of it was answered with a verdict."""

    hook: str
    subject: str
    id: str
    gate_id: str
    asked_at: datetime
    pause: float | None = None
    advanced: bool = False
    told: bool = False
    over: RunOver | None = None

    @property
    def silence(self) -> float:
        """After how many seconds without a call its tool is taken to be gone."""
        if self.pause is None:
            return _UNKNOWN_SILENCE
        return min(max(_LEAST_SILENCE, _PAUSES * self.pause), _LONGEST_SILENCE)
