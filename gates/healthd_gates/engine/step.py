"""One step of a gate: its new state, and all that is stored in the same transaction. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from healthd.journal.journal import AuditEntry
from healthd_gates.domain.action_order import Occasion
from healthd_gates.domain.gate import EventKind, Gate, GateState, QuarantinedVersion

Event = tuple[EventKind, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a gate. `events` have no numbers yet. `weights` are those of the actions that set one. `gives_up`
    says why its due actions are not retried."""

    gate: Gate
    events: tuple[Event, ...] = ()
    orders: tuple[tuple[Occasion, str], ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    quarantine: QuarantinedVersion | None = None
    audit: AuditEntry | None = None
    gives_up: str | None = None

    def decides(self, before: Gate) -> bool:
        """Return whether it decides the gate, holds or ends it, or rolls back: nothing is looked at until it is
        stored."""
        decided = (self.gate.decision, self.gate.rollback) != (before.decision, before.rollback)
        return decided or self.gate.state is GateState.HELD or self.gate.state.is_over

    def passes(self, before: Gate) -> bool:
        """Return whether it lets the version stay: what it rests on must not be old by then."""
        return self.gate.decision is not None and before.decision is None and self.gate.may_stay

    def after(self, *events: Event) -> Step:
        """Return the same step with these events before its own."""
        return replace(self, events=(*events, *self.events))


def finish(gate: Gate, moment: datetime, why: str | None = None) -> Step:
    body = {"state": GateState.FINISHED.value, **({"why": why} if why else {})}
    return Step(replace(gate, state=GateState.FINISHED, finished_at=moment), ((EventKind.STATE, body),))
