"""A gate as its owner stores it: every step is on disk before anybody sees it or acts on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import structlog

from healthd.journal.database import JournalError
from healthd.runtime.deadline import shielded
from healthd_gates.domain.gate import Gate, GateEvent
from healthd_gates.engine.step import Step
from healthd_gates.sources.contract import Cursor
from healthd_gates.store.gate_store import GateStore
from healthd_gates.store.gate_update import Change, SeenEvidence

_log = structlog.get_logger(__name__)
_PATIENCE = (0.2, 0.5, 1.0, 2.0, 5.0)


class Record:
    """The latest stored state of a gate. `changed` is called after each step that has been stored."""

    def __init__(
        self,
        gate: Gate,
        token: int,
        cursor: Cursor | None,
        gate_store: GateStore,
        changed: Callable[[Gate, Gate], None],
    ) -> None:
        self.gate, self.token, self.cursor = gate, token, cursor
        self._gate_store, self._changed = gate_store, changed

    async def write(self, step: Step, moment: datetime, seen: SeenEvidence | None = None) -> None:
        """Store a step, however long the journal is down, as it is now: the cursor may move on meanwhile. Raises
        LeaseLost."""
        told, cursor, attempt = "", self.cursor, 0
        while True:
            try:
                await shielded(self._store(step, moment, seen, cursor), name=f"store:{self.gate.id}")
                return
            except JournalError as error:
                if told != str(error):
                    _log.warning("gate waiting for the journal", gate=self.gate.id, problem=str(error))
                told = str(error)
                await asyncio.sleep(_PATIENCE[min(attempt, len(_PATIENCE) - 1)])
                attempt += 1

    async def try_write(self, step: Step, moment: datetime, seen: SeenEvidence | None = None) -> None:
        """Store a step, and report it, even if the waiting caller is cancelled. Raises LeaseLost and JournalError."""
        await shielded(self._store(step, moment, seen, self.cursor), name=f"store:{self.gate.id}")

    async def _store(self, step: Step, moment: datetime, seen: SeenEvidence | None, cursor: Cursor | None) -> None:
        before = self.gate
        first = before.sequence + 1
        events = tuple(
            GateEvent(before.id, number, moment, kind, body) for number, (kind, body) in enumerate(step.events, first)
        )
        gate = replace(step.gate, sequence=before.sequence + len(events))
        last = await self._gate_store.store(
            Change(
                gate,
                self.token,
                events,
                cursor=cursor,
                seen=seen,
                orders=step.orders,
                weights=step.weights,
                quarantine=step.quarantine,
                audit=step.audit,
                gives_up=step.gives_up,
            )
        )
        self.gate = replace(gate, sequence=last)
        self._changed(before, self.gate)
