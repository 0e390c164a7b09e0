"""This replica among the others: it renews its lease, takes over gates that nobody runs, reports what replicas that
fell silent may not have reported, and deletes old data."""

from __future__ import annotations

import asyncio
from math import inf

import structlog

from healthd.checks.failures import describe
from healthd.journal.errors import JournalError, JournalGoneError
from healthd.runtime.clock import Clock
from healthd_gates.engine.metrics import GateMetrics
from healthd_gates.engine.supervisor import Supervisor
from healthd_gates.store.gate_store import GateStore
from healthd_gates.store.leases import Leases

_log = structlog.get_logger(__name__)
_RENEWALS = 4  # within a lease, so that one that is late or fails loses no gates
_CLEANING_SECONDS = 3600.0
_LATE_SECONDS = 60.0  # by which the look after the end of a lease may be late: on a busy machine, with a slow journal
_FIRST_LOOK_SECONDS = 10.0  # in which a gate that was taken over begins to count
_INHERITING_SECONDS = 15.0


class Replica:
    """Keeps this replica's lease while it runs."""

    def __init__(
        self, gate_store: GateStore, leases: Leases, supervisor: Supervisor, clock: Clock, metrics: GateMetrics
    ) -> None:
        self._gate_store, self._leases, self._supervisor = gate_store, leases, supervisor
        self._clock, self._metrics = clock, metrics
        self._clean_at = self._inherit_at = self._compare_at = 0.0
        self._all_free_at = inf
        self._receiver = supervisor.observer_context.receiver
        self._trouble = ""

    async def run(self) -> None:
        """Run until cancelled. While the journal is down, gates wait and this retries."""
        while True:
            try:
                await self._tend()
            except JournalGoneError as error:  # the database has reported it already
                self._metrics.journal_errors.inc()
                self._trouble = str(error)
            except JournalError as error:
                self._metrics.journal_errors.inc()
                self._tell(str(error))
            except Exception as error:  # a bug of ours must not leave a gate without an owner
                self._metrics.stumbles.inc()
                _log.exception("replica heartbeat failed with an internal error", error=describe(error))
            await asyncio.sleep(self._supervisor.config.gates.lease_duration / _RENEWALS)

    async def close(self) -> None:
        """Leave the gates to the other replicas, or to the next start."""
        self._receiver.unsettle()
        await self._supervisor.close()
        try:
            await self._leases.let_go()
        except JournalError as error:
            _log.warning("gates not released, another replica takes over after the lease", problem=str(error))

    async def _tend(self) -> None:
        await self._gate_store.open()
        began = self._clock.steady()
        if await self._leases.renew() or self._supervisor.unreadable:  # which another replica may have taken meanwhile
            await self._supervisor.take_over_orphans()
        await self._await_telemetry(began)
        if self._clock.steady() >= self._compare_at:  # it is a look for what should never be
            await self._supervisor.take_back()
            self._compare_at = self._clock.steady() + self._supervisor.config.gates.lease_duration / 2
        self._metrics.unreadable.set(len(self._supervisor.unreadable))
        if self._clock.steady() >= self._inherit_at:
            await self._supervisor.inherit()
            self._inherit_at = self._clock.steady() + _INHERITING_SECONDS
        if self._clock.steady() >= self._clean_at:
            config = self._supervisor.config
            await self._gate_store.clean(config.retention, config.gates.keep_evaluations)
            self._clean_at = self._clock.steady() + _CLEANING_SECONDS
        self._tell("")

    async def _await_telemetry(self, began: float) -> None:
        """Keep the senders of telemetry waiting for gates that are about to go on here, and for no others. The look for
        gates to take over began at `began`."""
        if not self._receiver.is_settled:  # the gates of a process that was killed are free after its lease
            lease = self._supervisor.config.gates.lease_duration
            self._all_free_at = self._clock.steady() + lease
            self._receiver.settle(await self._leases.under_way(), lease + _LATE_SECONDS)
        elif self._receiver.is_waiting:  # no longer for what another replica has renewed its lease for
            seconds = _FIRST_LOOK_SECONDS if began >= self._all_free_at else inf
            self._receiver.await_only(await self._leases.under_way(), seconds)

    def _tell(self, trouble: str) -> None:
        """Log trouble when it begins and when it ends, not at every attempt."""
        if trouble and trouble != self._trouble:
            _log.error("gate journal unavailable", problem=trouble)
        elif self._trouble and not trouble:
            _log.info("gate journal available again")
        self._trouble = trouble
