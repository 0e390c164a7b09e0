"""The numbers of a criterion that names a source or series of its own: their rhythm, and whether they still come.

A criterion without fresh numbers proves nothing: it neither fails a candidate, nor lets it pass.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from healthd_gates.domain.evidence import Counts, Evidence, Lives, Numbers, Stream
from healthd_gates.domain.standing import Finding
from healthd_gates.judge.rhythm import Rhythm

_TORN, _ROUNDING = 20.0, 1.1  # what may be counted before the whole that it is a part of


@dataclass(frozen=True, slots=True)
class Interval:
    """Both arms' numbers of one stream in one interval; an arm that is None sent none."""

    seconds: float
    candidate: Numbers | None
    baseline: Numbers | None
    span: float | None = None


def interval_of(evidence: Evidence, stream: str | None) -> Interval:
    """Return the numbers of a stream; of the service's own source if it is None."""
    if stream is None:
        return Interval(evidence.seconds, evidence.candidate, evidence.baseline, evidence.span)
    own = evidence.streams.get(stream, _NOTHING)
    return Interval(evidence.seconds, own.candidate, own.baseline, own.span)


def evidence_of(evidence: Evidence, stream: str | None) -> Evidence:
    """Return the evidence as if the stream's counts were those of the service."""
    if stream is None:
        return evidence
    own = interval_of(evidence, stream)
    return replace(
        evidence,
        candidate=own.candidate if isinstance(own.candidate, Counts) else None,
        baseline=own.baseline if isinstance(own.baseline, Counts) else None,
        span=own.span,
        lives=Lives(),
        baseline_lives=Lives(),
    )


class OwnStream:
    """One stream over the bake. Its numbers may come up to `lateness` seconds apart."""

    def __init__(self, name: str, lateness: float) -> None:
        self._name, self._lateness = name, lateness
        self.rhythm = Rhythm()
        self._reported = False
        self._quiet = self._look = 0.0
        self._whole = self._part = 0.0

    def step(self, evidence: Evidence) -> Evidence:
        """Take one interval; return it as the criteria of this stream see it."""
        own = interval_of(evidence, self._name)
        self.rhythm.step(own)
        self._look = evidence.seconds
        self._quiet = 0.0 if own.candidate is not None else self._quiet + evidence.seconds
        self._reported = self._reported or own.candidate is not None
        if isinstance(own.candidate, Counts):
            self._whole, self._part = self._whole + own.candidate.requests, self._part + own.candidate.errors
        return evidence_of(evidence, self._name)

    @property
    def silence(self) -> Finding | None:
        """NO_TELEMETRY if the candidate never sent these numbers, or none for longer than they may be late."""
        return None if self._reported and self._quiet <= self._lateness else Finding.NO_TELEMETRY

    @property
    def is_late(self) -> bool:
        """True if the newest numbers are overdue, by the distance in which they usually come."""
        return self._quiet >= max(2 * self._look, 1.5 * self.rhythm.spacing) - 1e-6

    @property
    def is_miscounted(self) -> bool:
        """True if a part has more than the whole: the two series do not count the same things."""
        return self._part > _ROUNDING * self._whole + _TORN


_NOTHING = Stream()
