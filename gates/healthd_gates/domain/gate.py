"""A gate and the events of its life, as frozen values. `store` stores them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from healthd_gates.domain.allowance import Allowance
from healthd_gates.domain.ramp import Ramp
from healthd_gates.domain.request import Deployment, Version
from healthd_gates.domain.standing import Standing, Verdict


class GateState(StrEnum):
    """State of a gate.

    `AWAITING`: the traffic is being switched, and nobody has said that it is: nothing passes. `SETTLING`: only a
    catastrophe decides. `RAMPING`: the candidate's share of the traffic grows with the evidence. `OBSERVING`: evidence
    is collected. `HELD`: inconclusive, and a person decides. `ACTING`: decided, and its actions are being carried out.
    `WATCHING`: passed, and a late regression still causes a rollback. `FINISHED` and `CANCELLED` are final.
    """

    AWAITING = "awaiting"
    SETTLING = "settling"
    RAMPING = "ramping"
    OBSERVING = "observing"
    HELD = "held"
    ACTING = "acting"
    WATCHING = "watching"
    FINISHED = "finished"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        return self in (GateState.FINISHED, GateState.CANCELLED)

    @property
    def holds_service(self) -> bool:
        """True if no other gate may start for the service."""
        return not self.is_over and self is not GateState.WATCHING


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict of a gate, final once stored.

    `counts_as` is `pass` or `fail` also if the verdict is inconclusive: the policy decides which. `reason` is a
    `domain.evidence.Reason`, `person` if one decided, or `configuration` if the service or policy is gone. `by` is the
    person's or caller's name. An `observed` one is what the judge found under a policy that only observes: it counts as
    a pass whatever it is.
    """

    verdict: Verdict
    counts_as: Literal[Verdict.PASS, Verdict.FAIL]
    reason: str
    sentence: str
    at: datetime
    by: str | None = None
    observed: bool = False


class RollbackState(StrEnum):
    """State of a rollback.

    `DUE`: its actions are being carried out. `CONFIRMING`: they are done, and the gate watches the numbers recover.
    `ROLLED_BACK`: the baseline has the traffic, and its numbers are fine. `UNSEEN`: the actions are done and the
    baseline is fine, but the service's source cannot see which version has the traffic. `UNCONFIRMED`: that was not
    seen in time. `FAILED`: an action was given up. `IMPOSSIBLE`: there is no baseline to roll back to. These three need
    a person. `LEFT`: the version got worse after its pass, and the request asks for no rollback, or none is configured.
    """

    DUE = "due"
    CONFIRMING = "confirming"
    ROLLED_BACK = "rolled_back"
    UNSEEN = "rolled_back_unseen"
    UNCONFIRMED = "rollback_unconfirmed"
    FAILED = "rollback_failed"
    IMPOSSIBLE = "rollback_impossible"
    LEFT = "left_to_the_caller"

    @property
    def is_under_way(self) -> bool:
        return self in (RollbackState.DUE, RollbackState.CONFIRMING)

    @property
    def wants_a_person(self) -> bool:
        return self in (RollbackState.UNCONFIRMED, RollbackState.FAILED, RollbackState.IMPOSSIBLE)

    @property
    def is_open(self) -> bool:
        """True while nobody has put the traffic back, as far as is known."""
        return self.wants_a_person or self in (RollbackState.DUE, RollbackState.LEFT)

    @property
    def may_be_called_for(self) -> bool:
        """True if a person may call for a rollback, or call for it again."""
        return self.wants_a_person or self in (RollbackState.LEFT, RollbackState.UNSEEN)


def purpose_of(rounds: int) -> str:
    """Return the purpose of the actions of one round of a rollback, as it is in their keys."""
    return "rollback" if rounds == 1 else f"rollback-{rounds}"


@dataclass(frozen=True, slots=True)
class Rollback:
    """A rollback that was called for: by the decision, by the watch after a pass, or by a person (`by`).

    `reason` is why it was called for, `detail` its progress, or why it ended as it did. `confirm_until` is when the
    gate stops watching for recovery. `round` counts how often it was called for: a person may call again when it
    failed. `key` makes that person's call idempotent. `seen_by` is an action that has verified that the baseline has
    the traffic.
    """

    state: RollbackState
    trigger: Literal["decision", "watch", "person"]
    reason: str
    at: datetime
    by: str | None = None
    detail: str | None = None
    confirm_until: datetime | None = None
    round: int = 1
    key: str | None = None
    seen_by: str | None = None

    @property
    def purpose(self) -> str:
        """Purpose of its actions: part of their keys, so that a new round is no repetition to a receiver."""
        return purpose_of(self.round)


