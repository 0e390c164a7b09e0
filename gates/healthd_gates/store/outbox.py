"""The outbox: due actions, claimed by one worker at a time and kept until they are done or given up.

`store.gate_update` adds them with the decision that calls for them. They are carried out elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa

from healthd.journal.columns import Moment
from healthd.journal.database import Database
from healthd_gates.domain.action_order import ActionRun, Occasion, OrderState
from healthd_gates.store.event_log import lock_log, tell
from healthd_gates.store.gate_update import LeaseLost
from healthd_gates.store.lease_terms import NOW, at, is_free
from healthd_gates.store.order_ends import end_followers, line, note_cut_off
from healthd_gates.store.serialization import read_order
from healthd_gates.store.tables import orders

_LONGEST_WAIT = 1000.0  # seconds; no pause between two attempts is longer
_OUT_OF_REACH = sa.bindparam("out_of_reach", type_=Moment)
"""A later time than any pause allows: it was written by a clock that has been set back since."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """The remaining work: for how many seconds the oldest order that is not done waits, by the journal's clock, 0 when
    all are done; whether one could be tried now; and in how many seconds the next attempt is due or the next claim
    ends.
    """

    waits: float = 0.0
    is_claimable: bool = False
    due_in: float = math.inf


class Outbox:
    """Stores due actions. Every method raises JournalError when the journal cannot be used now."""

    def __init__(self, database: Database, replica: str) -> None:
        self._database, self._replica = database, replica

    async def of_gate(self, gate_id: str) -> Sequence[ActionRun]:
        """Return the orders of a gate, in order."""
        async with self._database.read() as connection:
            moment = await self._database.moment(connection)
            rows = await connection.execute(_of_gate(), {**at(moment), "gate": gate_id})
            return [read_order(row, moment) for row in rows.mappings()]

    async def backlog(self) -> Backlog:
        """Return the remaining work; on SQLite this waits for no writer and blocks none."""
        async with self._database.read() as connection:
            oldest, next_at = (await connection.execute(_earliest())).one()
            if oldest is None or next_at is None:  # an order that waits for no other is among those that are due
                return Backlog()
            moment = await self._database.moment(connection)
            is_claimable = (await connection.execute(_any_claimable(), _times(moment))).first() is not None
            waits = max(0.0, (moment - oldest).total_seconds())
            return Backlog(waits, is_claimable, max(0.0, (next_at - moment).total_seconds()))

    async def claim(
        self, seconds: float, at_most: int = 20, but: Collection[str] = (), *, spares_lapsed: bool = False
    ) -> Sequence[ActionRun]:
        """Claim orders that are due and not claimed; they are this worker's for that many seconds.

        Those that were never tried come first, so that they do not wait for receivers that hang. `but` are keys that
        this worker already has, even if a clock that was set forward ended its claims. The orders of one gate are
        claimed one after the other: each once those before it have ended. Claims that ended without a result are noted.
        `spares_lapsed` leaves those to their owners, which may have a result that they could not store.
        """
        async with self._database.write() as connection:
            moment = await self._database.moment(connection)
            if not spares_lapsed:
                await note_cut_off(connection, moment, but)
            options = {"but": list(but), "at_most": at_most}
            claimable = _claimable_now(spares_lapsed)
            keys = (await connection.execute(claimable, {**_times(moment), **options})).scalars().all()
            if not keys:
                return []
            until = moment + timedelta(seconds=seconds)
            claimed = sa.update(orders).where(orders.c.key.in_(keys))
            claimed = claimed.values(owner=self._replica, token=orders.c.token + 1, leased_until=until)
            rows = (await connection.execute(claimed.returning(orders))).mappings().all()
        return sorted((read_order(row, moment) for row in rows), key=lambda order: keys.index(order.key))

    async def hold(self, claimed: Iterable[ActionRun], seconds: float) -> frozenset[str]:
        """Prolong claims. Return the keys of those that are still this worker's."""
        mine = sa.or_(*(_is(order) for order in claimed))
        async with self._database.write() as connection:
            until = await self._database.moment(connection) + timedelta(seconds=seconds)
            held = sa.update(orders).where(mine, orders.c.owner == self._replica).values(leased_until=until)
            return frozenset((await connection.execute(held.returning(orders.c.key))).scalars())

    async def let_go(self, claimed: Iterable[ActionRun]) -> None:
        """Release claims, so that nobody waits for their end."""
        mine = sa.or_(*(_is(order) for order in claimed))
        async with self._database.write() as connection:
            await connection.execute(sa.update(orders).where(mine).values(owner=None, leased_until=None))

    async def settle(self, order: ActionRun, state: OrderState, detail: str, again_in: float = 0.0) -> None:
        """Store the result of an attempt, here and in the gate's log; `due` asks for another attempt in that many
        seconds.

        Once an order has ended without being done, those that were to follow it end as well. Raises LeaseLost.
        """
        async with self._database.write() as connection:
            last = await lock_log(connection, order.gate_id)
            if last is None:
                raise LeaseLost
            moment = await self._database.moment(connection)
            again_at = moment + timedelta(seconds=again_in)
            values: dict[str, Any] = {"state": state.value, "detail": detail, "tries": orders.c.tries + 1, "cut_off": 0}
            values |= {"finished_at": moment} if state is not OrderState.DUE else {"next_try_at": again_at}
            mine = sa.update(orders).where(_is(order), orders.c.state == OrderState.DUE.value)
            settled = await connection.execute(mine.values(**values))
            if settled.rowcount:
                told = line(order, state, detail, again_at if state is OrderState.DUE else None)
                await tell(connection, order.gate_id, last, moment, told)
                if state in (OrderState.GIVEN_UP, OrderState.NO_BASELINE):
                    await end_followers(connection, order, moment)
            # Also if it was settled from elsewhere meanwhile: those who wait for this attempt need not wait longer.
            await connection.execute(sa.update(orders).where(_is(order)).values(owner=None, leased_until=None))
        if settled.rowcount == 0:
            raise LeaseLost


