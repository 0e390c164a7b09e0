"""State of a check, and of a group, at one moment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from healthd.checks.contract import CheckConfig
from healthd.config.window import WindowKind
from healthd.model import Probe, Status
from healthd.monitoring.cover import IGNORING, Cover
from healthd.monitoring.debounce import Streak

_WORST_FIRST = (Status.UNHEALTHY, Status.UNKNOWN, Status.DEGRADED, Status.HEALTHY)


@dataclass(frozen=True, slots=True)
class CheckState:
    """State of one check at one moment.

    `status` has passed rise and fall, and is unknown once the last probe is too old. `since` is the time of the change
    to that status; `good_until` (steady seconds) is when the last probe stops being valid. `covers` are the windows
    that cover it now. `up_since` is the time of the last change from down to up; `held_by` names the check, down or
    about to be, for which its notices are held back. `replica` names the one that ran a check which replicas run for
    each other; `elsewhere` says that it was another one than this. `contrary` is the number of results in a row
    that contradict the status. `earlier` says that status and probe are those from before a reload that changed its
    options. `counts_as`, until `counts_until` (steady seconds), is what groups take a check for that a reload brought
    and that was not probed yet.
    """

    name: str
    config: CheckConfig
    status: Status = Status.UNKNOWN
    since: datetime | None = None
    probe: Probe | None = None
    last_healthy: datetime | None = None
    good_until: float = 0.0
    covers: tuple[Cover, ...] = ()
    up_since: datetime | None = None
    held_by: str | None = None
    replica: str | None = None
    elsewhere: bool = False
    contrary: int = 0
    earlier: bool = False
    counts_as: Status | None = None
    counts_until: float = 0.0

    @property
    def own_probe(self) -> Probe | None:
        """The last probe, if it was made under the options in force."""
        return None if self.earlier else self.probe

    @property
    def counted(self) -> Status:
        """The status, or what stands in for it until the first probe."""
        return self.status if self.probe is not None or self.counts_as is None else self.counts_as

    @property
    def maintenance(self) -> str | None:
        """Reason of a window in which its failures do not count."""
        return next((cover.reason for cover in self.covers if cover.kind in IGNORING), None)

    def covered(self, kind: WindowKind) -> Cover | None:
        """Return the window of a kind that covers it now."""
        return next((cover for cover in self.covers if cover.kind == kind), None)

    @property
    def streak(self) -> Streak | None:
        """The status that the last results speak for, where rise or fall keeps the status as it was."""
        if self.probe is None or self.status is Status.UNKNOWN or self.status.is_up == self.probe.result.status.is_up:
            return None
        seen = self.probe.result.status
        needed = self.config.rise if seen.is_up else self.config.fall
        return Streak(seen, None if self.elsewhere else self.contrary, needed)

    @property
    def overdue(self) -> bool:
        """True if it has run, but too long ago."""
        return self.status is Status.UNKNOWN and self.probe is not None


@dataclass(frozen=True, slots=True)
class GroupState:
    """State of one group. `ready` decides the status code of the answer; `tolerating` says that it is ready in spite of
    a failed shared dependency."""

    name: str
    status: Status
    ready: bool
    tolerating: bool
    checks: tuple[CheckState, ...]


def worst(statuses: Iterable[Status]) -> Status:
    """Return the worst status; healthy when there are none."""
    present = set(statuses)
    return next((status for status in _WORST_FIRST if status in present), Status.HEALTHY)
