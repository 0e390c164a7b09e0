"""Timing of the candidate's numbers: how far apart they come, and how far back in time they reach.

An evaluation's interval is not the time that its numbers cover. A process that is scraped every 15 s has new numbers at
every third interval of 5 s, then of 15 s; ten processes scraped at different times have new numbers at every one, some
of them 15 s old.
"""

from __future__ import annotations

from collections import deque
from math import ceil
from statistics import median
from typing import Protocol

from healthd_gates.domain.evidence import Numbers

_REMEMBERED = 20


class Reported(Protocol):
    """The numbers of the candidate in one interval, None if there were none."""

    @property
    def seconds(self) -> float: ...

    @property
    def span(self) -> float | None: ...

    @property
    def candidate(self) -> Numbers | None: ...


class Rhythm:
    """The candidate's reports so far. `newest` is how long after the previous report the newest came, `spacing` how far
    apart they usually are, `span` how long the newest one reaches back.
    """

    def __init__(self) -> None:
        self._since = 0.0
        self._spacings: deque[float] = deque(maxlen=_REMEMBERED)
        self._spans: deque[float] = deque(maxlen=_REMEMBERED)
        self.newest = self.spacing = self.span = 1.0

    def step(self, evidence: Reported) -> None:
        """Take one interval."""
        self._since += evidence.seconds
        if evidence.candidate is None:
            return
        self._spacings.append(self._since)
        self._spans.append(max(self._since, evidence.span or 0.0))
        self.newest, self._since = self._since, 0.0
        self.spacing, self.span = median(self._spacings), max(self._spans[-1], median(self._spans))

    def touched(self, blip: float) -> int:
        """Return the most reports that a disturbance of `blip` seconds affects, however it falls across them."""
        return max(1, ceil((blip + self.span) / self.spacing - 0.1)) if blip else 1
