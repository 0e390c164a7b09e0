"""One bucket edge at which two versions' latencies are compared."""

from __future__ import annotations

from math import inf

from healthd_gates.domain.evidence import Counts, Evidence
from healthd_gates.judge.against_past import AgainstPast
from healthd_gates.judge.arms import (
    Pairing,
    Reading,
    at_once,
    perhaps_slower_than,
    slower_than,
    surely_slower_than,
)
from healthd_gates.judge.burstiness import Burstiness
from healthd_gates.judge.criterion import Frame
from healthd_gates.judge.joint_cap import Caps
from healthd_gates.judge.past import Past
from healthd_gates.judge.processes import BaselineHarm, BaselineSafety
from healthd_gates.judge.rules import Against, Comparison

_TIMES = (1.1, 1.25, 1.6, 3.0)
"""Bets on the ratio of tails; a tail of 60 % cannot grow by much."""
_Read = tuple[float, float] | None


class TailComparison:
    """Compares the candidate beyond an edge b with the baseline beyond b/ratio, at equal probabilities.

    If both have the same buckets, a count inside one is log-linear, an error that both make alike. If the buckets
    differ it is not, and the counts are bounded by the existing edges: requests that count as harm are surely slow, and
    those that they are compared with perhaps as slow.
    """

    def __init__(self, edge: float, comparison: Comparison, frame: Frame, past: Past) -> None:
        tolerated, harmful = edge / comparison.tolerated, edge / comparison.harmful
        self._alike = (slower_than(edge), slower_than(tolerated), slower_than(edge), slower_than(harmful))
        self._unlike = (
            surely_slower_than(edge),
            perhaps_slower_than(tolerated),
            perhaps_slower_than(edge),
            surely_slower_than(harmful),
        )
        self._tolerated = tolerated
        self._frame, self._earlier = frame, past
        self._concurrent = comparison.against is Against.CONCURRENT
        self._past: AgainstPast | None = None
        self._edges: tuple[float, ...] = ()
        self._burstiness = Burstiness.of(past, self._alike[1], frame.timing.interval)
        self._harm_pairs, self._safety_pairs = Pairing(), Pairing()
        self._own = (0.0, 0.0, 0)
        self._harm, self._safety = BaselineHarm(1.0, frame.horizon, _TIMES, frame.burst), BaselineSafety(1.0)
        self.odds = self._burstiness.odds

    def step(self, evidence: Evidence, settling: bool, caps: Caps, *, alike: bool) -> None:
        """Take the evidence of one evaluation; `alike` is True if both have the same buckets."""
        self.odds = self._burstiness.odds
        slow, tolerated, not_fast, harmful = self._alike if alike else self._unlike
        candidate, baseline = evidence.candidate, evidence.baseline
        if not settling and self._concurrent:
            if pair := self._harm_pairs.add(_read(slow, candidate), _read(tolerated, baseline)):
                self._harm.step(pair, self.odds, caps)
            if pair := self._safety_pairs.add(_read(not_fast, candidate), _read(harmful, baseline)):
                self._safety.step(pair, self.odds)
        elif self._concurrent:
            if pair := at_once(_read(slow, candidate), _read(tolerated, baseline)):
                self._harm.settle(pair, self.odds)
        elif not settling and candidate is not None and candidate.latency is not None:
            self._judge_by_past(candidate, candidate.latency.edges, caps.first, alike=alike)
        self._burstiness.learn(
            _read(self._alike[0], candidate), _read(self._alike[1], baseline), evidence.seconds, settling=settling
        )

    def _judge_by_past(self, candidate: Counts, edges: tuple[float, ...], cap: float, *, alike: bool) -> None:
        """Judge against the past by the candidate's first buckets; with others, after a restart, do nothing."""
        slow, tolerated, not_fast, harmful = self._alike if alike else self._unlike
        if not self._edges:
            self._edges = edges
            if before := self._earlier.baseline(tolerated):
                self._past = AgainstPast((before, 1.0), (self._earlier.baseline(harmful), 1.0), self._frame)
        harming, keeping = slow(candidate), not_fast(candidate)
        if self._past is None or edges != self._edges or harming is None or keeping is None:
            return
        self._past.step(harming, self.odds, cap, keeping)
        self._own = (self._own[0] + keeping[0], self._own[1] + keeping[1], self._own[2] + 1)

    def compares_below(self, lowest: float) -> bool:
        """True if the baseline is counted at a latency below the lowest edge, where a count is a guess."""
        return self._tolerated < lowest

    @property
    def compared(self) -> bool:
        """True if there has been data to compare with."""
        return self._harm_pairs.count > 0 or self._own[2] > 0

    @property
    def log_e_harm(self) -> float:
        """ln E of harm."""
        return self._past.log_e_harm if self._past else self._harm.log_e

    @property
    def log_e_safe(self) -> float:
        """ln E of safety."""
        return self._past.log_e_safe if self._past else self._safety.log_e

    def looks_needed(self, target: float) -> float:
        """Return the number of intervals until safety is proven, if all go on like this."""
        requests, slow, looks = self._own
        if self._past is not None and looks:
            return self._past.looks_needed(target, (requests / looks, slow / looks), self.odds)
        if not self._safety_pairs.count or (self._safety.log_e < target and self._safety_pairs.has_lapsed):
            return inf
        return self._safety.looks_needed(target, self._safety_pairs.mean, self.odds)


def _read(reading: Reading, counts: Counts | None) -> _Read:
    return reading(counts) if counts is not None else None
