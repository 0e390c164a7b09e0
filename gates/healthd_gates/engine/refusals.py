"""Refusals that several operations share: of a journal that is down, and of a service that another gate has."""

from collections.abc import Iterator
from contextlib import contextmanager

from healthd.journal.database import JournalError
from healthd.runtime.clock import Clock
from healthd_gates.domain.errors import JournalUnavailable, ServiceBusy
from healthd_gates.engine.hold import gives_up_at
from healthd_gates.engine.spec import load_spec
from healthd_gates.engine.supervisor import Supervisor
from healthd_gates.store.gate_store import GateStore
from healthd_gates.store.serialization import UnreadableGate, reading


@contextmanager
def journal_refusals() -> Iterator[None]:
    """Turn a journal that is down into a refusal."""
    try:
        yield
    except JournalError as error:
        raise JournalUnavailable(problem=str(error)) from error


class BusyServices:
    """Services whose traffic a gate has. Its methods raise JournalError."""

    def __init__(self, supervisor: Supervisor, gate_store: GateStore, clock: Clock) -> None:
        self._supervisor, self._gate_store, self._clock = supervisor, gate_store, clock

    async def refuse(self, service: str) -> None:
        """Raise ServiceBusy if a gate has the service's traffic."""
        if (gate := await self._gate_store.holder(service)) is not None:
            raise await self.told(ServiceBusy.by(gate, self._clock.now()))

    async def told(self, refusal: ServiceBusy) -> ServiceBusy:
        """Return the same refusal, with the time at which the rollback that is waited for is given up; a gate whose
        policy cannot be read, such as one with a criterion of a package that is gone, says no time."""
        gate_id, config = refusal.fields["gate_id"], self._supervisor.config
        gate, body = await self._gate_store.find(gate_id), await self._gate_store.policy_body(gate_id)
        if gate is None or body is None:
            return refusal
        try:
            with reading(gate_id):
                spec = load_spec(body, gate.policy, gate.service, config)
        except UnreadableGate:  # its owner has logged it
            return refusal
        return ServiceBusy.by(gate, self._clock.now(), gives_up_at(gate, spec, config))
