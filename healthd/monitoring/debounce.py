"""Rise and fall: number of results in a row that change a check's status. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from healthd.model import Status


@dataclass(frozen=True, slots=True)
class Streak:
    """Last results of a check that contradict its status, too few to change it: `seen` of the `needed` in a row. `seen`
    is None where another replica counts them."""

    status: Status
    seen: int | None
    needed: int

    @property
    def words(self) -> str:
        what = "failures" if self.status is Status.UNHEALTHY else "successes"
        return f"{self.seen} of {self.needed} {what}" if self.seen else f"fewer than {self.needed} {what} so far"


@dataclass(slots=True)
class Debounce:
    """Debounced status of one check.

    The first result counts at once. `fall` unhealthy results in a row make it unhealthy, `rise` others in a row make it
    healthy again; between healthy and degraded it follows every result.
    """

    fall: int
    rise: int
    status: Status = Status.UNKNOWN
    streak: int = 0  # results in a row that contradict the status

    @property
    def settling(self) -> bool:
        """True if the last result contradicted the status: time for a faster recheck."""
        return self.streak > 0

    def observe(self, seen: Status) -> Status:
        down, seen_down = self.status is Status.UNHEALTHY, seen is Status.UNHEALTHY
        if self.status is Status.UNKNOWN or down == seen_down:
            self.status, self.streak = seen, 0
            return self.status
        self.streak += 1
        if self.streak >= (self.fall if seen_down else self.rise):
            self.status, self.streak = seen, 0
        return self.status

    def forget(self) -> None:
        """Start again from unknown, as after a result that became too old."""
        self.status, self.streak = Status.UNKNOWN, 0
