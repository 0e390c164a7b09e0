"""One run of a deploy tool, such as one rollout of one version, as far as its calls show it. The dialect decides what
identifies a run; it is over when the tool says so, or stops calling.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

_LEAST_SILENCE, _UNKNOWN_SILENCE, _LONGEST_SILENCE = 60.0, 900.0, 7200.0  # seconds
_PAUSES = 5.0


class RunOver(StrEnum):
    """Reason why a run is over. `ENDED`: its tool said so. `SUPERSEDED`: the tool has started another run of the same
    thing. `SILENT`: the tool stopped calling."""

    ENDED = "ended"
    SUPERSEDED = "superseded"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class HookRun:
    """A run as stored. `pause` is the longest time in seconds between two of its calls so far, unknown after the first
    one. `advanced` is True if traffic was shifted in it, `told` if one of its calls was answered with a verdict."""

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
        """Timeout in seconds without a call after which its tool counts as gone."""
        if self.pause is None:
            return _UNKNOWN_SILENCE
        return min(max(_LEAST_SILENCE, _PAUSES * self.pause), _LONGEST_SILENCE)
