"""The gates that this replica runs: one task each, started, restarted after an error, handed over.

A task runs `engine.runner`; the operations for callers are in `engine.service`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress

import structlog

from healthd.checks.failures import describe
from healthd.config.in_force import Current
from healthd.journal.database import JournalError
from healthd_gates.config.settings import Config
from healthd_gates.domain.gate import Gate, GateState
from healthd_gates.engine import transitions
from healthd_gates.engine.change_events import ChangeEvents
from healthd_gates.engine.metrics import GateMetrics
from healthd_gates.engine.observer_factory import ObserverContext
from healthd_gates.engine.recorder import Record
from healthd_gates.engine.runner import GateRunner, Tools
from healthd_gates.engine.spec import GateSpec, load_spec
from healthd_gates.store.gate_update import LeaseLost
from healthd_gates.store.leases import Leases, Owned
from healthd_gates.store.serialization import UnreadableGate, reading

_log = structlog.get_logger(__name__)
_TAKEN_AT_ONCE = 100
_STUMBLES = 3
_PAUSE_SECONDS = 5.0
_LOOK_AGAIN_SECONDS = 60.0  # for a gate that could not be read: a newer release may have moved it on
_NEWS_FOR_SECONDS, _GOOD_NEWS_FOR_SECONDS = 86400.0, 300.0


class _Running:
    """A gate's task and its runner, which is a new one after an error."""

    task: asyncio.Task[None]

    def __init__(self, life: GateRunner) -> None:
        self.life = life


