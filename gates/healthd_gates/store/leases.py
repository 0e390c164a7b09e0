"""The owner of each gate. Replicas renew a lease at intervals; the gates of one that fell silent are taken over.

A gate's token grows with every change of owner. It is a fencing token: a replica that only seemed dead finds its token
outdated at its next write and drops the gate.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from healthd.journal.database import Database
from healthd_gates.domain.gate import Gate, GateState
from healthd_gates.sources.contract import Cursor
from healthd_gates.store import tables
from healthd_gates.store.lease_terms import at, lives
from healthd_gates.store.serialization import UnreadableGate, read_gate, reading

_OVER = [state.value for state in GateState if state.is_over]
_FORGET_SECONDS = 86400.0


@dataclass(frozen=True, slots=True)
class Owned:
    """A gate that this replica owns. `policy_body` is JSON as stored."""

    gate: Gate
    token: int
    policy_body: str
    cursor: Cursor | None


class Leases:
    """The lease of this replica and the ownership of gates."""

    def __init__(self, database: Database, replica: str, seconds: float) -> None:
        self._database, self.replica, self._seconds = database, replica, seconds
        self._began: datetime | None = None  # time of the first renewal

    async def renew(self) -> bool:
        """Renew this replica's lease. Return True if there are gates to take over: asked in the same transaction, since
        mostly there are none. Raises JournalError."""
        table = tables.replicas
        async with self._database.write() as connection:
            moment = await self._database.moment(connection)
            self._began = self._began or moment
            until = moment + timedelta(seconds=self._seconds)
            times = {"expires_at": until, "renewed_at": moment}
            mine = sa.update(table).where(table.c.id == self.replica).values(times)
            if (await connection.execute(mine)).rowcount == 0:
                await connection.execute(sa.insert(table).values(id=self.replica, **times))
                forgotten = moment - timedelta(seconds=_FORGET_SECONDS)
                await connection.execute(sa.delete(table).where(table.c.expires_at < forgotten))
            any_orphan = self._orphans().with_only_columns(tables.gates.c.id).limit(1)
            return (await connection.execute(any_orphan, at(moment))).first() is not None

    async def take_over(
        self, at_most: int, but: Collection[str] = (), require: Callable[[Owned], object] = lambda _: None
    ) -> tuple[Sequence[Owned], Sequence[UnreadableGate]]:
        """Take over gates that are not over and whose replica is silent or gone. Those that cannot be read, or for
        which `require` raises, are left to a replica that can. Raises JournalError."""
        gates = tables.gates
        async with self._database.write() as connection:
            moment = await self._database.moment(connection)
            query = self._orphans().where(gates.c.id.not_in(list(but))).order_by(gates.c.id).limit(at_most)
            rows = (await connection.execute(query.with_for_update(skip_locked=True), at(moment))).mappings().all()
            readable, unreadable = _sorted_out(rows, require)
            if not readable:
                return [], unreadable
            taken = self._mine(sa.update(gates).where(gates.c.id.in_(readable)))
            return [_owned(row) for row in (await connection.execute(taken)).mappings()], unreadable

    async def mine(self) -> Collection[str]:
        """Return the gates that are not over and, by the journal, run here. Raises JournalError."""
        gates = tables.gates
        query = sa.select(gates.c.id).where(gates.c.owner == self.replica, gates.c.state.not_in(_OVER))
        async with self._database.read() as connection:
            return set((await connection.execute(query)).scalars())

    async def under_way(self) -> Collection[str]:
        """Return the services that have gates which are not over and may have lost their replica: all but those of
        replicas that renewed their leases since this one did first. One that was killed just before still has a lease.
        Raises JournalError."""
        gates, replicas = tables.gates, tables.replicas
        query = sa.select(gates.c.service).where(gates.c.state.not_in(_OVER)).distinct()
        if self._began is not None:
            seen = sa.select(replicas.c.id).where(replicas.c.renewed_at > self._began, replicas.c.id != self.replica)
            query = query.where(sa.or_(gates.c.owner.is_(None), gates.c.owner.not_in(seen)))
        async with self._database.read() as connection:
            return set((await connection.execute(query)).scalars())

    async def inherit(self, seconds: float) -> Sequence[Gate]:
        """Return gates of the last so many seconds that ended with a rollback at a replica that is silent or gone by
        now, each while it is the latest of its service. Only one replica gets them. Raises JournalError."""
        gates, newer = tables.gates, tables.gates.alias("newer")
        async with self._database.write() as connection:
            moment = await self._database.moment(connection)
            ended = sa.and_(gates.c.state.in_(_OVER), gates.c.finished_at > moment - timedelta(seconds=seconds))
            followed = sa.exists().where(newer.c.service == gates.c.service, newer.c.id > gates.c.id)
            query = sa.select(gates).where(ended, gates.c.rollback.is_not(None), self._is_orphaned())
            query = query.where(sa.not_(followed)).with_for_update(skip_locked=True)
            readable, _ = _sorted_out((await connection.execute(query, at(moment))).mappings().all())
            if not readable:
                return []
            rows = await connection.execute(self._mine(sa.update(gates).where(gates.c.id.in_(readable))))
            return [read_gate(row) for row in rows.mappings()]

    async def seize(self, gate_id: str) -> Owned | None:
        """Take one gate from any owner; None if there is none. One that cannot be read keeps its owner. Raises
        JournalError."""
        async with self._database.write() as connection:
            taken = sa.update(tables.gates).where(tables.gates.c.id == gate_id)
            row = (await connection.execute(self._mine(taken))).mappings().one_or_none()
            return None if row is None else _owned(row)

    async def recall(self, gate_id: str, token: int) -> Owned | None:
        """Return a gate as stored, while it is still owned under this token. Raises JournalError."""
        table = tables.gates
        query = sa.select(table).where(table.c.id == gate_id, table.c.token == token, table.c.owner == self.replica)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        return None if row is None else _owned(row)

    async def knows(self, gate_id: str) -> bool:
        """True if the journal has this gate, whoever owns it. Raises JournalError."""
        query = sa.select(tables.gates.c.id).where(tables.gates.c.id == gate_id)
        async with self._database.read() as connection:
            return (await connection.execute(query)).first() is not None

    async def let_go(self) -> None:
        """Release all gates for others to take; at shutdown. Raises JournalError."""
        if not self._database.was_open:  # none was ever taken: a start that failed has nothing to release
            return
        async with self._database.write() as connection:
            mine = sa.and_(tables.gates.c.owner == self.replica, tables.gates.c.state.not_in(_OVER))
            await connection.execute(sa.update(tables.gates).where(mine).values(owner=None))
            await connection.execute(sa.delete(tables.replicas).where(tables.replicas.c.id == self.replica))

    def _orphans(self) -> sa.Select[Any]:
        return sa.select(tables.gates).where(tables.gates.c.state.not_in(_OVER), self._is_orphaned())

    def _is_orphaned(self) -> sa.ColumnElement[bool]:
        """Match gates without a living owner, `at` a time. This replica is alive, even if its lease ended while the
        journal was slow."""
        owner, replicas = tables.gates.c.owner, tables.replicas
        others = sa.select(replicas.c.id).where(lives())
        return sa.or_(owner.is_(None), owner.not_in(others.union(sa.select(sa.literal(self.replica)))))

    def _mine(self, statement: sa.Update) -> Any:
        return statement.values(owner=self.replica, token=tables.gates.c.token + 1).returning(tables.gates)


def _owned(row: sa.RowMapping) -> Owned:
    """Read an owned gate. Raises UnreadableGate."""
    gate = read_gate(row, to_run=True)
    with reading(gate.id):
        return Owned(gate, int(row["token"]), row["policy_body"], json.loads(row["cursor"]) if row["cursor"] else None)


def _sorted_out(
    rows: Iterable[sa.RowMapping], require: Callable[[Owned], object] = lambda _: None
) -> tuple[Sequence[str], Sequence[UnreadableGate]]:
    """Return the ids of those that can be read, and what is wrong with the others."""
    readable, unreadable = [], []
    for row in rows:
        try:
            owned = _owned(row)
            with reading(owned.gate.id):
                require(owned)
            readable.append(owned.gate.id)
        except UnreadableGate as error:
            unreadable.append(error)
    return readable, unreadable
