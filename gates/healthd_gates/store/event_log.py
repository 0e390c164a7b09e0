"""Writes to a gate's log for others than its owner: an attempt of one of its actions, at any replica."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from healthd.journal.async_engine import AsyncConnection
from healthd_gates.domain.gate import EventKind, GateEvent
from healthd_gates.store.serialization import event_columns
from healthd_gates.store.tables import gate_events, gates


async def lock_log(connection: AsyncConnection, gate_id: str) -> int | None:
    """Lock the log and return the number of its last line, None if the gate no longer exists.

    Until the transaction ends nobody else writes a line, the owner included.
    """
    query = sa.select(gates.c.sequence).where(gates.c.id == gate_id).with_for_update()
    last: int | None = (await connection.execute(query)).scalar_one_or_none()
    return last


async def tell(connection: AsyncConnection, gate_id: str, last: int, moment: datetime, body: Mapping[str, Any]) -> None:
    """Write the line after `last`; the log must be locked. The owner numbers its own lines after it."""
    event = GateEvent(gate_id, last + 1, moment, EventKind.ACTION, body)
    await connection.execute(sa.insert(gate_events), [event_columns(event)])
    await connection.execute(sa.update(gates).where(gates.c.id == gate_id).values(sequence=event.sequence))