def _is(order: ActionRun) -> sa.ColumnElement[bool]:
    """Match the order while it is claimed under this token."""
    return sa.and_(orders.c.key == order.key, orders.c.token == order.token)


def _earlier() -> tuple[sa.FromClause, sa.ColumnElement[bool]]:
    """Return the orders before an order of the same gate, and the condition that selects them."""
    earlier = orders.alias("earlier")
    is_earlier = sa.or_(
        earlier.c.created_at < orders.c.created_at,
        sa.and_(earlier.c.created_at == orders.c.created_at, earlier.c.position < orders.c.position),
    )
    return earlier, sa.and_(earlier.c.gate_id == orders.c.gate_id, is_earlier)


@cache
def _of_gate() -> sa.Select[Any]:
    claimed = sa.not_(is_free(orders.c.leased_until, orders.c.owner)).label("under_way")
    query = sa.select(orders, claimed).where(orders.c.gate_id == sa.bindparam("gate"))
    return query.order_by(orders.c.created_at, orders.c.position)


@cache
def _earliest() -> sa.Select[datetime | None, datetime | None]:
    """Select since when the oldest order that is due waits, and when the next one may be tried."""
    claimed = orders.c.leased_until > orders.c.next_try_at
    free_at = sa.case((claimed, orders.c.leased_until), else_=orders.c.next_try_at)
    earlier, is_earlier = _earlier()  # an order that waits for another is not due before that one has ended
    waits = sa.exists().where(is_earlier, earlier.c.state == OrderState.DUE.value)
    due = sa.select(sa.func.min(orders.c.created_at), sa.func.min(sa.case((sa.not_(waits), free_at))))
    return due.where(orders.c.state == OrderState.DUE.value)


@cache
def _any_claimable() -> sa.Select[str]:
    return sa.select(orders.c.key).where(_claimable()).limit(1)


@cache
def _claimable_now(spares_lapsed: bool) -> sa.Select[str]:
    query = sa.select(orders.c.key).where(_claimable(), orders.c.key.not_in(sa.bindparam("but", expanding=True)))
    if spares_lapsed:
        query = query.where(orders.c.owner.is_(None))
    query = query.order_by(orders.c.tries + orders.c.cut_off > 0, orders.c.created_at, orders.c.position)
    return query.limit(sa.bindparam("at_most", type_=sa.Integer)).with_for_update(skip_locked=True)


def _claimable() -> sa.ColumnElement[bool]:
    """Match the orders that can be tried at `_times`."""
    earlier, is_earlier = _earlier()
    # An attempt may still be in progress after its order was overtaken: its effect must not come after the next one's.
    is_claimed = sa.not_(is_free(earlier.c.leased_until, earlier.c.owner))
    has_not_ended = sa.or_(earlier.c.state == OrderState.DUE.value, is_claimed)
    waits = sa.exists().where(is_earlier, has_not_ended)
    free = is_free(orders.c.leased_until, orders.c.owner)
    known = orders.c.occasion.in_([occasion.value for occasion in Occasion])  # others are a newer release's
    is_time = sa.or_(orders.c.next_try_at <= NOW, orders.c.next_try_at > _OUT_OF_REACH)
    return sa.and_(orders.c.state == OrderState.DUE.value, known, is_time, free, sa.not_(waits))


def _times(moment: datetime) -> dict[str, datetime]:
    return {**at(moment), _OUT_OF_REACH.key: moment + timedelta(seconds=_LONGEST_WAIT)}
