"""Writes an owner's changes of its gate: one transaction, committed only while the gate is still its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import sqlalchemy as sa

from healthd.journal.async_engine import AsyncConnection
from healthd.journal.journal import AuditEntry, write_audit
from healthd_gates.domain.action_order import Occasion
from healthd_gates.domain.evidence import Evidence
from healthd_gates.domain.gate import EventKind, Gate, GateEvent, GateState, QuarantinedVersion
from healthd_gates.sources.contract import Cursor
from healthd_gates.store import tables
from healthd_gates.store.serialization import changing_columns, event_columns, write_evidence

_FORWARD = [occasion.value for occasion in Occasion if not occasion.is_rollback]


class LeaseLost(Exception):  # noqa: N818 - what has happened, not an error of ours
    """Another replica owns the gate now; nothing was written."""


@dataclass(frozen=True, slots=True)
class SeenEvidence:
    """The evidence of one evaluation; `stage` is the judge that took it: `gate`, `watch`; or what tells
    of the time before them: `history`, or `earlier` gates."""

    stage: str
    evidence: Sequence[Evidence]


@dataclass(frozen=True, slots=True)
class Change:
    """A gate's new state, and all that is stored with it. `gate.sequence` is that of the last of `events`.

    `quarantine` and `orders` are stored with the decision that calls for them, or not at all. `weights` has the share
    of the traffic that an action is to give to the candidate, for actions that set one. `gives_up` says why the due
    orders of the gate are not retried.
    """

    gate: Gate
    token: int
    events: tuple[GateEvent, ...] = ()
    cursor: Cursor | None = None
    seen: SeenEvidence | None = None
    orders: tuple[tuple[Occasion, str], ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    quarantine: QuarantinedVersion | None = None
    audit: AuditEntry | None = None
    gives_up: str | None = None


async def write_changes(
    connection: AsyncConnection, changes: Sequence[Change], moment: datetime
) -> list[LeaseLost | int]:
    """Write each change whose gate is still the writer's own; the others are returned as LeaseLost.

    For written changes the number of the gate's last event is returned: it is higher than in the change if others wrote
    to the log meanwhile. A change that is stored already, by a transaction with an unknown result, counts as written.
    `moment` is now by the clock of leases and orders.
    """
    standing = await _lock_rows(connection, [change.gate.id for change in changes])
    outcomes: list[LeaseLost | int] = []
    fresh = []
    for change in changes:
        token, sequence = standing.get(change.gate.id, (None, 0))
        if token != change.token:
            outcomes.append(LeaseLost())
            continue
        begun = change.gate.sequence - len(change.events)
        if sequence > begun and change.events and await _owner_wrote(connection, change.gate.id, begun):
            outcomes.append(sequence)
            continue
        fresh.append(_moved(change, max(0, sequence - begun)))
        outcomes.append(fresh[-1].gate.sequence)
    if fresh:
        await _write(connection, fresh, moment)
    return outcomes


async def _owner_wrote(connection: AsyncConnection, gate_id: str, after: int) -> bool:
    """True if there are events beyond `after` other than those of actions, which others than the owner write."""
    table = tables.gate_events
    own = sa.and_(table.c.gate_id == gate_id, table.c.sequence > after, table.c.kind != EventKind.ACTION.value)
    return (await connection.execute(sa.select(table.c.sequence).where(own).limit(1))).first() is not None


def _moved(change: Change, by: int) -> Change:
    """Return the change with its events renumbered by that many."""
    if by == 0:
        return change
    events = tuple(replace(event, sequence=event.sequence + by) for event in change.events)
    return replace(change, gate=replace(change.gate, sequence=change.gate.sequence + by), events=events)


async def _lock_rows(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, tuple[int, int]]:
    table = tables.gates
    query = sa.select(table.c.id, table.c.token, table.c.sequence).where(table.c.id.in_(ids)).order_by(table.c.id)
    rows = await connection.execute(query.with_for_update())
    return {row.id: (row.token, row.sequence) for row in rows}


async def _write(connection: AsyncConnection, changes: Sequence[Change], moment: datetime) -> None:
    table = tables.gates
    values = [
        {
            "b_id": change.gate.id,
            "cursor": json.dumps(change.cursor) if change.cursor is not None else None,
            **changing_columns(change.gate),
            "holds": await _hold(connection, change.gate),
        }
        for change in changes
    ]
    await connection.execute(
        sa.update(table)
        .where(table.c.id == sa.bindparam("b_id"))
        .values({name: sa.bindparam(name) for name in values[0] if name != "b_id"}),
        values,
    )
    if events := [event_columns(event) for change in changes for event in change.events]:
        await connection.execute(sa.insert(tables.gate_events), events)
    if seen := [row for change in changes for row in _evidence_rows(change)]:
        await connection.execute(sa.insert(tables.gate_evidence), seen)
    for change in changes:
        await _write_consequences(connection, change, moment)


async def _hold(connection: AsyncConnection, gate: Gate) -> str | None:
    """Return the service that a gate holds. A rollback by a watch does not wait for the preflight of the next
    deploy."""
    if not gate.state.holds_service:
        return None
    if gate.state is GateState.ACTING and gate.rollback is not None and gate.rollback.trigger == "watch":
        table = tables.gates
        other = sa.select(table.c.id).where(table.c.holds == gate.service, table.c.id != gate.id)
        if (await connection.execute(other)).first() is not None:
            return None
    return gate.service


async def _write_consequences(connection: AsyncConnection, change: Change, moment: datetime) -> None:
    gate = change.gate
    if any(occasion.is_rollback for occasion, _ in change.orders):
        await _overtake(connection, gate.id, moment)
    if change.gives_up is not None:
        await _give_up(connection, gate.id, change.gives_up, moment)
    if change.orders:
        await connection.execute(sa.insert(tables.orders), order_rows(change, moment))
    if change.quarantine is not None:
        await _quarantine(connection, change.quarantine)
    if change.audit is not None:
        await write_audit(connection, change.events[-1].at, change.audit)


async def _quarantine(connection: AsyncConnection, version: QuarantinedVersion) -> None:
    """Put a version into quarantine. What the same gate has found before is kept: a person who rolls back after it says
    why they do, not why the version failed."""
    table = tables.quarantine
    same = sa.and_(table.c.service == version.service, table.c.version == version.version)
    by_this_gate = sa.select(table.c.gate_id).where(same, table.c.gate_id == version.gate_id)
    if (await connection.execute(by_this_gate)).first() is not None:
        return
    await connection.execute(sa.delete(table).where(same))
    await connection.execute(
        sa.insert(table).values(
            service=version.service,
            version=version.version,
            gate_id=version.gate_id,
            since=version.since,
            reason=version.reason,
        )
    )


async def _overtake(connection: AsyncConnection, gate_id: str, moment: datetime) -> None:
    """End the actions of a pass or of a ramp, which must not run after its rollback. An attempt in progress keeps its
    lease: it is waited for."""
    table = tables.orders
    due = sa.and_(table.c.gate_id == gate_id, table.c.state == "due", table.c.occasion.in_(_FORWARD))
    ended = sa.update(table).where(due)
    await connection.execute(ended.values(state="given_up", detail="overtaken by the rollback", finished_at=moment))


async def _give_up(connection: AsyncConnection, gate_id: str, why: str, moment: datetime) -> None:
    """Give up orders. Their new token ends an attempt in progress: its worker finds that it lost the claim."""
    table = tables.orders
    due = sa.and_(table.c.gate_id == gate_id, table.c.state == "due")
    ended = {"state": "given_up", "detail": why, "finished_at": moment, "token": table.c.token + 1}
    await connection.execute(sa.update(table).where(due).values(**ended, owner=None, leased_until=None))


def order_rows(change: Change, moment: datetime) -> list[dict[str, object]]:
    """Return the outbox rows of a change, due from `moment` on. By its key nothing is ordered twice, except when a
    person calls again."""
    gate = change.gate
    back = gate.rollback.purpose if gate.rollback else "rollback"
    purposes = {Occasion.RAMP: gate.ramp.purpose} if gate.ramp else {}
    return [
        {
            "key": f"{gate.id}:{back if occasion.is_rollback else purposes.get(occasion, occasion.value)}:{action}",
            "gate_id": gate.id,
            "position": position,
            "action": action,
            "occasion": occasion.value,
            "weight": change.weights.get(action),
            "state": "due",
            "created_at": moment,
            "next_try_at": moment,
            "tries": 0,
            "detail": "",
            "token": 0,
        }
        for position, (occasion, action) in enumerate(change.orders)
    ]


def _evidence_rows(change: Change) -> list[dict[str, object]]:
    if change.seen is None:
        return []
    body = write_evidence(change.seen.evidence)
    return [
        {"gate_id": change.gate.id, "sequence": change.gate.sequence, "stage": change.seen.stage, "body": body},
    ]
