"""Confirms a rollback by the numbers after its actions: the baseline has the traffic, and its numbers are fine. Pure;
the gate's runner decides who reads, and for how long.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from healthd_gates.config.policy import Policy
from healthd_gates.criteria.contract import Bound
from healthd_gates.domain.evidence import Counts, Evidence
from healthd_gates.domain.gate import RollbackState
from healthd_gates.domain.standing import Standing
from healthd_gates.judge.arms import errors
from healthd_gates.judge.explain import counted

_LEFT_OVER = 0.02  # of all requests: those that health checks and keep-alive connections still bring to a candidate
_AS_MUCH = 0.5  # of the traffic from before: what a baseline must take if the candidate has fallen silent
_LOOKS = 3
_FEWEST_LOOKS = 2
_FEWEST_REQUESTS = 20.0
_LOST = 0.1  # of the traffic from before: a baseline that is counted, and gets less in all the time, has lost it
_USUAL_LIMIT = 0.05  # of requests that may fail, if the policy has no limit of its own


def bounds_of(policy: Policy) -> list[Bound]:
    """Return the bounds that a baseline's numbers must keep to count as recovered. Errors are bounded in any case."""
    critical = [criterion for criterion in policy.criteria if criterion.critical and criterion.stream is None]
    found = [bound for criterion in critical for bound in criterion.bounds]
    if not any(bound.reading is errors for bound in found):
        found.append(Bound("failed", errors, _USUAL_LIMIT))
    return sorted(found, key=lambda bound: (bound.reading is not errors, bound.highest))


def rate_of(standing: Standing | None, policy: Policy) -> float | None:
    """Return the candidate's requests a second while it was judged, None if they were not counted."""
    if standing is None or standing.elapsed_seconds <= 0:
        return None
    others = {criterion.name for criterion in policy.criteria if criterion.stream is not None}
    counted = max((each.requests for each in standing.criteria if each.name not in others), default=0.0)
    return counted / standing.elapsed_seconds if counted else None


class Recovery:
    """Takes one evaluation after the other. `rate_before` is the candidate's traffic before the rollback, in requests a
    second: a candidate that was stopped sends no numbers, and then the baseline must have taken over that much.
    """

    def __init__(self, bounds: Sequence[Bound], rate_before: float | None, *, sees_traffic: bool = True) -> None:
        """Set up the confirmation. A source that does not `see_traffic`, such as one that sends requests of its own,
        shows only the baseline's health."""
        self._bounds, self._rate_before, self._sees_traffic = bounds, rate_before, sees_traffic
        self._moved: deque[Counts] = deque(maxlen=_LOOKS)
        self._problem = "nobody has looked yet"
        self._candidate_has_traffic = False
        self._served = self._expected = 0.0  # requests at the baseline, while it was counted

    def take(self, evidence: Evidence | None, notes: Sequence[str]) -> None:
        """Take one evaluation, with the reasons for missing numbers."""
        if evidence is None or (evidence.candidate is None and evidence.baseline is None and not notes):
            self._problem = "; ".join(notes) or self._problem  # no new numbers prove nothing: a push may come later
            return
        if evidence.baseline is not None:
            self._served += evidence.baseline.requests
            self._expected += evidence.seconds * (self._rate_before or 0.0)
        problem = self._still_here(evidence)
        if problem is None and evidence.baseline is not None:
            self._moved.append(evidence.baseline)
            self._problem = ""
            return
        self._moved.clear()
        self._problem = "; ".join((problem or "the baseline sends no numbers", *notes))

    @property
    def is_confirmed(self) -> bool:
        """True if no further evaluation is needed."""
        enough = len(self._moved) >= _FEWEST_LOOKS and self._requests >= _FEWEST_REQUESTS
        return enough and self.is_likely

    @property
    def is_likely(self) -> bool:
        """True if nothing speaks against it, even on few requests: for when the time is over."""
        return not self._problem and self._requests > 0 and not self._excess

    @property
    def contradicts(self) -> bool:
        """True if the numbers speak against it, rather than say nothing."""
        return self._candidate_has_traffic or self._excess is not None or self._is_lost

    @property
    def _is_lost(self) -> bool:
        """True if the baseline was counted, and hardly anything of the traffic came to it."""
        counted = self._sees_traffic and self._expected >= _FEWEST_REQUESTS
        return counted and self._served < _LOST * self._expected

    def ends(self, seen_by: str | None) -> tuple[RollbackState, str]:
        """Return the final state of the rollback once the time is over. `seen_by` is an action that has verified where
        the traffic goes: it counts if the numbers say nothing against it."""
        if not self._sees_traffic and not seen_by:
            state = RollbackState.UNSEEN if self.is_likely else RollbackState.UNCONFIRMED
            return state, f"{self.sentence} Who has the traffic is not visible to this source."
        if seen_by and not self.contradicts and not (self.is_likely and self._sees_traffic):
            return RollbackState.ROLLED_BACK, f"{seen_by} has seen the traffic at the baseline. {self.sentence}"
        return RollbackState.ROLLED_BACK if self.is_likely else RollbackState.UNCONFIRMED, self.sentence

    @property
    def sentence(self) -> str:
        """Progress of the confirmation, for people."""
        if self._problem:
            return f"Not confirmed: {self._problem}."
        has = "has the traffic" if self._sees_traffic else "answers"
        if self._excess:
            return f"The baseline {has}, but {self._excess}."
        failed = sum(counts.errors for counts in self._moved)
        return f"The baseline {has}: {counted(self._requests)} requests, {counted(failed)} of them failed."

    def _still_here(self, evidence: Evidence) -> str | None:
        """Return why the traffic has not moved, as far as this evaluation shows."""
        candidate, baseline = evidence.candidate, evidence.baseline
        self._candidate_has_traffic = False
        if baseline is None or not self._sees_traffic:
            return None
        if candidate is None:
            if self._rate_before and baseline.requests / evidence.seconds >= _AS_MUCH * self._rate_before:
                return None
            return "the candidate sends no numbers, and the baseline has not taken as much traffic as it had"
        total = candidate.requests + baseline.requests
        if total <= 0:
            return "there is no traffic"
        share = candidate.requests / total
        self._candidate_has_traffic = share > _LEFT_OVER
        return f"the candidate still has {share:.0%} of the requests" if share > _LEFT_OVER else None

    @property
    def _requests(self) -> float:
        return sum(counts.requests for counts in self._moved)

    @property
    def _excess(self) -> str | None:
        """The bound that the baseline's numbers break, or None."""
        for bound in self._bounds:
            read = [reading for counts in self._moved if (reading := bound.reading(counts)) is not None]
            requests, bad = sum(r for r, _ in read), sum(b for _, b in read)
            if requests > 0 and bad / requests > bound.highest:
                return f"{bad / requests:.1%} of its requests {bound.says}, which is more than {bound.highest:.1%}"
        return None
