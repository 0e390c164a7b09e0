"""Harm alone, against what was there before the switch: several times worse, worth noticing, and for longer than a
minute.

The past is no control, for load drifts and caches are cold after a switch. So its worst part counts, a disturbance of a
minute does not decide, and in the first minutes only far more than is tolerated does. A service without a past is held
to its limit alone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Self, TypeVar

from healthd_gates.domain.evidence import Counts, Histogram
from healthd_gates.judge.against_past import rate_interval
from healthd_gates.judge.arms import FAST, LastMinute, ends, quantile, slower_than, surely_slower_than
from healthd_gates.judge.burstiness import Burstiness
from healthd_gates.judge.criterion import Frame, Look
from healthd_gates.judge.mixtures import log_mean
from healthd_gates.judge.past import Past, Reading, Span, Stretch
from healthd_gates.judge.processes import LimitHarm
from healthd_gates.judge.rules import Comparison

_BLOCK = 300.0  # seconds of the past that are compared with its other parts
_INCIDENTS, _OF = 2, 5  # so many of its worst parts are incidents at most, and one of so many parts
_SHORTEST, _FEWEST = 900.0, 1000.0  # seconds and requests that make a past
_BAD_REQUESTS = 3.0  # that a part of the past would have at the quantile
_LASTING = 60.0  # seconds
_WARM, _COLD_TIMES = 180.0, 8.0  # seconds after the switch, and times what is tolerated afterwards
_RISK = 0.001  # that the mean of the past is underestimated


_PieceT = TypeVar("_PieceT")
_Latencies = tuple[Histogram, float]
"""The latencies of one interval of the past, and its seconds."""


class Deterioration:
    """Harm of a candidate that is worse than `tolerated` times what was `usual` before, None if nothing is known.

    Two e-processes are averaged: one against what is `allowed`, once caches are warm, and one against far more of it,
    from the end of settling on. Where the limit is stricter than these it decides alone. A watch follows a pass, which
    what is worse than allowed does not get, so that its caches are warm.
    """

    def __init__(self, usual: float | None, allowed: float, tests: Sequence[Beyond], *, watches: bool) -> None:
        self.usual, self.allowed = usual, allowed
        self.hidden: tuple[float, float] | None = None
        self.uncompared = False
        self._edges: tuple[float, ...] = ()
        self._tests = [test for test in tests if not (watches and test.is_early)]
        if watches:
            for test in self._tests:
                test.since = 0.0

    @classmethod
    def of_errors(cls, comparison: Comparison, limit: float, frame: Frame, past: Past, reading: Reading) -> Self:
        """Build it for a share of bad requests."""
        usual = usual_rate(past.reference(reading))
        allowed = max(comparison.floor, comparison.tolerated * (usual or 0.0))
        stages = ((allowed, _WARM), (_COLD_TIMES * allowed, 0.0)) if usual is not None else ()
        tests = [Beyond(reading, share, since, frame, past) for share, since in stages if share < limit]
        return cls(usual, allowed, tests, watches=past.watches)

    @classmethod
    def of_latency(cls, comparison: Comparison, quantile: float, limit: float, frame: Frame, past: Past) -> Self:
        """Build it for a quantile of latency."""
        known = _alike(past.before or past.earlier)
        usual = usual_quantile(known, quantile)
        allowed = max(FAST, comparison.tolerated * (usual or 0.0))
        if usual is not None and (bucket := hiding(known[-1][0].edges, usual, comparison, limit)) is not None:
            blind = cls(None, limit, (), watches=past.watches)
            blind.hidden, blind._edges = bucket, known[-1][0].edges
            return blind
        if usual is None or allowed >= limit:
            return cls(usual, allowed, (), watches=past.watches)
        edges = known[-1][0].edges
        coarse = edges[bisect_left(edges, usual)] / usual
        tests = [
            Beyond(_slower_than(slow, slow * coarse, edges), 1 - quantile, since, frame, past)
            for slow, since in ((allowed, _WARM), (_COLD_TIMES * allowed, 0.0))
            if slow < limit
        ]
        return cls(usual, allowed, tests, watches=past.watches)

    @property
    def decides(self) -> bool:
        """True if it compares: there is a past, and the limit is not stricter."""
        return bool(self._tests)

    @property
    def cause(self) -> str:
        return "several times what it was before the switch"

    def step(self, look: Look, *, excused: bool) -> None:
        """Judge the evidence of one evaluation; while it is `excused` it speaks for the candidate alone.

        Where the bucket of the past hides several times more, a candidate in the same buckets is not compared; one in
        others is the first that can be compared with.
        """
        counts = look.evidence.candidate
        if self.hidden is not None and isinstance(counts, Counts) and counts.latency is not None:
            self.uncompared = counts.latency.edges == self._edges
        for test in self._tests:
            test.step(look, excused=excused)

    @property
    def is_worse_lately(self) -> bool:
        """True if the candidate was worse than allowed in the last minute: nothing passes meanwhile."""
        return any(test.is_worse_lately for test in self._tests if not test.is_early)

    @property
    def log_e_harm(self) -> float:
        """ln E of harm."""
        return log_mean([test.log_e for test in self._tests]) if self._tests else 0.0


class Beyond:
    """E-process against "at most a share `limit` of the candidate's requests is bad", from `since` seconds on."""

    def __init__(self, reading: Reading, limit: float, since: float, frame: Frame, past: Past) -> None:
        self._reading, self._limit, self._frame = reading, limit, frame
        self.since, self.is_early = since, since == 0.0
        self._burstiness = Burstiness.of(past, reading, frame.timing.interval)
        self._harm = LimitHarm(limit, frame.horizon)
        self._lately = LastMinute()
        self._elapsed = 0.0

    def step(self, look: Look, *, excused: bool) -> None:
        """Judge one evaluation with the estimate before it."""
        evidence = look.evidence
        candidate = self._reading(evidence.candidate) if evidence.candidate else None
        baseline = self._reading(evidence.baseline) if evidence.baseline else None
        self._lately.step(evidence.seconds, None if look.settling else candidate)
        if candidate is not None and not look.settling and self._elapsed + evidence.seconds / 2 >= self.since:
            cap = self._frame.harm_needed / look.rhythm.touched(max(_LASTING, self._frame.timing.blip))
            self._harm.step(candidate[1], candidate[0], self._burstiness.odds, 0.0 if excused else cap)
        self._elapsed += evidence.seconds
        self._burstiness.learn(candidate, baseline, evidence.seconds, settling=look.settling)

    @property
    def is_worse_lately(self) -> bool:
        """True if a larger share of the last minute's requests was bad, by more than one request."""
        return self._lately.bad > self._limit * self._lately.requests + 1

    @property
    def log_e(self) -> float:
        """ln E of harm."""
        return self._harm.log_e


