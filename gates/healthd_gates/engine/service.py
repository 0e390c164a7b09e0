"""The operations that callers may call on gates. Every answer is as stored.

A gate's life is in `engine.runner`; the gates that run here are in `engine.supervisor`; storage is in `store`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence

from healthd.journal.journal import AuditEntry
from healthd.journal.outage import Outage
from healthd.runtime.clock import Clock
from healthd.runtime.events import set_within
from healthd_gates.actions.executor import Attempts
from healthd_gates.config.freeze_window import FreezesServices
from healthd_gates.domain.action_order import ActionRun
from healthd_gates.domain.errors import (
    SHORTEST_ID,
    AlreadyDecided,
    AmbiguousGate,
    Draining,
    JournalUnavailable,
    NotPushed,
    ServiceBusy,
    TooManyGates,
    UnknownGate,
)
from healthd_gates.domain.gate import Gate, GateEvent, GateState, Page
from healthd_gates.domain.recording import Recording
from healthd_gates.domain.request import ActionTest, PushedEvidence, VerifyRequest
from healthd_gates.engine.action_test import Tested, try_out
from healthd_gates.engine.admissions import Admissions
from healthd_gates.engine.change_events import ChangeEvents
from healthd_gates.engine.deploy_locks import DeployLocks
from healthd_gates.engine.dry_run import Rehearsed, rehearse
from healthd_gates.engine.foreign_addresses import foreign_addresses
from healthd_gates.engine.interventions import Interventions
from healthd_gates.engine.refusals import BusyServices, journal_refusals
from healthd_gates.engine.spec import GateSpec, load_spec
from healthd_gates.engine.supervisor import Supervisor
from healthd_gates.engine.take_over import TakeOver
from healthd_gates.engine.validation import known_service
from healthd_gates.sources.otlp.receiver import Receiver
from healthd_gates.store.admission import Admission
from healthd_gates.store.gate_store import GateStore
from healthd_gates.store.locks import LockStore
from healthd_gates.store.outbox import Outbox
from healthd_gates.store.serialization import reading

_ELSEWHERE_SECONDS = 1.0  # between polls of a gate that another replica runs
_HERE_SECONDS = 15.0


async def _none() -> tuple[Iterable[FreezesServices], str | None]:
    return (), None


class GateService:
    """The gate service. Every method raises a `domain.errors.Refusal` to refuse; any of them may be
    `JournalUnavailable`."""

    def __init__(
        self,
        supervisor: Supervisor,
        gate_store: GateStore,
        lock_store: LockStore,
        outbox: Outbox,
        attempts: Attempts,
        news: ChangeEvents,
        clock: Clock,
        *,
        replica: str,
    ) -> None:
        self._supervisor, self._gate_store, self._lock_store, self._news, self._clock = (
            supervisor,
            gate_store,
            lock_store,
            news,
            clock,
        )
        self._outbox, self._attempts = outbox, attempts
        self._admissions = Admissions(supervisor, gate_store, clock, replica)
        self._busy = BusyServices(supervisor, gate_store, clock)
        self.interventions = Interventions(TakeOver(self.get, supervisor, self._busy, clock), self.orders, clock)
        self.locks = DeployLocks(lock_store, lambda: supervisor.config)
        self.draining = False
        self.freezes: Callable[[], Awaitable[tuple[Iterable[FreezesServices], str | None]]] = _none
        """Returns the freezes besides those of the configuration, and why those may not be known that another replica
        was told a moment ago; None where they are."""
        self.outage: Callable[[], Outage | None] = lambda: None
        """Returns the journal's outage: its gates are as they were stored last. Neither blocks nor fails."""

    async def start(
        self,
        request: VerifyRequest,
        *,
        caller: str,
        idempotency_key: str | None = None,
        joins_for: float | None = None,
        guards_live: bool = False,
    ) -> Gate:
        """Store a gate and run it. The same idempotency key with the same request returns the same gate, for
        `joins_for` seconds after its verdict; None: without a limit. Raises StaleVerdict after that.

        `guards_live`: Only judge a version that has the traffic since its last gate: a fail would move that although
        nobody named where to.
        """
        freezes, unread = await self.freezes()
        admission, spec = self._admissions.validated(request, caller, freezes, idempotency_key, joins_for)
        with journal_refusals():
            if idempotency_key is not None and (before := await self._gate_store.known(admission)) is not None:
                return before
            if unread is not None:
                raise JournalUnavailable(problem=unread)
            if self.draining:
                raise Draining
            if len(self._supervisor) >= self._supervisor.config.gates.max_running:
                raise TooManyGates(count=len(self._supervisor))
            if guards_live:
                admission = await self._admissions.spared_if_live(admission, spec)
            admission = await self._admissions.with_checked_source(admission, spec)
            quarantined = await self._lock_store.quarantined_of(request.service)
            await self._admissions.refuse_hindered(admission, spec, self._attempts, quarantined)
            # Shielded: a caller that disconnects must not leave a gate behind that is stored but runs nowhere.
            return await asyncio.shield(asyncio.create_task(self._store_and_run(admission, spec)))

    async def could_start(self, request: VerifyRequest, *, caller: str) -> Gate:
        """Return the gate that `start` would store now, with doubts about its numbers. Stores nothing. Raises as
        `start`."""
        freezes, unread = await self.freezes()
        admission, spec = self._admissions.validated(request, caller, freezes)
        if unread is not None:
            raise JournalUnavailable(problem=unread)
        with journal_refusals():
            try:
                await self._gate_store.refuse(admission)
            except ServiceBusy as refusal:
                raise await self._busy.told(refusal) from None
            admission = await self._admissions.spared_if_live(admission, spec)
            admission = await self._admissions.with_checked_source(admission, spec)
            quarantined = await self._lock_store.quarantined_of(request.service)
            await self._admissions.refuse_hindered(admission, spec, self._attempts, quarantined)
            return self._admissions.with_failing_checks(admission, spec).gate

    def elsewhere(self, request: VerifyRequest) -> tuple[str, ...]:
        """Return those notes of a gate that `could_start` which say that the caller's targets may be others."""
        service = known_service(request.service, self._supervisor.config)
        return tuple(foreign_addresses(request.addresses, request.service, service))

    async def _store_and_run(self, admission: Admission, spec: GateSpec) -> Gate:
        try:
            started = await self._gate_store.start(admission)
        except ServiceBusy as refusal:
            raise await self._busy.told(refusal) from None
        if isinstance(started, Gate):
            return started
        if spec.follows_switch:
            await self._supervisor.drop_watches(started.gate.service)  # the start of this gate has ended them
        self._supervisor.adopt(started, spec)
        return started.gate

    async def get(self, gate_id: str) -> Gate:
        """Return a gate. Raises UnknownGate."""
        gate = self._supervisor.gate(gate_id)
        if gate is None:
            with journal_refusals():
                gate = await self._gate_store.find(gate_id)
        if gate is None:
            raise UnknownGate(gate_id=gate_id)
        return gate

    async def named(self, beginning: str) -> Gate:
        """Return the gate with this id or prefix of an id. Raises UnknownGate, or AmbiguousGate if there are
        several."""
        try:
            return await self.get(beginning)
        except UnknownGate:
            if len(beginning) < SHORTEST_ID:
                raise
        with journal_refusals():
            found = await self._gate_store.starting_with(beginning)
        if len(found) != 1:
            raise AmbiguousGate(gate_id=beginning) if found else UnknownGate(gate_id=beginning)
        return await self.get(found[0].id)

    async def list(
        self,
        *,
        service: str | None = None,
        states: Sequence[GateState] = (),
        limit: int = 50,
        before: str | None = None,
        policy: str | None = None,
        deployment: str | None = None,
    ) -> Page:
        """Return a page of gates, newest first; no `states` means all."""
        with journal_refusals():
            return await self._gate_store.page(service, states, limit, before, policy=policy, deployment=deployment)

    async def wait(self, gate_id: str, seconds: float) -> Gate:
        """Return the gate once it is answered, or as it is after `seconds`; whichever replica runs it."""
        end = self._clock.steady() + seconds
        while True:
            change = self._news.expect(gate_id)
            gate = await self.get(gate_id)
            left = end - self._clock.steady()
            if gate.is_answered or left <= 0:
                return gate
            await set_within(min(left, self._pause(gate_id)), change)

    async def events(self, gate_id: str, after: int = 0) -> AsyncGenerator[GateEvent]:
        """Yield the gate's log after event `after`, until the gate is over. Raises UnknownGate."""
        while True:
            change = self._news.expect(gate_id)
            gate = await self.get(gate_id)
            with journal_refusals():
                events = await self._gate_store.events(gate_id, after)
            for event in events:
                yield event
                after = event.sequence
            if gate.state.is_over and after >= gate.sequence:
                return
            if not events:
                await set_within(self._pause(gate_id), change)

    async def orders(self, gate_id: str) -> Sequence[ActionRun]:
        """Return the actions that its verdict called for. Raises UnknownGate."""
        await self.get(gate_id)
        with journal_refusals():
            return await self._outbox.of_gate(gate_id)

    async def recording(self, gate_id: str) -> Recording:
        """Return what is stored of its looks up to the verdict. Raises UnknownGate."""
        gate = await self.get(gate_id)
        with journal_refusals():
            return await self._gate_store.recording(gate)

    async def rehearse(self, gate_id: str) -> Sequence[Rehearsed]:
        """Return what a person's rollback would do now. Raises UnknownGate, and ServiceBusy as a rollback would."""
        gate, config = await self.get(gate_id), self._supervisor.config
        with journal_refusals():
            body = await self._gate_store.policy_body(gate_id)
            if not gate.state.holds_service and (gate.rollback is None or gate.rollback.state.may_be_called_for):
                await self._busy.refuse(gate.service)
            quarantined = await self._lock_store.quarantined_of(gate.service)
            if body is None:
                raise UnknownGate(gate_id=gate_id)
            with reading(gate_id):
                spec = load_spec(body, gate.policy, gate.service, config)
        return await rehearse(gate, spec, config, self._attempts, quarantined)

    async def test_action(self, action: str, asked: ActionTest, *, caller: str) -> Tested:
        """Return what an action would do, or, if the request says so, the result of an attempt; audited before.

        Raises UnknownAction, UnknownService, InvalidRequest, and ServiceBusy if a gate has the service's traffic.
        """
        moment = self._clock.now()
        if asked.run:
            with journal_refusals():
                await self._busy.refuse(asked.service)
                await self._gate_store.audit(AuditEntry(caller, "action.test", action, asked.model_dump(mode="json")))
        return await try_out(action, asked, self._supervisor.config, self._attempts, caller, moment)

    @property
    def receiver(self) -> Receiver:
        """Receiver of the telemetry that is sent here."""
        return self._supervisor.observer_context.receiver

    async def push(self, gate_id: str, evidence: PushedEvidence, *, caller: str) -> None:
        """Store a push for the gate's source. Raises UnknownGate, NotPushed, AlreadyDecided."""
        gate = await self.get(gate_id)
        service = self._supervisor.config.services.get(gate.service)
        sources = (service.source, *service.sources.values()) if service else ()
        kinds = [source.kind for source in sources if source is not None]
        if "push" not in kinds:
            raise NotPushed(service=gate.service, kind=", ".join(kinds) or "none")
        if gate.state.is_over:
            raise AlreadyDecided(gate_id=gate_id, state=gate.state.value)
        with journal_refusals():
            await self._gate_store.push(gate_id, evidence, caller)

    def _pause(self, gate_id: str) -> float:
        return _HERE_SECONDS if gate_id in self._supervisor else _ELSEWHERE_SECONDS
