"""Builds the gate's parts from the configuration and the daemon's ports, and owns their start and stop."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog
from prometheus_client import CollectorRegistry

from healthd.config.in_force import Current
from healthd.http.session import shared_session
from healthd.journal.database import Database
from healthd.monitoring.board import Board
from healthd.runtime.clock import Clock
from healthd.runtime.closing import close_part
from healthd.runtime.isolated_collector import IsolatedCollector
from healthd.web.troubles import Trouble
from healthd_gates.actions.executor import Attempts
from healthd_gates.config.settings import Config
from healthd_gates.config.target_groups import groups_asked_for
from healthd_gates.domain.gate import Gate
from healthd_gates.engine.action_worker import ActionWorker, Desk
from healthd_gates.engine.change_events import ChangeEvents
from healthd_gates.engine.metrics import ActionMetrics, GateMetrics, ReplyMetrics, RunningGates, ServiceLabels
from healthd_gates.engine.observer_factory import ObserverContext
from healthd_gates.engine.replica import Replica
from healthd_gates.engine.runner import Tools
from healthd_gates.engine.service import GateService
from healthd_gates.engine.span_worker import NoSpans, SpanSink, SpanWorker
from healthd_gates.engine.supervisor import Supervisor
from healthd_gates.engine.troubled_rollbacks import TroubledRollbacks
from healthd_gates.engine.weight_look import WeightLook
from healthd_gates.hooks.callback_worker import CallbackWorker
from healthd_gates.hooks.runs import Runs
from healthd_gates.hooks.silence import SilenceWatch
from healthd_gates.pages.troubles import trouble_of
from healthd_gates.sources.otlp.receiver import Receiver
from healthd_gates.store.callbacks import CallbackStore
from healthd_gates.store.gate_store import GateStore
from healthd_gates.store.hook_runs import HookRuns
from healthd_gates.store.leases import Leases
from healthd_gates.store.locks import LockStore
from healthd_gates.store.outbox import Outbox

_log = structlog.get_logger(__name__)

Listener = Callable[[Gate, Gate], None]
"""A callback for every stored step of a gate that runs here: the gate before it, and after. It must neither block nor
fail."""


class Gates:
    """All gates of this process. Must be built in a running event loop."""

    def __init__(
        self,
        config: Current[Config],
        *,
        database: Database,
        board: Board,
        clock: Clock,
        registry: CollectorRegistry,
        redact: Callable[[str], str],
        listener: Listener,
    ) -> None:
        self._config = config
        _tell_problems(config.now)
        self.replica = replica = f"{socket.gethostname()}:{secrets.token_hex(6)}"
        self._listener, self._news = listener, ChangeEvents()
        self.gate_store = GateStore(database, clock)
        self.metrics = GateMetrics(registry)
        self.span_sink: SpanSink = NoSpans()
        self.spans = SpanWorker(self.gate_store, lambda: self.span_sink)
        self._session = shared_session()
        observer_context = ObserverContext(
            self.gate_store, clock, board, self._session, redact, Receiver(clock, settled=False)
        )
        self.outbox = Outbox(database, replica)
        attempts = Attempts(clock, redact, os.environ)
        lock_store = LockStore(database)
        desk = Desk(self.outbox, self.gate_store, lock_store, attempts, ActionMetrics(registry), self._news, clock)
        self._action_worker = ActionWorker(desk, config)
        tools = Tools(
            observer_context,
            self.outbox,
            WeightLook(attempts, config, clock),
            self._news,
            self._changed,
            self._inherited,
            self.metrics.late.observe,
        )
        leases = Leases(database, replica, config.now.gates.lease_duration)
        self._supervisor = Supervisor(leases, tools, config, self.metrics, self._news)
        for collector in (ServiceLabels(config), RunningGates(self._supervisor.gates)):
            registry.register(IsolatedCollector(collector))
        self._replica = Replica(self.gate_store, leases, self._supervisor, clock, self.metrics)
        self.gate_service = GateService(
            self._supervisor,
            self.gate_store,
            lock_store,
            self.outbox,
            attempts,
            self._news,
            clock,
            replica=replica,
        )

        self._troubled = TroubledRollbacks(self.gate_store, clock)
        hook_runs = HookRuns(database)
        self._silence_watch = SilenceWatch(self._supervisor, self.gate_service, hook_runs, config, clock)
        self.callback_worker = CallbackWorker(
            CallbackStore(database),
            self.gate_service,
            config.now.hooks,
            clock=clock,
            metrics=ReplyMetrics(registry),
            redact=redact,
            external_url=lambda: config.now.http.external_url,
            groups_of=lambda request: groups_asked_for(config.now, request.service, request.policy),
        )
        self.runs = Runs(self.gate_service, self.callback_worker, hook_runs, config, clock)

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._replica.run(), name="replica")
            tasks.create_task(self._action_worker.run(), name="carrier")
            tasks.create_task(self.callback_worker.run(), name="courier")
            tasks.create_task(self._silence_watch.run(), name="silence")
            tasks.create_task(self._troubled.run(), name="troubled rollbacks")
            tasks.create_task(self.spans.run(), name="spans")

    def troubles(self) -> Sequence[Trouble]:
        """Return the rollbacks that need a person."""
        return [trouble_of(gate) for gate in self._troubled()]

    def arrange(self) -> None:
        """Open what the configuration in force needs. Running gates keep their policy."""
        _tell_problems(self._config.now)
        self.callback_worker.reconfigure(self._config.now.hooks)

    def drain(self) -> None:
        """Accept no more gates."""
        self.gate_service.draining = True

    async def close(self) -> None:
        """Stop every gate and leave it to another replica, or to the next start."""
        self.drain()
        await close_part("callbacks", self.callback_worker.close)
        await close_part("actions", self._action_worker.close)
        await close_part("replica", self._replica.close)
        await close_part("connections", self._session.close)

    def _inherited(self, gate: Gate) -> None:
        self.metrics.inherited(gate)
        self.spans.changed(gate, gate)
        self._listener(replace(gate, rollback=None), gate)

    def _changed(self, before: Gate, after: Gate) -> None:
        self.metrics.changed(before, after)
        self.spans.changed(before, after)
        self._news.publish(after.id)
        if after.decision is not before.decision or after.rollback is not before.rollback:
            self._action_worker.wake()
            self.callback_worker.wake()
            self._troubled.changed()
        self._listener(before, after)


def _tell_problems(config: Config) -> None:
    """Log the actions that this host cannot carry out now: a gate that might need one does not start."""
    for name, action in config.actions.items():
        if problem := action.problem_here(os.environ):
            _log.warning("action cannot run on this host", action=name, problem=problem)
