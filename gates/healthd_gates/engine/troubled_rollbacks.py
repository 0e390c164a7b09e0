"""The rollbacks that want a person, at whichever replica: read from the journal, and at once when one changes here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog

from healthd.journal.database import JournalError
from healthd.runtime.clock import Clock
from healthd_gates.domain.gate import Gate, Rollback, RollbackState
from healthd_gates.engine.change_events import within_seconds
from healthd_gates.store.gate_store import GateStore

_log = structlog.get_logger(__name__)
_AGAIN = 10.0  # seconds between two looks: replicas do not tell each other
_LASTING = timedelta(days=1)


class TroubledRollbacks:
    """Keeps the list. While the journal is down, the one before stands."""

    def __init__(self, gate_store: GateStore, clock: Clock) -> None:
        self._gate_store, self._clock = gate_store, clock
        self._changed = asyncio.Event()
        self._gates: tuple[Gate, ...] = ()

    def __call__(self) -> Sequence[Gate]:
        return self._gates

    def changed(self) -> None:
        """A rollback or a verdict came: look now."""
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._changed.clear()  # before the look: what changes during it is looked at once more
            try:
                await self.look()
            except JournalError:  # which others log
                pass
            except Exception:
                _log.exception("failed rollbacks not read for notification")
            await within_seconds(self._changed, _AGAIN)

    async def look(self) -> None:
        """Raises JournalError."""
        found = await self._gate_store.rollbacks(self._clock.now() - _LASTING)
        self._gates = tuple([gate for gate in _latest(found) if not await self._is_past(gate)])

    async def _is_past(self, gate: Gate) -> bool:
        """Whether the service has a version since then that passed, or was rolled back well."""
        page = await self._gate_store.page(gate.service, (), 20, None)
        return any(newer.id > gate.id and _settles(newer) for newer in page.gates)


def wants_a_person(rollback: Rollback) -> bool:
    """Whether it ended badly, or was tried in vain so far."""
    return rollback.state.wants_a_person or (rollback.state is RollbackState.DUE and bool(rollback.detail))


def _settles(gate: Gate) -> bool:
    return gate.may_stay or (gate.rollback is not None and gate.rollback.state is RollbackState.ROLLED_BACK)


def _latest(gates: Sequence[Gate]) -> list[Gate]:
    """Of each service the newest, while its rollback wants a person."""
    newest: dict[str, Gate] = {}
    for gate in sorted(gates, key=lambda gate: gate.id):
        newest[gate.service] = gate
    troubled = [gate for gate in newest.values() if gate.rollback is not None and wants_a_person(gate.rollback)]
    return sorted(troubled, key=lambda gate: gate.id, reverse=True)
