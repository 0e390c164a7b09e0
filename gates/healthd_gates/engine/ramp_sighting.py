"""Findings of the evidence on a ramp: how wide it allows the release to be, and whether the traffic follows."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from healthd_gates.config.allowance import Allowance as Options
from healthd_gates.config.policy import Policy
from healthd_gates.domain.allowance import Allowance as Allowed
from healthd_gates.domain.evidence import Evidence
from healthd_gates.domain.ramp import Ramp
from healthd_gates.domain.standing import Standing
from healthd_gates.engine.allowing import allowance
from healthd_gates.engine.rollback_confirmation import bounds_of
from healthd_gates.judge.follow import Follow, Silence
from healthd_gates.judge.ramp import Allowance
from healthd_gates.judge.ramp import Ramp as Judged
from healthd_gates.judge.rules import Rules

_USUAL_ACTION = 10.0  # seconds that a change of weight takes, until one was measured
_USUALLY_LATE = 60.0  # seconds that numbers of most sources may be late, and that the reaction time covers
_REPORTS = 2  # the newest ones, which show a share that its caller has just changed
_EVER = datetime.min.replace(tzinfo=UTC)


class Widening:
    """The evidence of one ramp, as a fold beside the judge."""

    def __init__(self, policy: Policy, rules: Rules, history: Sequence[Evidence]) -> None:
        readings = tuple(dict.fromkeys(bound.reading for bound in bounds_of(policy)))
        self._judged = Judged(readings, rules.timing, rules.risk.false_pass, history)
        self._follow = Follow()
        self._late = max(0.0, rules.timing.lateness - _USUALLY_LATE)
        self._newest: Evidence | None = None
        self._reports: deque[tuple[float, float]] = deque(maxlen=_REPORTS)
        self._pending = (0.0, 0.0)

    def take(self, evidence: Evidence) -> None:
        """Take the evidence of the next look."""
        self._newest = evidence
        self._judged.take(evidence)
        self._follow.take(evidence)
        n, m = (arm.requests if arm else 0.0 for arm in (evidence.candidate, evidence.baseline))
        self._pending = (self._pending[0] + n, self._pending[1] + n + m)
        if evidence.baseline is not None:  # a look without numbers says nothing of the share
            self._reports.append(self._pending)
            self._pending = (0.0, 0.0)

    def allows(self, options: Options, standing: Standing) -> Allowed:
        """Return what a caller that sets the weight itself is told after a look."""
        requests, total = (sum(counts) for counts in zip(*self._reports, strict=True)) if self._reports else (0.0, 0.0)
        return allowance(options, self._judged.allowance(options.way_back), standing, requests, total)

    def look(self, ramp: Ramp) -> Sighting:
        """Return what the evidence says of a ramp now."""
        allowance = self._judged.allowance(_USUAL_ACTION if ramp.action_seconds is None else ramp.action_seconds)
        since = ramp.done_at if ramp.step else _EVER
        seen = self._follow.since(since, ramp.weight) if since is not None else (0.0, 0.0)
        silence = self._follow.silence(ramp.done_at, ramp.weight) if ramp.done_at is not None else Silence(0.0, 0.0)
        reported = self._newest is not None and self._newest.candidate is not None
        return Sighting(allowance, *seen, reported, silence, allowance.reaction + self._late)


@dataclass(frozen=True, slots=True)
class Sighting:
    """Allowance of the evidence, the candidate's and all requests since the last weight is done, and whether the
    candidate reported in the newest look. A candidate that is silent for longer than `patience` in seconds may be one
    that answers nobody."""

    allowance: Allowance
    requests: float
    total: float
    reported: bool
    silence: Silence
    patience: float
