"""Outages of the journal, as its latest callers found them: since when it cannot be used, and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from healthd.runtime.clock import Clock

AWAY = "No gate is started or decided, and nothing is stored, until it is back; health does not depend on it."
"""Meaning of an outage, for people."""
_TROUBLED_SECONDS = 30.0  # for which an error is shown, even where other callers succeeded meanwhile


@dataclass(frozen=True, slots=True)
class Outage:
    """Outage of the journal that is not over. `problem` may name hosts and files. `last_write` is the last write since
    its beginning that was stored all the same, where the journal comes and goes."""

    since: datetime
    problem: str
    last_write: datetime | None = None


class Outages:
    """Notes of one journal's failures."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failed_at: float | None = None
        self._outage: Outage | None = None
        self._wrote_since = False
        self._last_write: datetime | None = None
        self.tables_amiss = False
        """True from an error of some table's own to `tables_well`: what is written into others ends no such outage."""

    def failed(self, problem: str) -> None:
        """Take note of a failure. One soon after another belongs to the same outage, whatever succeeded meanwhile."""
        is_another = self.has_none_of_late and self._wrote_since
        if self._outage is None or is_another:
            self._outage = Outage(self._clock.now(), problem)
        else:
            self._outage = Outage(self._outage.since, problem, self._last_write)
        self._wrote_since, self._last_write = False, self._outage.last_write
        self._failed_at = self._clock.steady()

    def wrote(self) -> None:
        """Take note of a write that was stored."""
        self._wrote_since, self._last_write = True, self._clock.now()

    def tables_well(self) -> None:
        """Take note that every table can be read and written, seen by a write."""
        self.tables_amiss = False
        self.wrote()

    def ended(self) -> None:
        """Forget what was: it was opened anew."""
        self.tables_amiss = False
        self._failed_at = self._outage = None

    @property
    def has_none_of_late(self) -> bool:
        """True if nothing failed for half a minute, and no table is amiss."""
        if self.tables_amiss:
            return False
        return self._failed_at is None or self._clock.steady() - self._failed_at > _TROUBLED_SECONDS

    @property
    def latest(self) -> Outage | None:
        """Return the latest outage, which may be over."""
        return self._outage

    @property
    def current(self) -> Outage | None:
        """Return the outage that no write has ended yet; None also where nobody has tried for half a minute, unless a
        table is amiss."""
        if self.tables_amiss:
            return self._outage
        return None if self._wrote_since or self.has_none_of_late else self._outage
