"""How the candidate's numbers come: how far apart, and how long ago what they tell may have been.

A look is not what it covers. A process that is scraped every 15 s has something new at every third look of 5 s, then
of 15 s; ten processes scraped at times of their own have something new at every look, some of it 15 s old.
"""

from __future__ import annotations

from collections import deque
from math import ceil
from statistics import median

from healthd_gates.domain.evidence import Evidence

_REMEMBERED = 20


class Rhythm:
    """The candidate's reports so far. `newest` is how long after the one before it the newest came, `spacing` how far
    apart they usually are, `span` how long the newest one reaches back.
    """

    def __init__(self) -> None:
        self._since = 0.0
        self._spacings: deque[float] = deque(maxlen=_REMEMBERED)
        self._spans: deque[float] = deque(maxlen=_REMEMBERED)
        self.newest = self.spacing = self.span = 1.0

    def step(self, evidence: Evidence) -> None:
        """Take one interval."""
        self._since += evidence.seconds
        if evidence.candidate is None:
            return
        self._spacings.append(self._since)
        self._spans.append(max(self._since, evidence.span or 0.0))
        self.newest, self._since = self._since, 0.0
        self.spacing, self.span = median(self._spacings), max(self._spans[-1], median(self._spans))

    def touched(self, blip: float) -> int:
        """The most reports that a disturbance of `blip` seconds shows in, however it falls across them."""
        return max(1, ceil((blip + self.span) / self.spacing - 0.1)) if blip else 1
