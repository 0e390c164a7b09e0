"""Requests of both versions over time, and whether the candidate has lost most of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

_MINUTE, _FADED = 60.0, 0.2  # seconds, and the share of its own traffic below which a candidate has lost it
_LOW, _USUAL = 2 / 3, 600.0  # the share below which traffic is no part of that, and seconds after which it is usual
_KNOWN = 30.0  # seconds after which there is something to compare with
_FEWEST_DUE = 10.0  # requests


@dataclass(frozen=True, slots=True)
class Flow:
    """Requests of both arms in so many seconds."""

    seconds: float = 0.0
    candidate: float = 0.0
    baseline: float = 0.0

    def __add__(self, other: Flow) -> Flow:
        return Flow(self.seconds + other.seconds, self.candidate + other.candidate, self.baseline + other.baseline)

    def due_after(self, before: Flow) -> float:
        """Return the requests that the candidate would get now if nothing had changed since `before`. Traffic that the
        baseline has lost as well is no loss."""
        due = before.candidate / before.seconds * self.seconds
        if before.baseline > 0:
            due = min(due, before.candidate / before.baseline * self.baseline)
        return due


class Fade:
    """Seconds for which the candidate's last minute has been next to nothing beside what it had before: `lasts`.

    What it had before is the mean of all but that minute, without the time after a fall: a fall of which the mean
    learns hides itself. After ten minutes it is what is usual.
    """

    def __init__(self) -> None:
        self._minute: deque[Flow] = deque()
        self._before = Flow()
        self._low_for = self.lasts = 0.0

    def step(self, flow: Flow) -> None:
        """Take the flow of the newest report."""
        self._minute.append(flow)
        while len(self._minute) > 2 and self._seconds_but_the_oldest >= _MINUTE - 1e-6:
            leaving = self._minute.popleft()
            if self._before.seconds < _KNOWN or not 0.0 < self._low_for < _USUAL:
                self._before += leaving
        self._low_for = self._low_for + flow.seconds if self._is_below(_LOW) else 0.0
        self.lasts = self.lasts + flow.seconds if self._is_below(_FADED) else 0.0

    @property
    def _seconds_but_the_oldest(self) -> float:
        return sum(flow.seconds for flow in self._minute) - self._minute[0].seconds

    def _is_below(self, share: float) -> bool:
        if not self._before.seconds:
            return False
        lately = sum(self._minute, Flow())
        due = lately.due_after(self._before)
        return due >= _FEWEST_DUE and lately.candidate < share * due


def latest(flows: Sequence[Flow], seconds: float, alone: float) -> tuple[Flow | None, Sequence[Flow]]:
    """Return the newest flows that make up so many seconds, and those before them; None if there are too few. One is
    enough from `alone` seconds on: what it counts may have been counted in a little less time, or more."""
    whole = Flow()
    for count, flow in enumerate(reversed(flows), 1):
        whole += flow
        if whole.seconds >= seconds - 1e-6 and (count >= 2 or whole.seconds >= alone):
            return whole, flows[: len(flows) - count]
    return None, flows
