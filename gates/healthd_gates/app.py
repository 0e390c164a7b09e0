"""Builds the gate's parts from the configuration and the daemon's ports, and owns their start and stop."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import replace

import aiohttp
from prometheus_client import CollectorRegistry

from healthd.journal.database import Database
from healthd.monitoring.board import Board
from healthd.runtime.clock import Clock
from healthd_gates.actions.executor import Attempts
from healthd_gates.config.settings import Config
from healthd_gates.domain.gate import Gate
from healthd_gates.engine.action_worker import Carrier, Desk
from healthd_gates.engine.change_events import News
from healthd_gates.engine.metrics import ActionMetrics, GateMetrics, ReplyMetrics, RunningGates
from healthd_gates.engine.observer_factory import Optics
from healthd_gates.engine.replica import Replica
from healthd_gates.engine.runner import Tools
from healthd_gates.engine.service import Gatekeeper
from healthd_gates.engine.supervisor import Roster
from healthd_gates.hooks.callback_worker import Courier
from healthd_gates.store.callbacks import Replies
from healthd_gates.store.gate_store import Ledger
from healthd_gates.store.leases import Leases
from healthd_gates.store.locks import Holds
from healthd_gates.store.outbox import Outbox

Listener = Callable[[Gate, Gate], None]
"""Told of every stored step of a gate that runs here: the gate before it, and after. It must neither block nor fail."""


class Gates:
    """All gates of this process. Built in a running event loop."""

    def __init__(
        self,
        config: Config,
        *,
        database: Database,
        board: Board,
        clock: Clock,
        registry: CollectorRegistry,
        redact: Callable[[str], str],
        listener: Listener,
    ) -> None:
        self.replica = replica = f"{socket.gethostname()}:{secrets.token_hex(6)}"
        self._listener, self._news = listener, News()
        self.ledger = Ledger(database, clock)
        self.metrics = GateMetrics(registry)
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        optics = Optics(self.ledger, clock, board, self._session, redact)
        self.outbox = Outbox(database, replica)
        attempts = Attempts(clock, redact, os.environ)
        desk = Desk(self.outbox, self.ledger, attempts, ActionMetrics(registry), self._news, clock)
        self._carrier = Carrier(desk, config)
        tools = Tools(optics, self.outbox, self._news, self._changed, self._inherited, self.metrics.late.observe)
        leases = Leases(database, replica, config.gates.lease)
        self._roster = Roster(leases, tools, config, self.metrics, self._news)
        registry.register(RunningGates(self._roster.gates))
        self._replica = Replica(self.ledger, leases, self._roster, clock, self.metrics)
        self.gatekeeper = Gatekeeper(
            self._roster, self.ledger, Holds(database), self.outbox, attempts, self._news, clock, replica=replica
        )

        self.courier = Courier(
            Replies(database),
            self.gatekeeper,
            config.hooks,
            clock=clock,
            metrics=ReplyMetrics(registry),
            redact=redact,
        )

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._replica.run(), name="replica")
            tasks.create_task(self._carrier.run(), name="carrier")
            tasks.create_task(self.courier.run(), name="courier")

    def reconfigure(self, config: Config) -> None:
        """For gates that start from now on; those that run keep their policy."""
        self._roster.config = self._carrier.config = config
        self.courier.reconfigure(config.hooks)

    def drain(self) -> None:
        """Take no more gates."""
        self.gatekeeper.draining = True

    async def close(self) -> None:
        """Stop every gate where it stands and leave it to another replica, or to the next start."""
        self.drain()
        await self.courier.close()
        await self._carrier.close()
        await self._replica.close()
        await self._session.close()

    def _inherited(self, gate: Gate) -> None:
        self.metrics.inherited(gate)
        self._listener(replace(gate, rollback=None), gate)

    def _changed(self, before: Gate, after: Gate) -> None:
        self.metrics.changed(before, after)
        self._news.publish(after.id)
        if after.decision is not before.decision or after.rollback is not before.rollback:
            self._carrier.wake()
            self.courier.wake()
        self._listener(before, after)