def usual_rate(past: Sequence[Span]) -> float | None:
    """Return the highest share of bad requests that is usual: that of the worst part of the past which is no incident,
    or the upper end for its mean; None if there is too little of it.
    """
    if sum(s for _, _, s in past) < _SHORTEST or sum(m for m, _, _ in past) < _FEWEST:
        return None
    kept = _without_incidents(past, lambda span: (span[2], span[0]), 20 * _BAD_REQUESTS, _share)
    return max(_share(kept[-1]), rate_interval([*chain(*kept)], _RISK)[1])


def usual_quantile(past: Sequence[_Latencies], level: float) -> float | None:
    """Return the highest quantile, in seconds, that is usual: that of the worst part of the past which is no incident,
    or that of all its parts with half as many requests beyond it; None if there is too little of it.
    """
    fewest = _BAD_REQUESTS / (1 - level)
    if sum(seconds for _, seconds in past) < _SHORTEST:
        return None
    if sum(latency.total for latency, _ in past) < max(_FEWEST, 10 * fewest):
        return None

    def slowness(part: Sequence[_Latencies], at: float = level) -> float:
        return quantile(_together([latency for latency, _ in part]), at) or 0.0

    kept = _without_incidents(past, lambda each: (each[1], each[0].total), fewest, slowness)
    return max(slowness(kept[-1]), slowness([*chain(*kept)], (1 + level) / 2)) or None


def hiding(edges: tuple[float, ...], usual: float, comparison: Comparison, limit: float) -> tuple[float, float] | None:
    """Return the ends of the bucket that `usual` is in, if it reaches the limit and `harmful` times its lower end is
    below the limit, and slow: all that the comparison is for would stay in it. None if it does not."""
    low, high = ends(edges, bisect_left(edges, usual))
    reaches = high >= limit and max(2 * FAST, comparison.harmful * low) <= limit
    return (low, high) if reaches else None


def _alike(past: Sequence[Stretch]) -> list[_Latencies]:
    """Return the latencies of the past that are in the newest buckets."""
    seen = [(counts.latency, seconds) for counts, seconds in past if isinstance(counts, Counts) and counts.latency]
    return [(latency, seconds) for latency, seconds in seen if latency.edges == seen[-1][0].edges]


def _slower_than(slow: float, unlike: float, edges: tuple[float, ...]) -> Reading:
    """Return a reading of requests slower than `slow` seconds; in other buckets than these `edges`, in which the
    quantile of the past lies anywhere in its own, of those surely slower than `unlike`.
    """
    own, other = slower_than(slow), surely_slower_than(unlike)

    def reading(counts: Counts) -> tuple[float, float] | None:
        return (own if counts.latency is None or counts.latency.edges == edges else other)(counts)

    return reading


def _without_incidents(
    past: Sequence[_PieceT],
    size: Callable[[_PieceT], tuple[float, float]],
    fewest: float,
    badness: Callable[[Sequence[_PieceT]], float],
) -> list[list[_PieceT]]:
    """Return the parts of the past, the worst last, but for incidents, which are worse still; `size` returns the
    seconds and requests of a piece, and a part has at least `fewest` requests.

    One of five parts may be an incident, and two of ten or more: so one bad minute of half an hour is not usual. They
    are counted from the switch, so that what the new version did before its gate is in one of them.
    """
    parts, part, seconds, requests = list[list[_PieceT]](), list[_PieceT](), 0.0, 0.0
    for piece in reversed(past):
        length, number = size(piece)
        part.append(piece)
        seconds, requests = seconds + length, requests + number
        if seconds >= _BLOCK and requests >= fewest:
            parts.append(part)
            part, seconds, requests = [], 0.0, 0.0
    if part:  # too little for a part of its own
        parts[-1:] = [[*chain(*parts[-1:]), *part]]
    parts.sort(key=badness)
    return parts[: len(parts) - min(_INCIDENTS, len(parts) // _OF)]


def _share(part: Sequence[Span]) -> float:
    return sum(y for _, y, _ in part) / sum(m for m, _, _ in part)


def _together(histograms: Sequence[Histogram]) -> Histogram:
    counts = tuple(map(sum, zip(*(each.counts for each in histograms), strict=True)))
    return Histogram(histograms[0].edges, counts, sum(each.sum_seconds for each in histograms))
