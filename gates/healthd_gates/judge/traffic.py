"""Whether the candidate still speaks: silence in the middle of a bake must never look like health."""

from healthd_gates.domain.evidence import Evidence, Finding

_MISSED_REQUESTS = 10.0


class Traffic:
    """The candidate's telemetry and traffic over the bake. Its numbers may come up to `lateness` seconds apart."""

    def __init__(self, lateness: float) -> None:
        self._lateness = lateness
        self._seconds = self._requests = 0.0
        self._without_telemetry = self._without_traffic = 0.0
        self._reported = False

    def step(self, evidence: Evidence) -> None:
        """Take one interval."""
        if evidence.candidate is None:
            self._without_telemetry += evidence.seconds
            return
        self._reported = True
        self._without_telemetry = 0.0
        self._seconds += evidence.seconds
        self._requests += evidence.candidate.requests
        self._without_traffic = 0.0 if evidence.candidate.requests > 0 else self._without_traffic + evidence.seconds

    @property
    def silence(self) -> Finding | None:
        """Why nothing can be said now, if so.

        Telemetry is silent when none came for longer than its source may be late; traffic when none came in
        a span in which ten requests were due, at the candidate's own average.
        """
        if not self._reported or self._without_telemetry > self._lateness:
            return Finding.NO_TELEMETRY
        if self._requests <= 0:
            return Finding.NO_TRAFFIC
        due = self._requests / self._seconds * self._without_traffic
        return Finding.NO_TRAFFIC if due >= _MISSED_REQUESTS else None
