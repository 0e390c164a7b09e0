"""The ledger: gates in the journal, started, changed, read, and deleted when they are old."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from healthd.journal.database import Database, JournalError
from healthd.journal.journal import AuditEntry, write_audit
from healthd.runtime.clock import Clock
from healthd_gates.domain.evidence import Evidence
from healthd_gates.domain.gate import EventKind, Gate, GateEvent, GateState, Page
from healthd_gates.domain.recording import Recording
from healthd_gates.domain.request import PushedEvidence
from healthd_gates.store import tables
from healthd_gates.store.admission import Admission, admit, in_order, known, refuse
from healthd_gates.store.gate_update import Change
from healthd_gates.store.group_commit import Writer
from healthd_gates.store.leases import Owned
from healthd_gates.store.serialization import (
    UnreadableGate,
    has_deployment,
    read_course,
    read_event,
    read_evidence,
    read_gate,
    reading,
)

_EARLIER = 10  # gates before one, of which the evidence is looked for

_RACES = 5


class GateStore:
    """Stores gates. Every method raises JournalError when the journal cannot be used now."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self._clock = clock
        self._writer = Writer(database)

    async def open(self) -> None:
        """Open the store. Raises JournalError."""
        await self.database.open()

    async def known(self, admission: Admission) -> Gate | None:
        """Return the gate that this very request started before. Raises IdempotencyMismatch and StaleVerdict."""
        async with self.database.read() as connection:
            return await known(connection, admission, self._clock.now())

    async def start(self, admission: Admission) -> Owned | Gate:
        """Store the gate, owned by its `holder`; or return the one that this very request started before. Raises a
        Refusal."""
        for _ in range(_RACES):
            try:
                async with self.database.write() as connection:
                    await self.database.one_at_a_time(connection, f"service {admission.gate.service}")
                    if (before := await known(connection, admission, self._clock.now())) is not None:
                        return before
                    admission = await in_order(connection, admission)
                    await admit(connection, admission, await self.database.moment(connection))
            except IntegrityError:  # another replica was faster; the next attempt returns what it stored
                continue
            return Owned(admission.gate, 1, admission.policy_body, None)
        raise JournalError("too many callers start gates for this service at once")

    async def refuse(self, admission: Admission) -> None:
        """Raise the Refusal with which the gate would not start now."""
        async with self.database.read() as connection:
            await refuse(connection, admission, self._clock.now())

    async def audit(self, entry: AuditEntry) -> None:
        """Store an audit entry that no change of a gate comes with."""
        async with self.database.write() as connection:
            await write_audit(connection, await self.database.moment(connection), entry)

    async def store(self, change: Change) -> int:
        """Store a change and return the number of the gate's last event, once it is on disk. Raises LeaseLost."""
        return await self._writer.store(change)

    async def find(self, gate_id: str) -> Gate | None:
        async with self.database.read() as connection:
            query = sa.select(tables.gates).where(tables.gates.c.id == gate_id)
            row = (await connection.execute(query)).mappings().one_or_none()
        return read_gate(row) if row is not None else None

    async def holder(self, service: str) -> Gate | None:
        """Return the gate that keeps others from starting for the service."""
        async with self.database.read() as connection:
            query = sa.select(tables.gates).where(tables.gates.c.holds == service)
            row = (await connection.execute(query)).mappings().one_or_none()
        return read_gate(row) if row is not None else None

    async def policy_body(self, gate_id: str) -> str | None:
        """Return the policy of a gate, as JSON."""
        query = sa.select(tables.gates.c.policy_body).where(tables.gates.c.id == gate_id)
        async with self.database.read() as connection:
            body: str | None = (await connection.execute(query)).scalar_one_or_none()
        return body

    async def page(
        self,
        service: str | None,
        states: Sequence[GateState],
        limit: int,
        before: str | None,
        *,
        policy: str | None = None,
        deployment: str | None = None,
    ) -> Page:
        """Return a page of gates, newest first: their ids ascend with time. `deployment` is its id."""
        table = tables.gates
        query = sa.select(table).order_by(table.c.id.desc()).limit(limit + 1)
        if service is not None:
            query = query.where(table.c.service == service)
        if states:
            query = query.where(table.c.state.in_([state.value for state in states]))
        if before is not None:
            query = query.where(table.c.id < before)
        if policy is not None:
            query = query.where(table.c.policy == policy)
        if deployment is not None:
            query = query.where(has_deployment(table.c.request, deployment))
        async with self.database.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        gates, unreadable = [], []
        for row in rows[:limit]:
            try:
                gates.append(read_gate(row))
            except UnreadableGate as error:
                unreadable.append(error.gate_id)
        return Page(tuple(gates), rows[limit - 1]["id"] if len(rows) > limit else None, tuple(unreadable))

    async def starting_with(self, prefix: str) -> list[Gate]:
        """Return at most two gates whose ids begin so."""
        table = tables.gates
        query = sa.select(table).where(table.c.id.startswith(prefix, autoescape=True)).limit(2)
        async with self.database.read() as connection:
            return [read_gate(row) for row in (await connection.execute(query)).mappings()]

    async def rollbacks(self, since: datetime) -> list[Gate]:
        """Return gates with a rollback that is in progress, or that ended after `since`."""
        table = tables.gates
        recent = sa.or_(table.c.finished_at.is_(None), table.c.finished_at > since)
        query = sa.select(table).where(table.c.rollback.is_not(None), recent)
        async with self.database.read() as connection:
            return [read_gate(row) for row in (await connection.execute(query)).mappings()]

    async def events(self, gate_id: str, after: int, limit: int = 500) -> list[GateEvent]:
        """Return the gate's log beyond `after`, in order."""
        table = tables.gate_events
        query = sa.select(table).where(table.c.gate_id == gate_id, table.c.sequence > after)
        async with self.database.read() as connection:
            rows = await connection.execute(query.order_by(table.c.sequence).limit(limit))
            return [event for row in rows.mappings() if (event := read_event(row)) is not None]

    async def recording(self, gate: Gate) -> Recording:
        """Return what is stored of its looks up to the verdict."""
        looks, history, earlier = [await self.evidence(gate.id, stage) for stage in ("gate", "history", "earlier")]
        table, kinds = tables.gate_events, [EventKind.STATE.value, *([EventKind.LOOK.value] if gate.ramp else [])]
        query = sa.select(table).where(table.c.gate_id == gate.id, table.c.kind.in_(kinds)).order_by(table.c.sequence)
        async with self.database.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        events = [event for row in rows if (event := read_event(row)) is not None]
        with reading(gate.id):
            courses = await asyncio.to_thread(lambda: dict(filter(None, map(read_course, events))))
        learned = next((event.at for event in events if "history" in event.body), None)
        return Recording(looks, history, earlier, learned, courses)

    async def evidence(self, gate_id: str, stage: str) -> list[Evidence]:
        """Return the evidence that a judge took so far, in order."""
        table = tables.gate_evidence
        query = sa.select(table.c.body).where(table.c.gate_id == gate_id, table.c.stage == stage)
        async with self.database.read() as connection:
            bodies = (await connection.execute(query.order_by(table.c.sequence))).scalars().all()
        return [evidence for body in bodies for evidence in read_evidence(body)]

    async def earlier_evidence(self, gate: Gate, most: int) -> list[Evidence]:
        """Return the evidence of the service's gates before this one whose versions stayed, oldest first: the latest
        intervals, `most` at most. Empty where `gates.keep_evaluations` has passed."""
        gates, table = tables.gates, tables.gate_evidence
        before = sa.select(gates).where(gates.c.service == gate.service, gates.c.id < gate.id)
        judged = table.c.stage.in_(("gate", "watch"))
        found: list[Evidence] = []
        async with self.database.read() as connection:
            for row in (await connection.execute(before.order_by(gates.c.id.desc()).limit(_EARLIER))).mappings():
                try:
                    if not read_gate(row).may_stay:
                        continue
                    query = sa.select(table.c.body).where(table.c.gate_id == row["id"], judged)
                    query = query.order_by(table.c.sequence.desc()).limit(most - len(found))
                    for body in (await connection.execute(query)).scalars():
                        found.extend(read_evidence(body))
                except (UnreadableGate, ValueError):  # another release wrote it: this gate can do without
                    continue
                if len(found) >= most:
                    break
        return found[::-1]

    async def push(self, gate_id: str, pushed: PushedEvidence, caller: str) -> bool:
        """Store a push; False if its id is stored already."""
        table = tables.gate_pushes
        async with self.database.write() as connection:
            # The gate's row is locked, so that positions appear in the order of commits.
            locked = sa.select(tables.gates.c.id).where(tables.gates.c.id == gate_id).with_for_update()
            await connection.execute(locked)
            same = sa.select(table.c.position).where(table.c.gate_id == gate_id, table.c.push_id == pushed.id)
            if (await connection.execute(same)).first() is not None:
                return False
            last = sa.select(sa.func.max(table.c.position)).where(table.c.gate_id == gate_id)
            position = ((await connection.execute(last)).scalar_one_or_none() or 0) + 1
            # Without what was not pushed: an earlier release, which may run the gate, refuses what it does not know.
            body = pushed.model_dump_json(exclude_defaults=True)
            row = {"gate_id": gate_id, "position": position, "push_id": pushed.id, "body": body}
            await connection.execute(sa.insert(table).values(row))
            entry = AuditEntry(caller, "gate.push", gate_id, {"id": pushed.id})
            await write_audit(connection, await self.database.moment(connection), entry)
        return True

    async def pushes(self, gate_id: str, after: int) -> list[tuple[int, PushedEvidence]]:
        table = tables.gate_pushes
        query = sa.select(table.c.position, table.c.body)
        query = query.where(table.c.gate_id == gate_id, table.c.position > after).order_by(table.c.position)
        async with self.database.read() as connection:
            rows = (await connection.execute(query)).all()
        return [(row.position, PushedEvidence.model_validate_json(row.body)) for row in rows]

    async def clean(self, gates_after: float, looks_after: float) -> None:
        """Delete gates that ended `gates_after` seconds ago with all their data, callbacks that were over then, and the
        single evaluations of those that ended `looks_after` seconds ago."""
        gates = tables.gates
        now = self._clock.now()
        forgotten = now - timedelta(seconds=gates_after)
        faded = sa.select(gates.c.id).where(gates.c.finished_at < now - timedelta(seconds=looks_after))
        looks = tables.gate_events.c.kind == EventKind.LOOK.value
        async with self.database.write() as connection:
            for table in (gates, tables.replies):
                await connection.execute(sa.delete(table).where(table.c.finished_at < forgotten))
            await connection.execute(
                sa.delete(tables.gate_events).where(looks, tables.gate_events.c.gate_id.in_(faded))
            )
            for table in (tables.gate_evidence, tables.gate_pushes):
                await connection.execute(sa.delete(table).where(table.c.gate_id.in_(faded)))
