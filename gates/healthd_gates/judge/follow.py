"""The candidate's share of the requests beside its configured weight: sticky callers, connections that are kept open
and caches of names make a balancer's traffic follow late, or not at all. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from math import sqrt

from healthd_gates.domain.evidence import Evidence

_LOOKS = 6  # the newest ones, so that a share that follows late is seen as soon as it does
_KEPT = 120
_FEWEST = 4.0  # of the candidate's requests that a weight must make due before its share says anything
_LOW, _HIGH, _DEVIATIONS = 0.6, 1.5, 2.0
_MISSED = 10.0  # requests that were due, of which none came: by chance once in 20,000 times
_ALL = 0.9  # of all requests: health checks and old connections may still bring the baseline some


class Follow:
    """The newest looks at both arms, as a fold."""

    def __init__(self) -> None:
        self._looks: deque[tuple[datetime, float, float, float]] = deque(maxlen=_KEPT)

    def take(self, evidence: Evidence) -> None:
        """Take one look."""
        n, m = (arm.requests if arm else 0.0 for arm in (evidence.candidate, evidence.baseline))
        self._looks.append((evidence.at, evidence.seconds, n, n + m))

    def since(self, moment: datetime, weight: float = 1.0) -> tuple[float, float]:
        """Return the candidate's requests and all requests of the newest looks, of those after the one at
        `moment`: of so many that the weight says something, where they have few requests."""
        requests, every = 0.0, 0.0
        for number, (at, _, n, total) in enumerate(reversed(self._looks)):
            if at <= moment or (number >= _LOOKS and weight * every >= _FEWEST):
                break
            requests, every = requests + n, every + total
        return requests, every

    def silence(self, moment: datetime, weight: float) -> Silence:
        """Return for how long the candidate has had no request at a weight below 1, in looks after the one at
        `moment`, and up to the newest look in which the baseline had some: what both do not report says nothing."""
        seconds, requests, heard = 0.0, 0.0, False
        for at, length, n, total in reversed(self._looks):
            if n > 0 or at <= moment:
                break
            heard = heard or total > 0
            if heard:
                seconds, requests = seconds + length, requests + total
        return Silence(seconds, requests * weight / (1 - weight) if weight < 1 else 0.0)


@dataclass(frozen=True, slots=True)
class Silence:
    """Seconds without a request of the candidate's, and the requests that were due to it in them."""

    seconds: float
    due: float

    def lasts(self, patience: float) -> bool:
        """Return whether it is longer than `patience` in seconds, and no chance."""
        return self.due >= _MISSED and self.seconds >= patience


def follows(weight: float, requests: float, total: float) -> bool | None:
    """Return whether the share that is seen follows a weight; None if there are too few requests to tell."""
    due = weight * total
    if due < _FEWEST:
        return None
    if weight >= 1.0:
        return requests >= _ALL * due
    spread = _DEVIATIONS * sqrt(due)
    return max(1.0, _LOW * due - spread) <= requests <= _HIGH * due + spread + 2