class Supervisor:
    """Owns the task of every gate that runs here."""

    def __init__(
        self, leases: Leases, tools: Tools, config: Current[Config], metrics: GateMetrics, news: ChangeEvents
    ) -> None:
        self._leases, self._tools, self._in_force = leases, tools, config
        self._metrics, self._news = metrics, news
        self._running: dict[str, _Running] = {}
        self._missed: dict[str, float] = {}
        self._looked_at: dict[str, float] = {}
        self._told: set[str] = set()

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._in_force.now

    def __len__(self) -> int:
        return len(self._running)

    def __contains__(self, gate_id: str) -> bool:
        return gate_id in self._running

    @property
    def observer_context(self) -> ObserverContext:
        """The dependencies of the observers of gates that run here."""
        return self._tools.observer_context

    def gate(self, gate_id: str) -> Gate | None:
        """Return a gate that runs here, as last stored."""
        running = self._running.get(gate_id)
        return running.life.gate if running else None

    def gates(self) -> list[Gate]:
        """Return all gates that run here, as last stored."""
        return [running.life.gate for running in self._running.values()]

    def adopt(self, owned: Owned, spec: GateSpec | None = None, *, unsure: bool = False) -> None:
        """Run a gate that this replica owns. A new one brings its specification, others have theirs stored. Of two who
        took the gate over at once the later one's runs, whoever adopts first.

        `unsure` is True if the journal may have a newer state, since a write ended with an unknown result.
        """
        gate, before = owned.gate, self._running.get(owned.gate.id)
        if before is not None and before.life.token > owned.token:
            return
        if gate.state.is_over and not unsure:
            return
        running = _Running(GateRunner(owned, spec or self.spec_of(owned), self._tools))
        work = self._see_through(gate.id, running, unsure=unsure)
        running.task = asyncio.create_task(work, name=f"gate:{gate.id}")
        running.task.add_done_callback(lambda _: self._strike_off(gate.id, running))
        self._running[gate.id] = running

    def spec_of(self, owned: Owned) -> GateSpec:
        """Return the specification that the gate is decided by. Raises UnreadableGate."""
        gate = owned.gate
        with reading(gate.id):
            return load_spec(owned.policy_body, gate.policy, gate.service, self.config)

    async def take_over_orphans(self) -> None:
        """Take over the gates that nobody runs. Raises JournalError."""
        room = self.config.gates.max_running - len(self)
        while room > 0:
            taken, unreadable = await self._leases.take_over(min(_TAKEN_AT_ONCE, room), self.unreadable, self.spec_of)
            self._leave(unreadable)
            if not taken and not unreadable:
                return
            for owned in taken:
                _log.info("gate taken over", gate=owned.gate.id, service=owned.gate.service)
                await self._stop(owned.gate.id)
                self.adopt(owned)
                self._metrics.taken_over.inc()
            room -= len(taken)

    async def take_back(self) -> None:
        """Take back the gates that, by the journal, have run here for a lease or longer, and do not. Raises
        JournalError."""
        now = self._tools.observer_context.clock.steady()
        lost = [gate_id for gate_id in await self._leases.mine() if gate_id not in self]
        self._missed = {gate_id: self._missed.get(gate_id, now) for gate_id in lost}
        for gate_id, since in self._missed.items():
            if now - since < self.config.gates.lease_duration or gate_id in self:
                continue
            try:
                owned = await self._leases.seize(gate_id)
                if owned is None:  # it is deleted by now
                    continue
                self.adopt(owned)
            except UnreadableGate as error:
                self._leave([error])
            else:
                _log.error("gate was not running, restarted", gate=gate_id)

    def _leave(self, unreadable: Sequence[UnreadableGate]) -> None:
        """Leave a gate to a replica that can read it; it is tried again after a while."""
        now = self._tools.observer_context.clock.steady()
        self._looked_at = {gate_id: at for gate_id, at in self._looked_at.items() if now - at < _LOOK_AGAIN_SECONDS}
        for error in unreadable:
            if error.gate_id not in self._told:
                _log.error("gate unreadable, left unchanged", gate=error.gate_id, problem=str(error))
            self._told.add(error.gate_id)
            self._looked_at[error.gate_id] = now

    @property
    def unreadable(self) -> Collection[str]:
        """The gates that nobody runs, and this release cannot read."""
        return self._looked_at.keys()

    async def inherit(self) -> None:
        """Report how rollbacks have ended at replicas that are gone since, as those may not have reported it: for a day
        if they need a person, for a moment otherwise. Raises JournalError."""
        now = self._tools.observer_context.clock.now()
        for gate in await self._leases.inherit(_NEWS_FOR_SECONDS):
            assert gate.rollback is not None
            assert gate.finished_at is not None
            age = (now - gate.finished_at).total_seconds()
            if gate.rollback.state.wants_a_person or age < _GOOD_NEWS_FOR_SECONDS:
                self._tools.inherited(gate)

    async def seize(self, gate_id: str) -> Owned | None:
        """Take over a gate for the caller, wherever it ran; it does not run until it is adopted. Raises JournalError: a
        gate that runs here then goes on, with what it has seen and not stored yet."""
        owned = await self._leases.seize(gate_id)
        await self._stop(gate_id)
        return owned

    async def drop_watches(self, service: str) -> None:
        """Stop the watches of a service, which are no longer this replica's."""
        watches = [gate.id for gate in self.gates() if gate.service == service and gate.state is GateState.WATCHING]
        for gate_id in watches:
            await self._stop(gate_id)
            self._news.publish(gate_id)

    def record(self, owned: Owned) -> Record:
        """Return the record in which the caller stores the changes of a seized gate."""
        return Record(
            owned.gate, owned.token, owned.cursor, self._tools.observer_context.gate_store, self._tools.changed
        )

    async def close(self) -> None:
        """Stop every gate in its present state."""
        tasks = {running.task for running in self._running.values()}
        self._running.clear()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _stop(self, gate_id: str) -> None:
        running = self._running.pop(gate_id, None)
        if running is not None:
            running.task.cancel()
            await asyncio.wait({running.task})

    def _strike_off(self, gate_id: str, running: _Running) -> None:
        if self._running.get(gate_id) is running:
            del self._running[gate_id]

    async def _see_through(self, gate_id: str, running: _Running, *, unsure: bool) -> None:
        """Run a gate to its end. After an error it resumes from the stored state; after several it ends inconclusive.
        While the journal is down it waits."""
        stumbles, trouble = 0, ""
        while True:
            try:
                if unsure and not await self._pick_up(gate_id, running, give_up=stumbles >= _STUMBLES):
                    return
                unsure, trouble = True, ""
                await running.life.run()
                return
            except LeaseLost:
                self._metrics.lost.inc()
                await self._tell_of_loss(gate_id)
                return
            except JournalError as error:
                self._metrics.journal_errors.inc()
                if trouble != str(error):
                    told = "gate unreadable" if isinstance(error, UnreadableGate) else "gate waiting for the journal"
                    _log.warning(told, gate=gate_id, problem=str(error))
                trouble, unsure = str(error), True
            except asyncio.CancelledError:
                raise
            except Exception as error:  # one gate's bug must not end the others
                stumbles, unsure = stumbles + 1, True
                self._metrics.stumbles.inc()
                _log.exception("gate failed with an internal error", gate=gate_id, error=describe(error))
            await asyncio.sleep(_PAUSE_SECONDS * max(1, stumbles))

    async def _tell_of_loss(self, gate_id: str) -> None:
        known = True
        with suppress(JournalError):
            known = await self._leases.knows(gate_id)
        if known:
            _log.info("gate taken over by another replica", gate=gate_id)
        else:  # a backup from before it was brought back
            _log.error("gate not in the journal, no longer run: start it again, or roll back by hand", gate=gate_id)

    async def _pick_up(self, gate_id: str, running: _Running, *, give_up: bool) -> bool:
        """Reload a gate from the journal; False when there is nothing more to run. Raises JournalError."""
        owned = await self._leases.recall(gate_id, running.life.token)
        if owned is None and not await self._leases.knows(gate_id):
            raise LeaseLost
        if owned is None or owned.gate.state.is_over:
            return False
        spec = self.spec_of(owned)
        if give_up:
            moment = self._tools.observer_context.clock.now()
            sentence = "The gate failed with an internal error of healthd; see its log."
            await self.record(owned).write(transitions.abort(owned.gate, sentence, spec, moment, "internal"), moment)
            return False
        running.life = GateRunner(owned, spec, self._tools)
        return True
