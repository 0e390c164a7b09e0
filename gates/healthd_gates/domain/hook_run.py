"""One run of a deploy tool, such as one rollout of one version, as far as its calls show it. The dialect decides what
identifies a run; it is over when the tool says so, or stops calling.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

_LEAST_SILENCE, _UNKNOWN_SILENCE, _LONGEST_SILENCE = 60.0, 900.0, 7200.0  # seconds
_PAUSES, _LEAST_PAUSES = 5.0, 2.0


class RunOver(StrEnum):
    """Reason why a run is over. `ENDED`: its tool said so. `SUPERSEDED`: the tool has started another run of the same
    thing. `SILENT`: the tool stopped calling."""

    ENDED = "ended"
    SUPERSEDED = "superseded"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class HookRun:
    """A run as stored. `pause` is the longest time in seconds between two of its calls so far, unknown after the first
    one, unless the configuration knows it. A tool that makes several calls at each interval is measured by those of one
    kind: `called` is when the last of each kind came. `advanced` is True if traffic was shifted in it, `told` if one of
    its calls was answered with a verdict."""

    hook: str
    subject: str
    id: str
    gate_id: str
    asked_at: datetime
    pause: float | None = None
    advanced: bool = False
    told: bool = False
    over: RunOver | None = None
    called: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def silence(self) -> float:
        """Timeout in seconds without a call after which its tool counts as gone."""
        if self.pause is None:
            return _UNKNOWN_SILENCE
        return min(max(_LEAST_SILENCE, _PAUSES * self.pause), max(_LONGEST_SILENCE, _LEAST_PAUSES * self.pause))

    def pause_after_silence(self, moment: datetime) -> float | None:
        """Return the pause of a run that asks once more at `moment`, after its first call was followed by a silence: it
        asks so seldom. Its silence has the longest time then that is waited for a tool of unknown interval."""
        if self.over is not RunOver.SILENT or self.pause is not None:
            return None
        return min((moment - self.asked_at).total_seconds(), _LONGEST_SILENCE / _PAUSES)
