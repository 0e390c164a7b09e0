"""Decides whether a gate may start: idempotency, deploy lock, quarantine, one gate for each service. Decided and stored
in one transaction, so that an acknowledged gate is kept and a refused one leaves nothing behind.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from healthd.journal.async_engine import AsyncConnection
from healthd.journal.journal import AuditEntry, write_audit
from healthd_gates.domain.errors import IdempotencyMismatch, Locked, Quarantined, ServiceBusy, StaleVerdict
from healthd_gates.domain.gate import EventKind, Gate, GateEvent, GateState
from healthd_gates.domain.request import VerifyRequest
from healthd_gates.store import tables
from healthd_gates.store.serialization import changing_columns, event_columns, read_gate

_MOMENT = 12  # hexadecimal digits of the milliseconds with which an id begins
_COMPARED = {"addresses"}  # once, at the start: an earlier release would refuse to run a gate that has them
_PREFLIGHT_STANDS = 30.0  # seconds for which its verdict answers the same request again, such as after a lost answer


@dataclass(frozen=True, slots=True)
class Admission:
    """A gate that is to start.

    `follows_switch` is True if its version has been given traffic. For `joins_for` seconds after its verdict the gate
    of the same idempotency key is joined; None: without a limit.
    """

    gate: Gate
    request: VerifyRequest
    policy_body: str
    idempotency_key: str | None
    follows_switch: bool = True
    joins_for: float | None = None
    asked: VerifyRequest | None = None
    """The request as it came, where the gate is another one than was asked for."""

    def only_judging(self, why: str) -> Admission:
        """Return the admission of a gate that rolls nothing back; `why` is its note."""
        gate = replace(self.gate, rollback_mode="off", notes=(*self.gate.notes, why))
        return replace(self, gate=gate, request=self.request.model_copy(update={"rollback": "off"}), asked=self.request)

    @property
    def request_hash(self) -> str:
        """Hash of the request's content. The caller and its run are shown to people and change no verdict."""
        return _hash(self.asked or self.request, {"deployment", *_COMPARED})

    def is_of(self, request_hash: str) -> bool:
        """True if that is the hash of this request; also as earlier versions of healthd have stored it."""
        return request_hash in (self.request_hash, _hash(self.asked or self.request, _COMPARED))

    @property
    def idempotency(self) -> str | None:
        """The idempotency key, distinguished from the same key of another caller or for another service."""
        return f"{self.gate.caller} {self.gate.service} {self.idempotency_key}" if self.idempotency_key else None

    @property
    def keys(self) -> Sequence[str]:
        """The idempotency key, and the forms that earlier versions of healthd have stored."""
        return [f"{self.gate.caller} {self.idempotency_key}", self.idempotency or ""]

    def overrides(self, what: str) -> bool:
        return self.request.override is not None and what in self.request.override.of


async def known(connection: AsyncConnection, admission: Admission, moment: datetime) -> Gate | None:
    """Return the gate that this very request started before, unless its verdict is too old for that.

    Raises IdempotencyMismatch, and StaleVerdict for a deploy that was judged before. A preflight is judged again.
    """
    if admission.idempotency is None:
        return None
    table = tables.gates
    query = sa.select(table).where(table.c.idempotency.in_(admission.keys), table.c.service == admission.gate.service)
    row = (await connection.execute(query.order_by(table.c.id.desc()).limit(1))).mappings().one_or_none()
    if row is None or await _is_released(connection, row):
        return None
    if not admission.is_of(row["request_hash"]):
        raise IdempotencyMismatch(key=admission.idempotency_key, gate_id=row["id"])
    gate = read_gate(row)
    ended = gate.decision.at if gate.decision else gate.finished_at
    if ended is None or admission.joins_for is None:
        return gate
    age = (moment - ended).total_seconds()
    if not admission.follows_switch:
        return gate if age <= _PREFLIGHT_STANDS else None
    after = sa.select(table.c.id).where(table.c.service == gate.service, table.c.policy == gate.policy)
    follower = (await connection.execute(after.where(table.c.id > gate.id).limit(1))).scalar_one_or_none()
    if age > admission.joins_for or follower is not None:
        verdict = gate.decision.verdict.value if gate.decision else gate.state.value
        fields = {"key": admission.idempotency_key, "gate_id": gate.id, "verdict": verdict, "since": ended}
        raise StaleVerdict(**fields, followed_by=follower)
    return gate


async def in_order(connection: AsyncConnection, admission: Admission) -> Admission:
    """Return the admission with an id after that of every gate in the journal, which a clock that was set back would
    put it before: "the last gate" of a list, of `--last` and of a key is the one that was started last."""
    newest = (await connection.execute(sa.select(sa.func.max(tables.gates.c.id)))).scalar_one_or_none()
    if newest is None or newest < admission.gate.id:
        return admission
    moment = int(newest[:_MOMENT], 16) + 1
    return replace(admission, gate=replace(admission.gate, id=f"{moment:0{_MOMENT}x}{admission.gate.id[_MOMENT:]}"))


async def refuse(connection: AsyncConnection, admission: Admission, moment: datetime) -> None:
    """Raise Locked, Quarantined or ServiceBusy if the gate may not start now."""
    await _refuse_locked(connection, admission, moment)
    await _refuse_quarantined(connection, admission)
    await _refuse_busy(connection, admission, moment)


