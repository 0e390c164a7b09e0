"""The two latency tests: requests slower than a limit, and slower than the baseline by more than a
ratio.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from math import inf, isinf

from healthd_gates.domain.evidence import Counts, Evidence, Histogram
from healthd_gates.judge.arms import FAST, SharedIncident, count_above, slower_than
from healthd_gates.judge.burstiness import Burstiness
from healthd_gates.judge.criterion import Frame
from healthd_gates.judge.joint_cap import Caps
from healthd_gates.judge.mixtures import log_mean
from healthd_gates.judge.past import Past
from healthd_gates.judge.processes import LimitHarm, LimitSafety
from healthd_gates.judge.rules import Against, Comparison
from healthd_gates.judge.tail_comparison import TailComparison

_MOST_EDGES = 6
_HIGHEST_TAIL = 0.6


class SlowerThanLimit:
    """Harm and safety of "at most the share `tail` is slower than `limit` seconds".

    Only bucket edges can be counted: harm is tested at the next edge at or above the limit, safety at
    the next one at or below; between the two the answer stays open.
    """

    cause = "above the limit"
    uncompared = False

    def __init__(self, limit: float, tail: float, frame: Frame, past: Past) -> None:
        self._limit, self._tail, self._frame = limit, tail, frame
        self._reading = slower_than(limit)
        self._burstiness = Burstiness.of(past, self._reading, frame.timing.interval)
        self._harm, self._safety = LimitHarm(tail, frame.horizon), LimitSafety(tail)
        self._incident = SharedIncident()
        self._last_edges: tuple[float, ...] = (inf,)
        self._looks = 0
        self._requests = self._not_fast = 0.0
        self.odds = self._burstiness.odds

    def step(self, evidence: Evidence, settling: bool, cap: float) -> None:
        """Take the evidence of one evaluation."""
        self.odds = self._burstiness.odds
        baseline = self._reading(evidence.baseline) if evidence.baseline else None
        self._incident.step(evidence, baseline)
        latency = evidence.candidate.latency if evidence.candidate else None
        if latency is not None and not settling:
            self._last_edges = latency.edges
            self._judge(latency, cap)
        candidate = None if latency is None else self._reading(evidence.candidate) if evidence.candidate else None
        self._burstiness.learn(candidate, baseline, evidence.seconds, settling=settling)

    def _judge(self, latency: Histogram, cap: float) -> None:
        low, high = self.around
        slow = 0.0 if isinf(high) else count_above(latency, high)
        not_fast = count_above(latency, low)
        self._harm.step(slow, latency.total, self.odds, 0.0 if self.is_excused else cap)
        self._safety.step(not_fast, latency.total, self.odds)
        self._looks += 1
        self._requests += latency.total
        self._not_fast += not_fast

    def looks_needed(self) -> float:
        """Return the number of intervals until safety is proven, if all go on like this."""
        if not self._looks:
            return inf
        requests, not_fast = self._requests / self._looks, self._not_fast / self._looks
        return self._safety.looks_needed(self._frame.safety_needed, not_fast, requests, self.odds)

    @property
    def around(self) -> tuple[float, float]:
        """The bucket edges next to the limit, in seconds: at or below it (0 if none), at or above it
        (inf if none).
        """
        edges = self._last_edges
        below = bisect_right(edges, self._limit) - 1
        return (edges[below] if below >= 0 else 0.0), edges[bisect_left(edges, self._limit)]

    @property
    def too_coarse(self) -> bool:
        """True if the limit lies inside a bucket."""
        return self._looks > 0 and self.around[0] != self.around[1]

    @property
    def is_excused(self) -> bool:
        """True if the baseline seems to be in trouble, be it by chance: then nothing speaks against the candidate."""
        return self._incident.above(self._tail / 2)

    @property
    def baseline_bad(self) -> bool:
        """True if the baseline itself is above half of what is allowed."""
        return self._incident.surely_above(self._tail / 2)

    @property
    def log_e_harm(self) -> float:
        """ln E of harm."""
        return self._harm.log_e

    @property
    def log_e_safe(self) -> float:
        """ln E of safety."""
        return self._safety.log_e


class SlowerThanBaseline:
    """Harm of "slower than `tolerated` times the baseline", safety from "`harmful` times", averaged
    over bucket edges.

    The edges are those whose tail in the baseline's past lies between a tenth of `tail` and 60 %;
    without a history they are chosen after the first interval of the baseline, and testing begins with
    the next one. What lies in a slow first bucket is not known to be faster than its end: no safety follows from it.
    """

    cause = "longer than the baseline allows"

    def __init__(self, comparison: Comparison, tail: float, frame: Frame, past: Past) -> None:
        self._comparison, self._tail, self._frame = comparison, tail, frame
        self._past = past
        self._edges: list[TailComparison] = []
        self._telling: list[TailComparison] = []
        self.unlike = self._has_chosen = False
        self._choose([counts for counts, _ in past.before])

    def step(self, evidence: Evidence, settling: bool, caps: Caps) -> None:
        """Take the evidence of one evaluation."""
        alike = self._alike(evidence)
        self.unlike = self.unlike or not alike
        for edge in self._edges:
            edge.step(evidence, settling, caps, alike=alike)
        if not self._edges and evidence.baseline is not None:
            self._choose([evidence.baseline])

    def _alike(self, evidence: Evidence) -> bool:
        """True if the candidate's buckets are those of the version that it is compared with."""
        candidate, baseline = evidence.candidate, evidence.baseline
        if self._comparison.against is Against.HISTORY:
            baseline = next((counts for counts, _ in reversed(self._past.before) if counts.latency), None)
        if candidate is None or candidate.latency is None or baseline is None or baseline.latency is None:
            return not self.unlike
        return candidate.latency.edges == baseline.latency.edges

    def _choose(self, past: Sequence[Counts]) -> None:
        histograms = [counts.latency for counts in past if counts.latency is not None]
        total = sum(histogram.total for histogram in histograms)
        if not total:
            return
        self._has_chosen = True
        suitable = [
            edge
            for edge in histograms[-1].edges[:-1]
            if self._tail / 10
            <= sum(count_above(histogram, edge / self._comparison.tolerated) for histogram in histograms) / total
            <= _HIGHEST_TAIL
        ]
        self._edges = [
            TailComparison(edge, self._comparison, self._frame, self._past) for edge in _spread(suitable, _MOST_EDGES)
        ]
        lowest = histograms[-1].edges[0]
        hides = [edge.compares_below(lowest) and lowest > 2 * FAST for edge in self._edges]
        self._telling = [edge for edge, hidden in zip(self._edges, hides, strict=True) if not hidden]

    @property
    def uncompared(self) -> bool:
        """True if there has been no data to compare with."""
        return not any(edge.compared for edge in self._telling)

    @property
    def is_too_coarse(self) -> bool:
        """True if no edge tells slower from faster, as where all lies in one bucket."""
        return self._has_chosen and not self._telling

    def looks_needed(self) -> float:
        """Return the number of intervals until safety is proven, if all go on like this."""
        if not self._telling:
            return inf
        # The edges mostly agree, so that the mean reaches its target when the typical edge does.
        looks = sorted(edge.looks_needed(self._frame.safety_needed) for edge in self._telling)
        return looks[len(looks) // 2]

    @property
    def odds(self) -> float:
        """The smallest odds of all edges, that is the strongest burstiness."""
        return min((edge.odds for edge in self._edges), default=inf)

    @property
    def log_e_harm(self) -> float:
        """ln E of harm, averaged over the edges."""
        return log_mean([edge.log_e_harm for edge in self._edges]) if self._edges else 0.0

    @property
    def log_e_safe(self) -> float:
        """ln E of safety, averaged over the edges."""
        return log_mean([edge.log_e_safe for edge in self._telling]) if self._telling else 0.0


def _spread(values: list[float], most: int) -> list[float]:
    """Return at most `most` of the values, evenly spread over them."""
    if len(values) <= most:
        return values
    return [values[round(place * (len(values) - 1) / (most - 1))] for place in range(most)]