@dataclass(frozen=True, slots=True)
class Gate:
    """One run of a policy for one candidate, as last stored.

    `decides_by` is the latest time of a decision, except for a held gate; `watch_until` the end of the watch, known
    after a pass. `rollback_window` is the number of seconds after the verdict for which the request says that there is
    a baseline to roll back to. `standing` is the judge's latest result, in a watch that of the watch. `notes` are plain
    sentences about the latest evaluation, such as why an arm is silent. `sequence` is that of its last event. `holder`
    is the replica that runs it.
    """

    id: str
    service: str
    policy: str
    candidate: Version
    baseline: Version | None
    deployment: Deployment
    rollback_mode: Literal["auto", "off"]
    caller: str
    state: GateState
    created_at: datetime
    decides_by: datetime
    rollback_window: float | None = None
    standing: Standing | None = None
    decision: Decision | None = None
    rollback: Rollback | None = None
    awaits_switch: bool = False
    ramp: Ramp | None = None
    watch_until: datetime | None = None
    finished_at: datetime | None = None
    notes: tuple[str, ...] = ()
    sequence: int = 0
    holder: str | None = None

    @property
    def allowance(self) -> Allowance | None:
        """Weight that its caller may set, None once there is a verdict, and under a policy without an allowance."""
        return None if self.is_answered or self.standing is None else self.standing.allowance

    @property
    def next_round(self) -> int:
        """Number of the round if a rollback is called for now."""
        return self.rollback.round + 1 if self.rollback else 1

    @property
    def is_answered(self) -> bool:
        """True if nobody who waits for the verdict needs to wait longer."""
        return self.decision is not None or self.state.is_over

    @property
    def may_stay(self) -> bool:
        """True if the deploy passed, even if only because the policy is lenient, and nothing has rolled it back
        since."""
        return self.decision is not None and self.decision.counts_as is Verdict.PASS and self.rollback is None

    @property
    def was_refused(self) -> bool:
        """True if its version failed, or was rolled back, so that it may be in quarantine; not if that was only
        observed."""
        failed = self.decision is not None and self.decision.verdict is Verdict.FAIL and not self.decision.observed
        return failed or self.rollback is not None

    @property
    def was_harmed_unheeded(self) -> bool:
        """True if the watch after its pass found harm, and its policy only observes."""
        observed = self.decision is not None and self.decision.observed and self.decision.verdict is Verdict.PASS
        return observed and self.rollback is None and self.standing is not None and self.standing.reason.is_harm

    @property
    def measured_traffic(self) -> bool:
        """True if a criterion judged requests of its candidate: a preflight is about what runs already."""
        criteria = self.standing.criteria if self.standing is not None else ()
        return any(criterion.log_e_harm is not None for criterion in criteria)

    @property
    def is_watch_cut_short(self) -> bool:
        """True if the watch after its pass was ended before its time, so that the pass says nothing of the present."""
        ends = (self.finished_at, self.watch_until)
        return self.may_stay and ends[0] is not None and ends[1] is not None and ends[0] < ends[1]


class EventKind(StrEnum):
    """Kinds of events in a gate's log."""

    STARTED = "started"
    STATE = "state"
    LOOK = "look"
    DECISION = "decision"
    ROLLBACK = "rollback"
    RAMP = "ramp"
    ACTION = "action"


@dataclass(frozen=True, slots=True)
class GateEvent:
    """One line of a gate's log. `sequence` counts from 1 without holes; `body` is JSON."""

    gate_id: str
    sequence: int
    at: datetime
    kind: EventKind
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """Gates, newest first; `next` is the value of `before` for the next page, None at the end. `unreadable` are the ids
    of those among them that this release cannot read."""

    gates: tuple[Gate, ...]
    next: str | None
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeployLock:
    """A deploy lock: only `holder` may start a gate for the service until it ends."""

    service: str
    holder: str
    until: datetime
    reason: str
    caller: str


@dataclass(frozen=True, slots=True)
class QuarantinedVersion:
    """A version that failed a gate and may not be tried again until someone releases it."""

    service: str
    version: str
    gate_id: str
    since: datetime
    reason: str
