"""History of every check for the pages: its last probes, and its statuses of the last day.

Memory for a screen, not a store: time series belong in Prometheus, and transitions in the journal.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from healthd.model import Probe, Status, Transition
from healthd.monitoring.state import worst

PROBES = 60
"""Number of probes that are kept of each check."""
DAY = 86400.0
SPAN = 1800.0
"""Seconds of one span of a day; a span has the worst status that occurred in it."""
SPANS = int(DAY / SPAN)
_CHANGES = 500  # of each check; beyond that the oldest are dropped


@dataclass(frozen=True, slots=True)
class Answer:
    """One probe: its duration in seconds, and its result."""

    seconds: float
    status: Status


@dataclass(slots=True)
class Past:
    """History of one check. `count` grows with every entry."""

    answers: deque[Answer]
    changes: deque[tuple[datetime, Status]]
    count: int = 0

    @classmethod
    def empty(cls) -> Past:
        return cls(deque(maxlen=PROBES), deque(maxlen=_CHANGES))

    def spans(self, now: datetime) -> tuple[Status | None, ...]:
        """Return the worst status of each span of the last day, oldest first; None where nothing is known."""
        last = span_of(now)
        found: list[Status | None] = [None] * SPANS
        changes = list(self.changes)
        for index, (at, status) in enumerate(changes):
            end = changes[index + 1][0] if index + 1 < len(changes) else now
            first_span = max(span_of(at), last - SPANS + 1)
            for span in range(first_span, span_of(end) + 1):
                place = span - last + SPANS - 1
                if place < SPANS:
                    found[place] = worst(filter(None, (found[place], status)))
        return tuple(found)


class History:
    """History of all checks; bounded for each. `started` is the start of this process."""

    def __init__(self, started: datetime) -> None:
        self.started = started
        self._checks: dict[str, Past] = {}

    def arrange(self, checks: Iterable[str]) -> None:
        """Keep these checks and forget the others."""
        self._checks = {name: self._checks.get(name) or Past.empty() for name in checks}

    def probed(self, name: str, probe: Probe) -> None:
        if (past := self._checks.get(name)) is not None:
            latency = probe.result.latency
            past.answers.append(Answer(probe.duration if latency is None else latency, probe.result.status))
            past.count += 1

    def changed(self, transition: Transition) -> None:
        if (past := self._checks.get(transition.check)) is not None:
            past.changes.append((transition.at, transition.new))
            past.count += 1

    def recall(self, transitions: Iterable[tuple[str, datetime, Status, Status]]) -> None:
        """Add the journal's transitions from before this process: check, time, old status, new status, oldest first."""
        before: dict[str, list[tuple[datetime, Status]]] = {}
        for name, at, old, new in transitions:
            if name in self._checks and at < self.started:
                earlier: list[tuple[datetime, Status]] = []
                if old is not Status.UNKNOWN:
                    earlier.append((at - timedelta(seconds=DAY), old))
                before.setdefault(name, earlier).append((at, new))
        for name, known in before.items():
            past = self._checks[name]
            past.changes = deque([*known, *past.changes], maxlen=_CHANGES)
            past.count += 1

    def of(self, name: str) -> Past:
        """Return the history of a check; empty for an unknown one."""
        return self._checks.get(name) or Past.empty()


def span_of(moment: datetime) -> int:
    """Return the number of the span that contains a moment."""
    return int(moment.timestamp() // SPAN)
