"""Order of the daemon's start and stop: health is served first, and what else there is (see `late_parts`) beside it."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from healthd.app.health import Health
from healthd.app.late_parts import LateParts
from healthd.app.reloading import Reloading
from healthd.app.reporting import Reporting
from healthd.app.signals import Signals
from healthd.checks.contract import CheckConfig
from healthd.http.outgoing import Way, put_in_force
from healthd.model import Probe, Transition
from healthd.monitoring.monitor import Listener
from healthd.runtime import descriptors
from healthd.runtime.clock import Clock, SystemClock
from healthd.runtime.closing import close_part
from healthd.runtime.systemd import ServiceManager
from healthd.runtime.tasks import Tasks, Work
from healthd.runtime.watchdog import Watchdog
from healthd.web import agent_check, server
from healthd_gates.config.settings import Config

_log = structlog.get_logger(__name__)


class Daemon:
    """Daemon with everything that runs, built from one configuration."""

    def __init__(self, settings: Config, config_file: Path | None, clock: Clock | None = None) -> None:
        self.health = Health(settings, clock or SystemClock(), Listener(self._probed, self._changed))
        self._systemd = ServiceManager(os.environ)
        self._tasks = Tasks(lambda task: self.health.metrics.task_failures.labels(task).inc())
        self.parts = LateParts(self.health, self._tasks, self._systemd.ready)
        self._reporting = Reporting(self.health)
        self.reloading = Reloading(config_file, self.health, self.parts, self._reporting)
        self._signals = Signals(self.health.board, lambda: self.settings.http.drain, self._drain)
        self._watchdog = Watchdog(
            lagged=self._lagged,
            stalled=self.health.metrics.loop_stalls.inc,
            alive=self._tell_manager_of_life,
            alive_every=self._systemd.patience / 2 if self._systemd.patience else None,
        )

    @property
    def settings(self) -> Config:
        """Configuration in force."""
        return self.health.settings

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises CannotListenError."""
        self._reporting.start()
        self._signals.heed()
        descriptors.raise_limit()
        suite, parts = self.health.suite, self.parts
        async with AsyncExitStack() as stack:
            stack.callback(put_in_force, Way())
            put_in_force(self.settings.outgoing.way)
            stack.push_async_callback(self._reporting.stop)
            stack.push_async_callback(close_part, "journal", parts.close_journal)
            stack.push_async_callback(close_part, "checks", suite.close)
            await suite.arrange(self.settings)
            stack.push_async_callback(parts.close_notifications)
            serving = await self._listen(stack)
            _log.info("serving", address=self.settings.http.listen, checks=list(self.settings.active_checks))
            self.reloading.loaded()
            for vital in ("loop", "schedule", "overdue"):
                self.health.pulse.beat(vital)
            loading = asyncio.create_task(parts.load(serving), name="loading")
            stack.callback(loading.cancel)
            works: dict[str, Work] = {
                "watchdog": self._watchdog.run,
                "schedule": lambda: parts.once_settled(self.health.schedule.run),
                "overdue": lambda: suite.watch_overdue(lambda: self.health.pulse.beat("overdue")),
                "reload": lambda: parts.once_settled(self._reload_when_told),
            }
            # The suite is closed first: a scheduler that is stopped during a probe logs that as an error.
            await self._tasks.run(works, self._signals.stopping, lambda: close_part("checks", suite.close))

    async def _listen(self, stack: AsyncExitStack) -> server.HttpServer:
        http, health = self.settings.http, self.health
        app = server.build(health.endpoints, health.checks_api, health.metrics, late=self.parts.late_calls)
        serving = await server.listen(app, http.listen, health.refusals)
        stack.push_async_callback(close_part, "server", serving.close)
        stack.callback(self.parts.release_callers)
        if http.agent_check is not None:
            agent = await agent_check.listen(health.board, http.agent_check)
            stack.callback(agent.close)
        return serving

    async def _reload_when_told(self) -> None:
        while True:
            await self._signals.reload.wait()
            self._signals.reload.clear()
            self._systemd.reloading()
            await self.reloading.reload()
            self._systemd.ready()
            await self.reloading.follow(self._signals.reload)

    def _drain(self) -> None:
        self.parts.drain()
        self._systemd.stopping()

    def _probed(self, name: str, config: CheckConfig, probe: Probe) -> None:
        self.health.metrics.probed(name, config, probe)
        self.parts.probed(name, probe)

    def _changed(self, transition: Transition, config: CheckConfig) -> None:
        self.health.metrics.changed(transition, config)
        self.parts.changed(transition)
        self._reporting.changed(transition)

    def _lagged(self, seconds: float) -> None:
        self.health.metrics.loop_lag.observe(seconds)
        self.health.pulse.beat("loop")

    def _tell_manager_of_life(self) -> None:
        if not self.health.pulse.stuck:
            self._systemd.alive()