async def admit(connection: AsyncConnection, admission: Admission, moment: datetime) -> None:
    """Store the gate with token 1. Raises Locked, Quarantined, ServiceBusy, and IntegrityError if another replica was
    faster by a moment: then a retry gives the refusal."""
    await refuse(connection, admission, moment)
    if admission.follows_switch:
        await _end_watches(connection, admission.gate.service, moment)
    gate, request = admission.gate, admission.request
    if admission.idempotency is not None:  # its gate was released, or is stale: the key is the new gate's
        table = tables.gates
        old = sa.and_(table.c.idempotency.in_(admission.keys), table.c.service == gate.service)
        freed = table.c.idempotency + sa.literal(" of ") + table.c.id
        await connection.execute(sa.update(table).where(old).values(idempotency=freed))
    await connection.execute(
        sa.insert(tables.gates).values(
            id=gate.id,
            service=gate.service,
            policy=gate.policy,
            policy_body=admission.policy_body,
            request=request.model_dump_json(exclude=_COMPARED),
            request_hash=admission.request_hash,
            caller=gate.caller,
            idempotency=admission.idempotency,
            created_at=gate.created_at,
            owner=gate.holder,
            token=1,
            **changing_columns(gate),
        )
    )
    body = {"service": gate.service, "policy": gate.policy, "candidate": gate.candidate.version, "caller": gate.caller}
    if admission.asked is not None:
        body["why"] = gate.notes[0]
    started = GateEvent(gate.id, 1, moment, EventKind.STARTED, body)
    await connection.execute(sa.insert(tables.gate_events).values(event_columns(started)))
    await write_audit(connection, moment, *_audit(admission))


async def _is_released(connection: AsyncConnection, row: sa.RowMapping) -> bool:
    """True if someone has released the version from the quarantine that this gate put it in: whoever deploys it again,
    under any key, gets a new gate."""
    gate = read_gate(row)
    if not gate.was_refused or not json.loads(row["policy_body"]).get("quarantine", True):
        return False
    table = tables.quarantine
    query = sa.select(table.c.gate_id).where(table.c.service == gate.service, table.c.version == gate.candidate.version)
    return (await connection.execute(query)).first() is None


def _audit(admission: Admission) -> list[AuditEntry]:
    gate, request = admission.gate, admission.request
    detail: Mapping[str, Any] = {"gate": gate.id, "policy": gate.policy, "version": gate.candidate.version}
    entries = [AuditEntry(gate.caller, "gate.start", gate.service, detail)]
    if request.override is not None:
        overridden = {**detail, "of": sorted(request.override.of), "reason": request.override.reason}
        entries.append(AuditEntry(gate.caller, "override", gate.service, overridden))
    return entries


def _hash(request: VerifyRequest, without: set[str]) -> str:
    text = json.dumps(request.model_dump(mode="json", exclude=without), sort_keys=True)
    return sha256(text.encode()).hexdigest()


async def _refuse_locked(connection: AsyncConnection, admission: Admission, moment: datetime) -> None:
    table = tables.deploy_locks
    query = sa.select(table).where(table.c.service == admission.gate.service, table.c.until > moment)
    row = (await connection.execute(query)).one_or_none()
    if row is not None and row.holder != admission.request.lock and not admission.overrides("lock"):
        raise Locked(service=row.service, holder=row.holder, until=row.until, reason=row.reason)


async def _refuse_quarantined(connection: AsyncConnection, admission: Admission) -> None:
    table, gate = tables.quarantine, admission.gate
    query = sa.select(table).where(table.c.service == gate.service, table.c.version == gate.candidate.version)
    row = (await connection.execute(query)).one_or_none()
    if row is not None and not admission.overrides("quarantine"):
        fields = {"service": row.service, "version": row.version, "gate_id": row.gate_id}
        raise Quarantined(**fields, since=row.since, reason=row.reason)


async def _refuse_busy(connection: AsyncConnection, admission: Admission, moment: datetime) -> None:
    table = tables.gates
    service = admission.gate.service
    # What a watch rolls back acts without the hold where a preflight had it.
    acts = sa.and_(table.c.service == service, table.c.state == GateState.ACTING.value)
    query = sa.select(table).where(sa.or_(table.c.holds == service, acts)).limit(1)
    row = (await connection.execute(query)).mappings().one_or_none()
    if row is not None:
        raise ServiceBusy.by(read_gate(row), moment)


async def _end_watches(connection: AsyncConnection, service: str, moment: datetime) -> None:
    """End the watch of the previous deploy at a new one: rolling back to its baseline would now undo the new deploy."""
    table = tables.gates
    watching = (table.c.service == service) & (table.c.state == GateState.WATCHING.value)
    rows = (await connection.execute(sa.select(table).where(watching).with_for_update())).mappings().all()
    for row in rows:  # of which only this is read and changed, also where another release wrote it
        sequence, ended = row["sequence"] + 1, GateState.FINISHED.value
        values = {"state": ended, "finished_at": moment, "sequence": sequence, "token": table.c.token + 1}
        await connection.execute(sa.update(table).where(table.c.id == row["id"]).values(values))
        body = {"state": ended, "why": "a new deploy of the service has started"}
        event = GateEvent(row["id"], sequence, moment, EventKind.STATE, body)
        await connection.execute(sa.insert(tables.gate_events).values(event_columns(event)))
