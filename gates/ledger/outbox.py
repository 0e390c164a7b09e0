"""The outbox: actions that are due, claimed by one worker at a time and kept until they are done or given up.

They are put in with the decision that calls for them, by `gates.ledger.change`. Who carries them out is not said here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa

from gates.actions.contract import Occasion
from gates.ledger.change import LeaseLost
from gates.ledger.tables import orders
from healthd.journal.database import Database


class OrderState(StrEnum):
    """How far an order has come."""

    DUE = "due"
    DONE = "done"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class StoredOrder:
    """One action of one gate, as stored. `token` is that of the worker who claimed it last."""

    key: str
    gate_id: str
    action: str
    occasion: Occasion
    state: OrderState
    created_at: datetime
    next_try_at: datetime
    tries: int
    detail: str
    token: int


class Outbox:
    """Every method raises JournalError when the journal cannot be used now."""

    def __init__(self, database: Database, replica: str) -> None:
        self._database, self._replica = database, replica

    async def of_gate(self, gate_id: str) -> Sequence[StoredOrder]:
        """The orders of a gate, in their order."""
        query = sa.select(orders).where(orders.c.gate_id == gate_id).order_by(orders.c.created_at, orders.c.position)
        async with self._database.read() as connection:
            return [_stored(row) for row in (await connection.execute(query)).mappings()]

    async def claim(self, seconds: float, at_most: int = 20) -> Sequence[StoredOrder]:
        """Take orders that are due and that nobody works on; they are this worker's for that many seconds."""
        async with self._database.write() as connection:
            moment = await self._database.moment(connection)
            free = sa.or_(orders.c.leased_until.is_(None), orders.c.leased_until <= moment)
            due = sa.and_(orders.c.state == OrderState.DUE.value, orders.c.next_try_at <= moment, free)
            query = sa.select(orders.c.key).where(due).order_by(orders.c.created_at, orders.c.position).limit(at_most)
            keys = (await connection.execute(query.with_for_update(skip_locked=True))).scalars().all()
            if not keys:
                return []
            until = moment + timedelta(seconds=seconds)
            claimed = sa.update(orders).where(orders.c.key.in_(keys))
            claimed = claimed.values(owner=self._replica, token=orders.c.token + 1, leased_until=until)
            rows = (await connection.execute(claimed.returning(orders))).mappings().all()
        return sorted((_stored(row) for row in rows), key=lambda order: keys.index(order.key))

    async def settle(self, order: StoredOrder, state: OrderState, detail: str, again_in: float = 0.0) -> None:
        """Say what a try came to; `due` asks for another one in that many seconds. Raises LeaseLost."""
        async with self._database.write() as connection:
            moment = await self._database.moment(connection)
            mine = sa.and_(orders.c.key == order.key, orders.c.token == order.token)
            settled = await connection.execute(
                sa.update(orders)
                .where(mine, orders.c.state == OrderState.DUE.value)
                .values(
                    state=state.value,
                    detail=detail,
                    tries=orders.c.tries + 1,
                    next_try_at=moment + timedelta(seconds=again_in),
                    finished_at=None if state is OrderState.DUE else moment,
                    owner=None,
                    leased_until=None,
                )
            )
            if settled.rowcount == 0:
                raise LeaseLost


def _stored(row: sa.RowMapping) -> StoredOrder:
    return StoredOrder(
        key=row["key"],
        gate_id=row["gate_id"],
        action=row["action"],
        occasion=Occasion(row["occasion"]),
        state=OrderState(row["state"]),
        created_at=row["created_at"],
        next_try_at=row["next_try_at"],
        tries=row["tries"],
        detail=row["detail"],
        token=row["token"],
    )
