"""The baseline's past: the reference of a comparison with history and of the estimates of burstiness.

One incident must not make a gate blind for hours. The estimates here leave it out; they keep bursts and drifts, which
recur.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from math import sqrt
from typing import Any

from healthd_gates.domain.evidence import Evidence, Numbers
from healthd_gates.judge.streams import Interval, interval_of

Span = tuple[float, float, float]
"""Requests, bad ones, and the length of the interval in seconds."""

Stretch = tuple[Any, float]
"""Numbers of one arm, of the kind that the criterion reads, and the seconds in which they were made."""

Reading = Callable[[Any], tuple[float, float] | None]
"""Returns what was counted and the bad ones of it, or None if the numbers do not tell."""

_INCIDENT = 720.0  # seconds; anything longer is normal for the service
_SHARE = 0.6  # of all variation beyond chance
_FEWEST_REQUESTS = 1000.0
SHOWS_SPELLS = 3000.0
"""Seconds of a past from which on it shows the spells in which trouble usually comes: the hour that earlier gates tell,
less what is lost of it.
"""
_FEW = 20.0  # requests, of less the share tells nothing
_PARTS = 5  # of its length that a past must have beside the incident, at least


@dataclass(frozen=True, slots=True)
class Past:
    """The baseline `before` the switch, what `earlier` gates of the service saw, and the baseline during the gate if a
    watch follows it; `watches` is True then. `own` is the candidate in that gate, where no baseline ran beside it.
    """

    before: Sequence[Stretch] = ()
    bake: Sequence[Stretch] = ()
    earlier: Sequence[Stretch] = ()
    own: Sequence[Stretch] = ()
    watches: bool = False
    ends: Sequence[datetime] = ()
    """The end of each stretch before the switch, by the source's own past or else by earlier gates."""

    @classmethod
    def of(
        cls,
        history: Iterable[Evidence],
        bake: Sequence[Evidence] = (),
        stream: str | None = None,
        earlier: Sequence[Evidence] = (),
    ) -> Past:
        """Build the past of a stream, of the service's own source if it is None. The versions that earlier gates let
        stay are used as the baseline where none ran beside them, and where the source tells of nothing before; the
        candidate that a watch is about is not."""
        known = [(evidence.at, interval_of(evidence, stream)) for evidence in history]
        before = _stretches(interval for _, interval in known)
        seen = [interval_of(evidence, stream) for evidence in bake]
        own = _stretches(seen, candidate=True) if _is_alone(seen) else []
        earlier_gates = [interval_of(evidence, stream) for evidence in earlier] if not before else []
        alone = _is_alone(earlier_gates)
        kept = _stretches(earlier_gates, candidate=alone)
        told = known if before else list(zip((evidence.at for evidence in earlier), earlier_gates, strict=False))
        ends = [at for at, each in told if (each.candidate if alone and not before else each.baseline) is not None]
        return cls(before, _stretches(seen), kept, own, watches=bool(bake), ends=ends)

    def spans(self, reading: Reading) -> list[Span]:
        """Return all of it that is not the candidate's own, for the estimates of burstiness."""
        return [*_read(self.before, reading), *_read(self.earlier, reading), *_read(self.bake, reading)]

    def shows_spells(self, reading: Reading) -> bool:
        """True if requests were made for so long that it shows the spells in which trouble usually comes."""
        return sum(seconds for m, _, seconds in self.spans(reading) if m) >= SHOWS_SPELLS

    def own_spans(self, reading: Reading) -> list[Span]:
        """Return the candidate's own part, which may have the beginning of harm in it."""
        return _read(self.own, reading)

    def reference(self, reading: Reading) -> list[Span]:
        """Return what was there before the switch, by the source's own past or else by earlier gates."""
        return _read(self.before or self.earlier, reading)

    def worst(self, reading: Reading) -> tuple[float, float, datetime] | None:
        """Return the largest share of bad ones that a stretch before the switch had, its seconds, and when it ended."""
        ended = zip(self.before or self.earlier, self.ends, strict=False)
        known = [(read, seconds, at) for (counts, seconds), at in ended if (read := reading(counts)) is not None]
        shares = [(y / m, seconds, at) for (m, y), seconds, at in known if m >= _FEW]
        return max(shares, default=None)

    def baseline(self, reading: Reading) -> Sequence[Span]:
        """Return the past that a comparison with history uses."""
        return without_incident(_read(self.before, reading))

    def rate(self, reading: Reading) -> float | None:
        """Return the expected rate of a version like the baseline, None if there is too little data."""
        before = self.baseline(reading)
        return _rate(before) if sum(m for m, _, _ in before) >= _FEWEST_REQUESTS else None


def _is_alone(intervals: Sequence[Interval]) -> bool:
    return all(interval.baseline is None for interval in intervals)


def _stretches(intervals: Iterable[Interval], *, candidate: bool = False) -> list[Stretch]:
    """Return numbers with the time that they cover, which is longer after intervals without any, but not before the
    first numbers: nothing was counted there.
    """
    found, seconds = list[Stretch](), 0.0
    for each in intervals:
        seconds = seconds + each.seconds if found else each.seconds
        counts: Numbers | None = each.candidate if candidate else each.baseline
        if counts is not None:
            found.append((counts, seconds))
            seconds = 0.0
    return found


def _read(stretches: Sequence[Stretch], reading: Reading) -> list[Span]:
    return [(*read, seconds) for counts, seconds in stretches if (read := reading(counts)) is not None]


def without_incident(past: Sequence[Span]) -> Sequence[Span]:
    """Return the past without the one window of some minutes that has most of the variation beyond chance, if there is
    one.
    """
    if sum(seconds for _, _, seconds in past) < _PARTS * _INCIDENT:
        return past
    first, last = _worst_window(past, _rate(past))
    rest = [*past[:first], *past[last:]]
    rate = _rate(rest)
    inside, outside = (_excess(part, rate) for part in (past[first:last], rest))
    chance = sqrt(sum(2 * (m * rate) ** 2 + m * rate for m, _, _ in past))
    dominates = inside > _SHARE * (inside + max(0.0, outside)) and inside > 3 * chance
    return rest if dominates else past


def _rate(past: Sequence[Span]) -> float:
    return (sum(y for _, y, _ in past) + 0.5) / (sum(m for m, _, _ in past) + 100)


def _excess(past: Sequence[Span], rate: float) -> float:
    """Return Σ[(y − mp)² − mp(1−p)]: how much more the counts vary than by chance."""
    return sum((y - m * rate) ** 2 - m * rate * (1 - rate) for m, y, _ in past)


def _worst_window(past: Sequence[Span], rate: float) -> tuple[int, int]:
    """Return first and end of the stretch of at most an incident's length with the largest excess."""
    excess = [0.0, *accumulate(_excess([span], rate) for span in past)]
    worst, found, first, length = 0.0, (0, 0), 0, 0.0
    for last, (_, _, seconds) in enumerate(past, 1):
        length += seconds
        while length > _INCIDENT:
            length -= past[first][2]
            first += 1
        if excess[last] - excess[first] > worst:
            worst, found = excess[last] - excess[first], (first, last)
    return found
