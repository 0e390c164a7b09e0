"""The rollbacks that need a person, at any replica: polled from the journal, and at once when one changes here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog

from healthd.journal.database import JournalError
from healthd.runtime.clock import Clock
from healthd.runtime.events import set_within
from healthd_gates.domain.gate import Gate, Rollback, RollbackState
from healthd_gates.store.gate_store import GateStore

_log = structlog.get_logger(__name__)
_AGAIN = 10.0  # seconds between two polls: replicas do not notify each other
_LASTING = timedelta(days=1)


class TroubledRollbacks:
    """Keeps the list. While the journal is down, the previous list remains."""

    def __init__(self, gate_store: GateStore, clock: Clock) -> None:
        self._gate_store, self._clock = gate_store, clock
        self._changed = asyncio.Event()
        self._gates: tuple[Gate, ...] = ()

    def __call__(self) -> Sequence[Gate]:
        return self._gates

    def changed(self) -> None:
        """Poll now: a rollback or a verdict has changed."""
        self._changed.set()

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            self._changed.clear()  # before the poll: a change during it causes another one at once
            try:
                await self.look()
            except JournalError:  # others log it
                pass
            except Exception:
                _log.exception("failed rollbacks not read for notification")
            await set_within(_AGAIN, self._changed)

    async def look(self) -> None:
        """Reload the list. Raises JournalError."""
        found = await self._gate_store.rollbacks(self._clock.now() - _LASTING)
        self._gates = tuple([gate for gate in _latest(found) if not await self._is_past(gate)])

    async def _is_past(self, gate: Gate) -> bool:
        """True if the service has had a newer version that passed, or was rolled back successfully."""
        page = await self._gate_store.page(gate.service, (), 20, None)
        return any(newer.id > gate.id and _settles(newer) for newer in page.gates)


def wants_a_person(rollback: Rollback) -> bool:
    """True if it ended without success, or has been retried without success so far."""
    return rollback.state.wants_a_person or (rollback.state is RollbackState.DUE and bool(rollback.detail))


def _settles(gate: Gate) -> bool:
    return gate.may_stay or (gate.rollback is not None and gate.rollback.state is RollbackState.ROLLED_BACK)


def _latest(gates: Sequence[Gate]) -> list[Gate]:
    """Return the newest gate of each service, if its rollback needs a person."""
    newest: dict[str, Gate] = {}
    for gate in sorted(gates, key=lambda gate: gate.id):
        newest[gate.service] = gate
    troubled = [gate for gate in newest.values() if gate.rollback is not None and wants_a_person(gate.rollback)]
    return sorted(troubled, key=lambda gate: gate.id, reverse=True)
