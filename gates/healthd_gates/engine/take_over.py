"""One step of a gate that a caller asks for, whichever replica runs the gate."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from sqlalchemy.exc import IntegrityError

from healthd.journal.database import JournalError
from healthd.runtime.clock import Clock
from healthd_gates.domain.errors import JournalUnavailable, UnknownGate
from healthd_gates.domain.gate import Gate
from healthd_gates.engine.refusals import BusyServices, journal_refusals
from healthd_gates.engine.spec import GateSpec
from healthd_gates.engine.step import Step
from healthd_gates.engine.supervisor import Supervisor
from healthd_gates.store.gate_update import LeaseLost

_TUGS = 5
Asking = Callable[[Gate], bool]
"""True if the step is called for, False if it is done already; raises a refusal."""
Stepping = Callable[[Gate, GateSpec], Step]


class TakeOver:
    """Makes steps that callers ask for. `get` returns a gate as it is now, or raises UnknownGate."""

    def __init__(
        self, get: Callable[[str], Awaitable[Gate]], supervisor: Supervisor, busy: BusyServices, clock: Clock
    ) -> None:
        self._get, self._supervisor, self._busy, self._clock = get, supervisor, busy, clock

    async def step(self, gate_id: str, called_for: Asking, make: Stepping) -> Gate:
        """Take over the gate from its owner, make one step, and let it run on here."""
        gate = await self._get(gate_id)
        with journal_refusals():
            for _ in range(_TUGS):
                if not called_for(gate):
                    return gate
                try:  # shielded: a caller that disconnects must not leave a gate that nobody runs
                    return await asyncio.shield(asyncio.create_task(self._seize_and_step(gate_id, called_for, make)))
                except (LeaseLost, IntegrityError):  # someone else intervened at the same moment; see the result
                    gate = await self._get(gate_id)
        raise JournalUnavailable(problem="too many callers change this gate at once")

    async def _seize_and_step(self, gate_id: str, called_for: Asking, step: Stepping) -> Gate:
        owned = await self._supervisor.seize(gate_id)
        if owned is None:
            raise UnknownGate(gate_id=gate_id)
        record, lost, unsure = self._supervisor.record(owned), False, False
        try:
            if called_for(owned.gate):
                await record.try_write(step(owned.gate, self._supervisor.spec_of(owned)), self._clock.now())
            return record.gate
        except LeaseLost:  # whoever has it now runs it, at this replica or another
            lost = True
            raise
        except IntegrityError:  # it is to hold its service again, but another gate does by now
            await self._busy.refuse(owned.gate.service)
            raise  # that gate has just ended
        except JournalError:
            unsure = True
            raise
        finally:
            if not lost:
                self._supervisor.adopt(replace(owned, gate=record.gate), unsure=unsure)
