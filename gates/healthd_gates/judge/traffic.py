"""Detects that the candidate's telemetry or traffic has stopped: silence in the middle of a bake must never look like
health.
"""

from __future__ import annotations

from collections import deque
from math import sqrt

from healthd_gates.domain.evidence import Evidence
from healthd_gates.domain.standing import Finding, Reason
from healthd_gates.judge.flow import Fade, Flow, latest

_MISSED_REQUESTS = 10.0
_PATIENCE = 180.0  # seconds for which lost traffic may come back, before the gate reports it and ends
_BEFORE = 60.0  # seconds that the newest are compared with to detect a fall
_FALLS = ((20.0, 2 / 3, 2.0), (10.0, 0.85, 2.0))
"""The newest seconds, the share of the earlier traffic that counts as a fall, and deviations beyond chance."""
_LOOKS_OFF = 1.5  # looks by which the seconds of two reports that are compared may be off
_TORN = 20.0  # errors that may be seen before their requests
_FEWEST = 4  # flows that a comparison needs
_FEWEST_REQUESTS = 20.0
_SEEN_AGAIN, _SEEN_TWICE = 20.0, 2  # seconds and reports after a time in which nobody looked
_SWITCHED = 0.4  # of all requests; health checks of both versions bring each of them as many


class Traffic:
    """The candidate's telemetry and traffic over the bake. Its numbers may come up to `lateness` seconds apart."""

    def __init__(self, lateness: float, *, whole: bool = False) -> None:
        """Set up; `whole` is True if the candidate gets all the traffic, and not a part of it."""
        self._lateness, self._whole = lateness, whole
        self._total = Flow()
        self._without_telemetry = self._without_traffic = self._still_for = 0.0
        self._reported = False
        self.has_baseline = False
        self._errors = 0.0
        self._look = self._span = 0.0
        self._pending = Flow()
        self._recent: deque[Flow] = deque()
        self._fade = Fade()
        self._since, self._reports_since = Flow(), -1  # a time in which nobody looked, if there was one
        self._unwatched = False

    def step(self, evidence: Evidence, *, unwatched: bool = False, span: float = 0.0) -> None:
        """Take one interval; `unwatched` is True if nobody looked for a part of it. `span` is how many seconds the
        counts of each process reach back, usually: so long may those with the requests have said nothing."""
        self._look, self._span = evidence.seconds, span
        self._unwatched = self._unwatched or unwatched
        baseline = evidence.baseline.requests if evidence.baseline else 0.0
        self._pending += Flow(evidence.seconds, 0.0, baseline)
        self.has_baseline = self.has_baseline or evidence.baseline is not None
        if baseline > 0:
            self._still_for = 0.0
        if evidence.candidate is None:
            self._without_telemetry += evidence.seconds
            return
        self._reported, self._without_telemetry = True, 0.0
        flow, self._pending = self._pending + Flow(0.0, evidence.candidate.requests), Flow()
        self._total += flow
        self._still_for = 0.0 if flow.candidate + flow.baseline > 0 else self._still_for + flow.seconds
        self._errors += evidence.candidate.errors
        self._without_traffic = 0.0 if flow.candidate > 0 else self._without_traffic + flow.seconds
        self._recent.append(flow)
        if self._unwatched:
            self._since, self._reports_since, self._unwatched = Flow(), 0, False
        elif self._reports_since >= 0:
            self._since, self._reports_since = self._since + flow, self._reports_since + 1
        self._fade.step(flow)
        while len(self._recent) > _FEWEST and self._seconds_but_the_oldest >= _BEFORE + _FALLS[0][0]:
            self._recent.popleft()

    @property
    def _seconds_but_the_oldest(self) -> float:
        return sum(flow.seconds for flow in self._recent) - self._recent[0].seconds

    @property
    def silence(self) -> Finding | None:
        """Reason why nothing can be decided now, or None.

        Telemetry is silent when none came for longer than its source may be late; traffic when none came in a span in
        which ten requests were expected, at the candidate's own average, and in which each process had its turn to
        tell of some, or when it is next to nothing beside its earlier level.
        """
        if not self._reported or self._without_telemetry > self._lateness:
            return Finding.NO_TELEMETRY
        if self._total.candidate <= 0:
            return Finding.NO_TRAFFIC
        if self._misses_requests and self._without_traffic >= self._span:
            return Finding.NO_TRAFFIC
        return Finding.TRAFFIC_LOST if self._fade.lasts else None

    @property
    def _misses_requests(self) -> bool:
        """True if none came in a span in which ten were expected."""
        return self._total.candidate / self._total.seconds * self._without_traffic >= _MISSED_REQUESTS

    @property
    def is_miscounted(self) -> bool:
        """True if errors are counted that are no requests, such as attempts upstream. Torn scrapes differ less."""
        return self._errors > 1.1 * self._total.candidate + _TORN

    @property
    def loss(self) -> Reason | None:
        """Reason for a loss of traffic or telemetry that has lasted so long that nobody needs to wait for it, or
        None."""
        if self._total.candidate < _MISSED_REQUESTS:
            return None
        if self._without_telemetry > max(self._lateness, _PATIENCE):
            return Reason.TELEMETRY_LOST
        gone = max(self._without_traffic, self._fade.lasts) >= _PATIENCE
        return Reason.TRAFFIC_LOST if gone and self.silence is not None else None

    @property
    def doubt(self) -> Reason | None:
        """Reason why a pass must wait, or None: a candidate that has just died looks like one between two of its
        reports, and one that is about to die still has some of its traffic.
        """
        had = self._total.candidate >= _MISSED_REQUESTS
        match self.silence:
            case Finding.NO_TELEMETRY:
                return Reason.TELEMETRY_LOST if had else Reason.NO_TELEMETRY
            case Finding.NO_TRAFFIC:
                return Reason.TRAFFIC_LOST if had else Reason.NO_TRAFFIC
            case Finding.TRAFFIC_LOST:
                return Reason.TRAFFIC_LOST
        if self._had_little and self.is_nowhere:
            return Reason.NO_TRAFFIC
        if self._misses_requests or self._without_telemetry:
            return Reason.NOT_FRESH
        return Reason.TRAFFIC_FALLING if self._is_falling else None

    @property
    def is_elsewhere(self) -> bool:
        """True if the baseline still has most of the traffic that the candidate was to take over: the switch did not
        happen, or not everywhere."""
        is_told = self.silence is not Finding.NO_TELEMETRY or self._pending.baseline > 0
        return self._had_little and is_told and not self.is_nowhere

    @property
    def is_seen_again(self) -> bool:
        """True unless nobody looked for a while and too little was seen since to know who has the traffic: a report of
        that time does not tell its end from its beginning."""
        if self._reports_since < 0 and not self._unwatched:
            return True
        if self._unwatched or self._reports_since < _SEEN_TWICE or self._since.seconds < _SEEN_AGAIN:
            return False
        return self._since.candidate >= _MISSED_REQUESTS or self._since.seconds >= _PATIENCE

    @property
    def _lately(self) -> Flow:
        """The newest flows, none of which is from before a time in which nobody looked, nor of it."""
        before = max(0, len(self._recent) - self._reports_since) if self._reports_since >= 0 else 0
        return sum(list(self._recent)[before:], Flow())

    @property
    def _had_little(self) -> bool:
        lately = self._lately
        requests = lately.candidate + lately.baseline
        return self._whole and requests >= _FEWEST_REQUESTS and lately.candidate < _SWITCHED * requests

    @property
    def is_nowhere(self) -> bool:
        """True if neither version has had a request in a span in which ten were expected of both, or none at all."""
        lately = sum(self._recent, Flow())
        if not self.has_baseline or not self._still_for:
            return False
        requests = lately.candidate + lately.baseline
        return not requests or requests / lately.seconds * self._still_for >= _MISSED_REQUESTS

    @property
    def _is_falling(self) -> bool:
        return any(self._has_fallen(*fall) for fall in _FALLS)

    def _has_fallen(self, seconds: float, part: float, deviations: float) -> bool:
        alone = _LOOKS_OFF * self._look / (1 - part)
        lately, rest = latest(list(self._recent), seconds, alone)
        if lately is None:
            return False
        known = sum(flow.seconds for flow in rest)
        least = seconds if len(rest) == len(self._recent) - 1 else lately.seconds
        before, _ = latest(rest, min(_BEFORE, max(least, known)), alone)
        if before is None or before.candidate <= 0:
            return False
        due = lately.due_after(before)
        chance = deviations * sqrt(due * (1 + lately.seconds / before.seconds))
        return lately.candidate < min(part * due, due - chance)
