"""The contract of every dialect, and the parts that all of them share: the run that a hook asks about, and a gate in
the few words that any deploy tool understands. The protocol of a tool is its dialect's; `runs` maps gates to runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict

from healthd_gates.config.hooks.contract import Deploys
from healthd_gates.domain import rollback_wording
from healthd_gates.domain.allowance import sentence as allowance_sentence
from healthd_gates.domain.errors import Quarantined
from healthd_gates.domain.gate import Gate, QuarantinedVersion

SCOPE = "gates:hooks"


@dataclass(frozen=True, slots=True)
class Run:
    """One rollout of a tool. `subject` is the thing that it deploys, `id` the deploy of it, `by` the owner of the
    token. `release` is what several runs of one deploy have in common, if a tool asks more than once about it. `kind`
    is that of this call, if the tool makes several at each interval; the `interval` is in seconds, if it is known."""

    hook: str
    subject: str
    id: str
    deploys: Deploys
    by: str
    release: str | None = None
    kind: str | None = None
    interval: float | None = None

    @property
    def caller(self) -> str:
        """The caller of its gates. No token has such a name, so that nobody else can start a gate that is taken for one
        of the tool's."""
        return f"hook:{self.hook}"

    @property
    def deployment(self) -> str:
        return f"{self.subject} {self.id}"


class Word(StrEnum):
    """State of a gate in one word. An inconclusive gate is already the pass or fail that its policy takes it for."""

    RUNNING = "running"
    PASS = "pass"
    FAIL = "fail"
    CANCELLED = "cancelled"

    @classmethod
    def on(cls, gate: Gate) -> Word:
        if gate.rollback is not None:
            return cls.FAIL
        if gate.decision is not None:
            return cls.PASS if gate.may_stay else cls.FAIL
        return cls.CANCELLED if gate.state.is_over else cls.RUNNING


class Told(BaseModel):
    """The description of a gate for a deploy tool, short enough for its events and logs. `allowed_weight` is the widest
    share of the traffic, 0 to 1, that the evidence allows: null where the policy has no allowance, before the first
    evaluation, and once there is a verdict."""

    model_config = ConfigDict(frozen=True)

    verdict: Word | None
    sentence: str
    gate: str | None
    allowed_weight: float | None = None

    @classmethod
    def of(cls, gate: Gate | None) -> Self:
        if gate is None:
            return cls(verdict=None, sentence="There is no gate for this rollout yet.", gate=None)
        allowed = gate.allowance.allowed_weight if gate.allowance is not None else None
        return cls(verdict=Word.on(gate), sentence=sentence_on(gate), gate=gate.id, allowed_weight=allowed)


def sentence_on(gate: Gate) -> str:
    """Return the state of a gate, in a sentence or two for people."""
    word = Word.on(gate)
    if gate.rollback is not None:
        return rollback_wording.sentence(gate.rollback)
    if gate.decision is not None:
        return gate.decision.sentence
    if word is Word.CANCELLED:
        return "The gate was cancelled before it had a verdict."
    if gate.standing is None:
        return "The gate has just begun."
    allowed = f" {allowance_sentence(gate.allowance)}" if gate.allowance is not None else ""
    return f"{gate.standing.sentence}{allowed}"


def quarantine_sentence(kept: QuarantinedVersion) -> str:
    """Return why a version is not judged at all."""
    return str(
        Quarantined(
            service=kept.service, version=kept.version, gate_id=kept.gate_id, since=kept.since, reason=kept.reason
        )
    )


def decided_for(gate: Gate, now: datetime) -> float:
    """Return how many seconds ago it got its verdict, or was cancelled; 0 before that."""
    since = gate.decision.at if gate.decision is not None else gate.finished_at
    return 0.0 if since is None else (now - since).total_seconds()
