"""Ends of attempts in the log of a gate, and the attempts that never came to one: their replica was killed."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa

from healthd.journal.async_engine import AsyncConnection
from healthd_gates.domain.action_order import ActionRun, Occasion, OrderState
from healthd_gates.store.event_log import lock_log, tell
from healthd_gates.store.lease_terms import at, is_free
from healthd_gates.store.serialization import read_order
from healthd_gates.store.tables import orders

# Seconds of rest after the third attempt in a row that was cut off, the fourth, and each one after it: an action that
# takes the daemon down with it must leave it time to serve health.
_RESTS = (0.0, 0.0, 5.0, 15.0, 60.0)
_MOST_CUT_OFF = 10
"""Attempts in a row that are cut off before an action is given up: an unrelated kill hardly meets that many."""


def line(order: ActionRun, state: OrderState, detail: str, again_at: datetime | None) -> dict[str, Any]:
    """Return the body of a line about the end of an attempt."""
    return {
        "action": order.action,
        "occasion": order.occasion.value,
        **({"weight": order.weight} if order.weight is not None else {}),
        "key": order.key,
        "try": order.tries + order.cut_off + 1,
        "state": state.value,
        "detail": detail,
        "next_try_at": again_at.isoformat() if again_at else None,
    }


async def end_followers(connection: AsyncConnection, order: ActionRun, moment: datetime) -> None:
    """End the orders that were to follow one that has ended without being done."""
    same = sa.and_(orders.c.gate_id == order.gate_id, orders.c.occasion == order.occasion.value)
    after = sa.and_(orders.c.created_at == order.created_at, orders.c.position > order.position)
    not_tried = f"not tried, since {order.action} came before it and was not done"
    ended = sa.update(orders).where(same, after, orders.c.state == OrderState.DUE.value)
    await connection.execute(ended.values(state=OrderState.GIVEN_UP.value, detail=not_tried, finished_at=moment))


async def note_cut_off(connection: AsyncConnection, moment: datetime, but: Collection[str]) -> None:
    """Count, and tell in the gate's log, each attempt whose replica fell silent in the middle; `but` are orders that
    the caller itself carries out. The next attempt rests after some, and after many the order is given up."""
    left = (await connection.execute(_left_behind(), at(moment))).mappings().all()
    for order in (read_order(row, moment) for row in left if row["key"] not in but):
        last = await lock_log(connection, order.gate_id)
        if last is None:
            continue
        times = order.cut_off + 1
        state = OrderState.GIVEN_UP if times >= _MOST_CUT_OFF else OrderState.DUE
        again_at = moment + timedelta(seconds=_RESTS[min(times, len(_RESTS)) - 1])
        often = "" if times == 1 else f", {times} times in a row"
        ended = "the healthd that made it was killed, hung, or could not reach the journal"
        detail = f"cut off in the middle of an attempt{often}: {ended}"
        values: dict[str, Any] = {"cut_off": times, "detail": detail, "state": state.value}
        values |= {"next_try_at": again_at} if state is OrderState.DUE else {"finished_at": moment}
        mine = sa.and_(_is_left_behind(), orders.c.key == order.key, orders.c.token == order.token)
        noted = sa.update(orders).where(mine).values(owner=None, leased_until=None, **values)
        if (await connection.execute(noted, at(moment))).rowcount == 0:
            continue
        told = line(order, state, detail, again_at if state is OrderState.DUE else None)
        await tell(connection, order.gate_id, last, moment, told)
        if state is OrderState.GIVEN_UP:
            await end_followers(connection, order, moment)


@cache
def _left_behind() -> sa.Select[Any]:
    return sa.select(orders).where(_is_left_behind()).order_by(orders.c.created_at, orders.c.position)


def _is_left_behind() -> sa.ColumnElement[bool]:
    """Match an order that a replica claimed, and neither settled nor let go before its lease ended."""
    free = is_free(orders.c.leased_until, orders.c.owner)
    known = orders.c.occasion.in_([occasion.value for occasion in Occasion])  # others are a newer release's
    return sa.and_(orders.c.state == OrderState.DUE.value, known, orders.c.owner.is_not(None), free)
