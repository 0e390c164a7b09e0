"""The API's documents about gates. The client reads the same models. No decisions are made here."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self

from healthd_gates.domain import ramp_wording, rollback_wording
from healthd_gates.domain.gate import EventKind, Gate, GateEvent, GateState, Page, RollbackState
from healthd_gates.domain.journal_wording import waits_for_journal
from healthd_gates.domain.standing import Verdict
from healthd_gates.schema.document import Moment, Shown, plain
from healthd_gates.schema.ramp import AllowanceDocument, RampDocument
from healthd_gates.schema.standing import StandingDocument

Outcome = Literal["running", "pass", "fail", "inconclusive", "cancelled"]


class VersionDocument(Shown):
    version: str
    target: str | None
    labels: dict[str, str]


class DeploymentDocument(Shown):
    id: str | None
    url: str | None
    actor: str | None
    committed_at: Moment | None = None
    traceparent: str | None = None


class DecisionDocument(Shown):
    """The stored verdict; `counts_as` is what the policy decides for an inconclusive one. One that is only `observed`
    counts as a pass, whatever it is."""

    verdict: Verdict
    counts_as: Literal[Verdict.PASS, Verdict.FAIL]
    reason: str
    sentence: str
    at: Moment
    by: str | None
    observed: bool = False

    @property
    def told(self) -> str:
        """Its sentence, and who said it, if a person did."""
        return self.sentence if self.by is None else f"{self.by}: {self.sentence}"


class RollbackDocument(Shown):
    """A rollback that was called for. `detail` is its progress, or why it ended as it did; `confirm_until` is when the
    gate stops watching for the baseline's recovery."""

    state: RollbackState
    trigger: Literal["decision", "watch", "person"]
    reason: str
    at: Moment
    by: str | None
    detail: str | None
    confirm_until: Moment | None
    round: int

    @property
    def is_carried_out(self) -> bool:
        """True if the traffic is back, as far as its actions and the numbers tell."""
        return self.state in (RollbackState.CONFIRMING, RollbackState.ROLLED_BACK, RollbackState.UNSEEN)

    @property
    def told(self) -> str:
        """Its state, and why it was called for, for people."""
        return rollback_wording.sentence(self)


class GateDocument(Shown):
    """One gate. `verdict` is `running` until there is one, and `may_stay` is true only of a deploy that passed. `notes`
    are sentences about the latest evaluation, such as why an arm is silent, `page` is the address of its page for
    people. `journal_away_since` is there while the journal cannot be used: the gate is as it was stored last."""

    id: str
    service: str
    policy: str
    state: GateState
    verdict: Outcome
    may_stay: bool
    candidate: VersionDocument
    baseline: VersionDocument | None
    deployment: DeploymentDocument
    rollback_mode: Literal["auto", "off"]
    caller: str
    created_at: Moment
    decides_by: Moment
    watch_until: Moment | None
    finished_at: Moment | None
    decision: DecisionDocument | None
    standing: StandingDocument | None
    rollback: RollbackDocument | None
    ramp: RampDocument | None = None
    allowance: AllowanceDocument | None = None
    notes: tuple[str, ...]
    page: str | None = None
    journal_away_since: Moment | None = None

    @property
    def waits_for(self) -> str | None:
        """Obstacle that keeps the gate from going on, for people; None where nothing does."""
        return None if self.journal_away_since is None else waits_for_journal(self.journal_away_since)

    @property
    def told(self) -> str | None:
        """The verdict with its reason, who ended it and why, or how it stands; None before any evidence."""
        if self.decision is not None:
            by, rollback = self.decision.by, self.rollback
            if by is not None and self.decision.verdict is Verdict.FAIL and rollback is not None and rollback.by == by:
                return f"{by} called for a rollback: {self.decision.sentence}"
            return self.decision.told
        if self.verdict == "cancelled" and self.notes:
            return self.notes[-1]
        if self.state is GateState.AWAITING:
            return "It judges once the traffic is told to be switched."
        return self.standing.sentence if self.standing is not None else None

    @property
    def rollback_told(self) -> str | None:
        """The state of its rollback for people who know what is `told`, None without one."""
        return None if self.rollback is None else rollback_wording.sentence(self.rollback, self.told or "")

    @property
    def is_answered(self) -> bool:
        return self.verdict != "running"

    @classmethod
    def of(cls, gate: Gate, base: str | None = None, *, journal_away_since: datetime | None = None) -> Self:
        """Build the document of a gate; `base` is the prefix of a path for the caller."""
        return cls(
            id=gate.id,
            page=None if base is None else f"{base}/gates/{gate.id}/page",
            service=gate.service,
            policy=gate.policy,
            state=gate.state,
            verdict=_outcome(gate),
            may_stay=gate.may_stay,
            candidate=VersionDocument.model_validate(gate.candidate.model_dump()),
            baseline=VersionDocument.model_validate(gate.baseline.model_dump()) if gate.baseline else None,
            deployment=DeploymentDocument.model_validate(gate.deployment.model_dump()),
            rollback_mode=gate.rollback_mode,
            caller=gate.caller,
            created_at=gate.created_at,
            decides_by=gate.decides_by,
            watch_until=gate.watch_until,
            finished_at=gate.finished_at,
            decision=plain(DecisionDocument, gate.decision),
            standing=StandingDocument.of(gate.standing) if gate.standing else None,
            rollback=plain(RollbackDocument, gate.rollback),
            ramp=RampDocument.of(gate.ramp) if gate.ramp else None,
            allowance=plain(AllowanceDocument, gate.allowance),
            notes=gate.notes,
            journal_away_since=None if gate.state.is_over else journal_away_since,
        )


