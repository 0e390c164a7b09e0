"""Limits what the reports that one disturbance can touch say together, so that it does not decide alone."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

_SHARES = 2.0
"""Number of even shares that one report may say. Chance makes reports uneven: at one share each, what a strong one says
beyond it is lost; without a limit a burst of one report would be worth a whole disturbance.
"""


class Caps(NamedTuple):
    """The most evidence, in nats, that a candidate is worse than its baseline: `together` is what all reports that one
    disturbance touches may say, `reports` how many these are, and `late_reports` how many it is divided among if the
    trouble began late, as it has to by at least `sure` nats.
    """

    together: float
    reports: int
    late_reports: int
    sure: float = 0.0

    @property
    def first(self) -> float:
        """One report's even share of it."""
        return self.together / self.reports

    @property
    def late(self) -> float:
        """One report's even share if the trouble began late."""
        return self.together / self.late_reports


UNCAPPED = Caps(inf, 1, 1)


class JointCap:
    """Credit of each bet in the newest reports, and what the next may add to that.

    No run of as many reports as a disturbance touches is credited with more than all of it, however unevenly chance
    divides it. A cap only lowers an e-value, and so costs no validity.
    """

    def __init__(self, bets: int) -> None:
        self._bets = bets
        self._credited: list[list[float]] = []

    def step(self, log_es: Sequence[float], caps: Caps, *, late: bool) -> list[float]:
        """Take a report's log e-values and return what the bets are credited with. Trouble that began late has no more
        than its even share of each report, which holds two disturbances in a row below a verdict.
        """
        reports, most = (caps.late_reports, caps.late) if late else (caps.reports, _SHARES * caps.first)
        before = [sum(bet) for bet in zip(*self._credited[max(0, len(self._credited) - reports + 1) :], strict=True)]
        room = [max(0.0, caps.together - said) for said in (before or [0.0] * self._bets)]
        credited = [min(log_e, most, left) for log_e, left in zip(log_es, room, strict=True)]
        self._credited.append([max(0.0, log_e) for log_e in credited])
        del self._credited[: -max(caps.reports, caps.late_reports)]
        return credited
