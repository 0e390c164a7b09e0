"""The composition root: the one place that builds everything and owns start, reload and stop."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import structlog

from healthd import logs
from healthd.board import Board
from healthd.checks.contract import CheckConfig
from healthd.clock import Clock, SystemClock
from healthd.configfile import ConfigError, load
from healthd.metrics import Metrics
from healthd.model import Probe, Transition
from healthd.monitor import Listener
from healthd.redaction import Redactor, secrets_of
from healthd.schedule import Schedule
from healthd.settings import Settings
from healthd.suite import Suite
from healthd.web import server
from healthd.web.auth import Guard
from healthd.web.checks_api import ChecksApi
from healthd.web.health import HealthEndpoints

_log = structlog.get_logger(__name__)


Config = Settings


class Daemon:
    """Everything that runs, from one configuration."""

    def __init__(self, settings: Settings, config_file: Path | None, clock: Clock | None = None) -> None:
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
        self._clock = clock
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises OSError when the address is taken."""
        logs.configure(self.settings.log, self.redact)
        self._handle_signals()
        await self.suite.arrange(self.settings)
        runner = await server.listen(
            server.build(self.health, self.checks_api, self.metrics, []), self.settings.http.listen
        )
        self._loaded(ok=True)
        _log.info("serving", address=self.settings.http.listen, checks=list(self.settings.active_checks))
        try:
            async with asyncio.TaskGroup() as tasks:
                owned = [
                    tasks.create_task(self.schedule.run(), name="schedule"),
                    tasks.create_task(self.suite.watch_overdue(), name="overdue"),
                ]
                await self._stopping.wait()
                for task in owned:
                    task.cancel()
        finally:
            await self.suite.close()
            await runner.cleanup()
            _log.info("stopped")

    async def reload(self) -> None:
        """Read the file again. An invalid one is refused whole, and what runs goes on."""
        try:
            settings = load(self._config_file, Settings, os.environ)
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
        _log.info("draining", seconds=self.settings.http.drain)
        await asyncio.sleep(self.settings.http.drain)
        self._stopping.set()

    def _probed(self, name: str, config: CheckConfig, probe: Probe) -> None:
        self.metrics.probed(name, config, probe)

    def _changed(self, transition: Transition, config: CheckConfig) -> None:
        self.metrics.changed(transition, config)
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