class DryRunDocument(Shown):
    """A gate that could start now; `notes` say what is doubtful about it, and `ramps` whether it would move the traffic
    itself. `decides_within` is the longest that its verdict can take, `full_within` that its ramp takes to all of the
    traffic, in seconds; `page` is the address of the page that would show it. Those notes that say that the caller's
    targets may be other ones than the service's are `elsewhere` too."""

    service: str
    policy: str
    notes: list[str]
    ramps: bool = False
    decides_within: float | None = None
    full_within: float | None = None
    page: str | None = None
    elsewhere: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """Say how long it can take, and where it would be shown; empty where an older daemon tells neither."""
        takes = ramp_wording.longest(self.decides_within, self.full_within) if self.decides_within is not None else ""
        return ", ".join(filter(None, (takes, f"shown on {self.page}" if self.page else "")))

    @classmethod
    def of(cls, gate: Gate, base: str, *, elsewhere: tuple[str, ...] = ()) -> Self:
        """Build the document of a gate that could start; `base` is the prefix of a path for the caller."""
        return cls(
            service=gate.service,
            policy=gate.policy,
            notes=list(gate.notes),
            ramps=gate.ramp is not None,
            decides_within=(gate.decides_by - gate.created_at).total_seconds(),
            full_within=None if gate.ramp is None else (gate.ramp.until - gate.created_at).total_seconds(),
            page=f"{base}/",
            elsewhere=elsewhere,
        )


class GatesDocument(Shown):
    """Gates, newest first. `next` is the value of `before` for the next page; null at the end. `unreadable` has the ids
    of those among them that another release of healthd wrote, and this one cannot show."""

    gates: list[GateDocument]
    next: str | None
    unreadable: tuple[str, ...] = ()

    @classmethod
    def of(cls, page: Page, *, journal_away_since: datetime | None = None) -> Self:
        gates = [GateDocument.of(gate, journal_away_since=journal_away_since) for gate in page.gates]
        return cls(gates=gates, next=page.next, unreadable=page.unreadable)


class EventDocument(Shown):
    """One line of a gate's log, as the `data` of a server-sent event; `sequence` is its id."""

    gate: str
    sequence: int
    at: Moment
    kind: EventKind
    body: dict[str, Any]

    @classmethod
    def of(cls, event: GateEvent) -> Self:
        return cls(gate=event.gate_id, sequence=event.sequence, at=event.at, kind=event.kind, body=dict(event.body))


def _outcome(gate: Gate) -> Outcome:
    if gate.decision is not None:
        return gate.decision.verdict.value
    return "cancelled" if gate.state.is_over else "running"
