"""Checks that fail because another one does: their notices are held back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from healthd.checks.contract import CheckConfig
from healthd.config.check_rules import ancestors
from healthd.journal.leases import LOOK
from healthd.model import Status

if TYPE_CHECKING:
    from healthd.monitoring.state import CheckState

_JITTER = 1.2  # intervals within which a check is probed again
_SHARED = 2 * LOOK  # seconds in which what another replica found becomes known


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Dependencies of each check, direct or not, and the checks that depend on it."""

    above: Mapping[str, tuple[str, ...]]
    below: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, checks: Mapping[str, CheckConfig]) -> Dependencies:
        above = {name: found for name in checks if (found := ancestors(checks, name))}
        below: dict[str, tuple[str, ...]] = {}
        for name, parents in above.items():
            for parent in parents:
                below[parent] = (*below.get(parent, ()), name)
        return cls(above, below)

    def holding(self, state: CheckState, look: Callable[[str], CheckState], now: datetime) -> str | None:
        """Return what holds back the notices of a check that fails: the nearest of those that it depends on that is
        down, fails, or was not probed since; or that was, as long as the check itself was not probed after it."""
        if state.status is Status.HEALTHY or state.probe is None:
            return None
        return next((name for name in self.above.get(state.name, ()) if _holds(look(name), state, now)), None)


def _holds(parent: CheckState, child: CheckState, now: datetime) -> bool:
    if parent.covered("pause") is not None:
        return False
    if not parent.status.is_up:
        return True
    if parent.probe is None or child.probe is None or child.since is None:
        return False
    if not parent.probe.result.status.is_up:
        return True
    if parent.probe.at < child.since:
        soon = parent.config.interval * _JITTER + parent.config.timeout + (_SHARED if parent.elsewhere else 0.0)
        return now - child.since < timedelta(seconds=soon)
    return parent.up_since is not None and (child.probe.at < parent.up_since or child.probe.result.status.is_up)
