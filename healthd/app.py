"""The composition root: the one place that builds everything and owns start, reload and stop."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import structlog

from gates.gate import Gate
from gates.settings import Config as Config
from gates.web.routes import GateApi
from gates.wiring import Gates
from healthd import logs
from healthd.board import Board
from healthd.checks.contract import CheckConfig
from healthd.clock import Clock, SystemClock
from healthd.configfile import ConfigError, load
from healthd.journal.database import Database, JournalError
from healthd.journal.journal import Journal
from healthd.metrics import Metrics
from healthd.model import Probe, Transition
from healthd.monitor import Listener
from healthd.redaction import Redactor, secrets_of
from healthd.schedule import Schedule
from healthd.suite import Suite
from healthd.web import server
from healthd.web.auth import Guard
from healthd.web.checks_api import ChecksApi
from healthd.web.health import HealthEndpoints

_log = structlog.get_logger(__name__)
_GATES_PAUSE = 5.0


class Daemon:
    """Everything that runs, from one configuration."""

    def __init__(self, settings: Config, config_file: Path | None, clock: Clock | None = None) -> None:
        clock = clock or SystemClock()
        self.settings, self._config_file = settings, config_file
        self.redact = Redactor(secrets_of(settings))
        self.board = Board(clock)
        self.metrics = Metrics(self.board, settings.version, settings.environment)
        self.schedule = Schedule(lambda check, reason: self.metrics.skipped.labels(check, reason).inc())
        self.suite = Suite(
            board=self.board,
            schedule=self.schedule,
            clock=clock,
            redact=self.redact,
            listener=Listener(self._probed, self._changed),
            environ=os.environ,
        )
        guard = Guard(settings)
        self.health = HealthEndpoints(self.board, guard, settings, clock)
        self.checks_api = ChecksApi(self.suite, self.board, guard)
        self.database = Database(settings.journal_url, clock)
        self.journal = Journal(self.database, clock, settings.retention)
        self.gates: Gates | None = None
        self.gate_api: GateApi | None = None
        self._clock, self._guard = clock, guard
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises OSError when the address is taken."""
        logs.configure(self.settings.log, self.redact)
        self._handle_signals()
        await self.suite.arrange(self.settings)
        self._build_gates()
        routes = self.gate_api.routes() if self.gate_api else []
        app = server.build(self.health, self.checks_api, self.metrics, routes)
        runner = await server.listen(app, self.settings.http.listen)
        self._loaded(ok=True)
        _log.info("serving", address=self.settings.http.listen, checks=list(self.settings.active_checks))
        try:
            async with asyncio.TaskGroup() as tasks:
                owned = [
                    tasks.create_task(self.schedule.run(), name="schedule"),
                    tasks.create_task(self.suite.watch_overdue(), name="overdue"),
                    tasks.create_task(self.journal.run(), name="journal"),
                    tasks.create_task(self._run_gates(), name="gates"),
                ]
                await self._stopping.wait()
                for task in owned:
                    task.cancel()
        finally:
            if self.gate_api is not None:
                self.gate_api.drain()
            await self.suite.close()
            await runner.cleanup()
            await self._close_journal()
            _log.info("stopped")

    def _build_gates(self) -> None:
        if not self.settings.gates.enabled:
            return
        self.gates = Gates(
            self.settings,
            database=self.database,
            board=self.board,
            clock=self._clock,
            registry=self.metrics.registry,
            redact=self.redact,
            listener=self._gate_changed,
        )
        self.gate_api = GateApi(self.gates.gatekeeper, self._guard, self._clock)

    async def _run_gates(self) -> None:
        """Health is served whatever becomes of the gates: their fault is logged, and they are started again."""
        while self.gates is not None:
            try:
                await self.gates.run()
            except asyncio.CancelledError:
                raise
            except Exception:
                _log.exception("the gates stumbled")
                await asyncio.sleep(_GATES_PAUSE)

    async def _close_journal(self) -> None:
        if self.gates is not None:
            await self.gates.close()
        try:
            await self.journal.flush()
        except JournalError as error:
            _log.warning("the last transitions are not in the journal", problem=str(error))
        await self.database.close()

    async def reload(self) -> None:
        """Read the file again. An invalid one is refused whole, and what runs goes on."""
        try:
            settings = load(self._config_file, Config, os.environ)
        except ConfigError as error:
            self.metrics.reload_ok.set(0)
            _log.error(
                "configuration refused; the one before stays in force", problems=[str(p) for p in error.problems]
            )
            return
        if settings.http.listen != self.settings.http.listen:
            _log.warning("http.listen changes only with a restart", address=self.settings.http.listen)
        self.redact.learn(secrets_of(settings))
        self.settings = settings
        guard = Guard(settings)
        self.health.reconfigure(settings, guard)
        self.checks_api.guard = guard
        if self.gates is not None and self.gate_api is not None:
            self.gates.reconfigure(settings)
            self.gate_api.reconfigure(guard)
        await self.suite.arrange(settings)
        self._loaded(ok=True)
        _log.info("configuration loaded", checks=list(settings.active_checks))

    def _loaded(self, *, ok: bool) -> None:
        self.metrics.reload_ok.set(ok)
        self.metrics.reload_at.set(self._clock.now().timestamp())

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, lambda: loop.create_task(self.reload(), name="reload"))
        loop.add_signal_handler(signal.SIGINT, self._stopping.set)
        loop.add_signal_handler(signal.SIGTERM, lambda: loop.create_task(self._drain(), name="drain"))

    async def _drain(self) -> None:
        """Not ready at once, so that load balancers look elsewhere; alive and serving until they have."""
        self.board.drain()
        if self.gates is not None:
            self.gates.drain()
        _log.info("draining", seconds=self.settings.http.drain)
        await asyncio.sleep(self.settings.http.drain)
        self._stopping.set()

    def _probed(self, name: str, config: CheckConfig, probe: Probe) -> None:
        self.metrics.probed(name, config, probe)

    def _changed(self, transition: Transition, config: CheckConfig) -> None:
        self.metrics.changed(transition, config)
        self.journal.changed(transition)
        result = transition.probe.result if transition.probe else None
        log = _log.info if transition.new.is_up else _log.warning
        log(
            "check changed",
            check=transition.check,
            old=transition.old.value,
            new=transition.new.value,
            kind=result.kind if result else None,
            message=result.message if result else "overdue",
        )

    def _gate_changed(self, before: Gate, after: Gate) -> None:
        if after.state is not before.state or after.decision is not before.decision:
            decision = after.decision
            _log.info(
                "gate",
                gate=after.id,
                service=after.service,
                version=after.candidate.version,
                state=after.state.value,
                verdict=decision.verdict.value if decision else None,
                reason=decision.reason if decision else None,
                rollback=after.rollback.state.value if after.rollback else None,
            )
