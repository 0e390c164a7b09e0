"""Order of the daemon's start, reload and stop.

Health is served first. What else there is (see `rest` and `gates`) is imported beside it, in a thread, and put to work
when it is there; a fault or a hang of it leaves health as it is.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import io
import os
import sys
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from importlib import import_module
from pathlib import Path
from traceback import format_tb
from typing import TYPE_CHECKING, Any

import structlog
from aiohttp import web

from healthd import logs, sentry
from healthd.app.health import UNTIL_RESTART as UNTIL_RESTART
from healthd.app.health import Health, explicit
from healthd.app.signals import Signals
from healthd.checks.contract import CheckConfig
from healthd.config.file import ConfigError
from healthd.config.rereading import read_again
from healthd.model import Probe, Transition
from healthd.monitoring.monitor import Listener
from healthd.runtime import descriptors
from healthd.runtime.clock import Clock, SystemClock
from healthd.runtime.closing import close_part
from healthd.runtime.daemon_thread import in_daemon_thread
from healthd.runtime.line_writer import LineWriter
from healthd.runtime.systemd import ServiceManager
from healthd.runtime.tasks import Tasks, Work
from healthd.runtime.watchdog import Watchdog
from healthd.web import agent_check, server
from healthd.web.starting import LateCalls
from healthd_gates.config.settings import Config

if TYPE_CHECKING:
    from healthd.app.gates import GatePart
    from healthd.app.rest import Rest

_log = structlog.get_logger(__name__)
_PATIENCE = 15.0  # seconds after which checks run although the rest is not loaded
_MOST_EARLY = 10_000  # transitions that are kept until the journal is loaded; of more, the oldest are lost to it


class Daemon:
    """Daemon with everything that runs, built from one configuration."""

    def __init__(self, settings: Config, config_file: Path | None, clock: Clock | None = None) -> None:
        self._config_file, self._clock = config_file, clock or SystemClock()
        self.health = Health(settings, self._clock, Listener(self._probed, self._changed))
        self.rest: Rest | None = None
        self.gates: GatePart | None = None
        self.systemd = ServiceManager(os.environ)
        self.watchdog = Watchdog(
            lagged=self._lagged,
            stalled=self.health.metrics.loop_stalls.inc,
            alive=self._tell_manager_of_life,
            alive_every=self.systemd.patience / 2 if self.systemd.patience else None,
        )
        self.reports: sentry.Reports | None = None
        self._tasks = Tasks(self._failed)
        self._signals = Signals(self.health.board, lambda: self.settings.http.drain, self._drain)
        self._settled = asyncio.Event()  # the rest is loaded, or will not be
        self._late_calls = LateCalls()
        self._early: deque[Transition] = deque(maxlen=_MOST_EARLY)
        self._log_writer: LineWriter | None = None

    @property
    def settings(self) -> Config:
        """Configuration in force."""
        return self.health.settings

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises CannotListenError."""
        self._speak()
        self._signals.heed()
        descriptors.raise_limit()
        suite = self.health.suite
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._fall_silent)
            stack.push_async_callback(close_part, "journal", self._close_journal)
            stack.push_async_callback(close_part, "checks", suite.close)
            await suite.arrange(self.settings)
            stack.push_async_callback(self._close_notifications)
            serving = await self._listen(stack)
            _log.info("serving", address=self.settings.http.listen, checks=list(self.settings.active_checks))
            self._loaded()
            for vital in ("loop", "schedule", "overdue"):
                self.health.pulse.beat(vital)
            loading = asyncio.create_task(self._load(serving), name="loading")
            stack.callback(loading.cancel)
            works: dict[str, Work] = {
                "watchdog": self.watchdog.run,
                "schedule": lambda: self._once_settled(self.health.schedule.run),
                "overdue": lambda: suite.watch_overdue(lambda: self.health.pulse.beat("overdue")),
                "reload": lambda: self._once_settled(self._reload_when_told),
            }
            # The suite is closed first: a scheduler that is stopped during a probe logs that as an error.
            await self._tasks.run(works, self._signals.stopping, lambda: close_part("checks", suite.close))

    def assemble(self) -> web.Application:
        """Build what is loaded late, and the application with every route and every metric; nothing of it runs yet.
        Needs a running event loop; call it once."""
        self._build_rest()
        if self.settings.gates.enabled:
            self._build_gates()
        return self._application()

    async def _listen(self, stack: AsyncExitStack) -> server.HttpServer:
        http, health = self.settings.http, self.health
        app = server.build(health.endpoints, health.checks_api, health.metrics, late=self._late_calls)
        serving = await server.listen(app, http.listen, health.refusals)
        stack.push_async_callback(close_part, "server", serving.close)
        stack.callback(self._release_callers)
        if http.agent_check is not None:
            agent = await agent_check.listen(health.board, http.agent_check)
            stack.callback(agent.close)
        return serving

    async def _load(self, serving: server.HttpServer) -> None:
        """Load everything but health, and put it to work. What fails is told, and the others do without it."""
        hanging = asyncio.get_running_loop().call_later(_PATIENCE, self._go_on_without)
        try:
            with suppress(Exception):  # the schedule will tell
                await _import("healthd.monitoring.scheduler")
            await _import("healthd.app.rest")
            works = self._build_rest().works()
            if self.settings.gates.enabled:
                works |= await self._load_gates()
            handler = await serving.prepare(self._application())
            self._tasks.begin(works)
            serving.answer_by(handler)
            self._late_calls.answer_by(handler)
        except Exception:
            self._failed("start")
            self._late_calls.fail()
            _log.exception("health is served alone, the rest of the daemon cannot be loaded")
        finally:
            hanging.cancel()
        self._settle()

    async def _load_gates(self) -> dict[str, Work]:
        try:
            await _import("healthd.app.gates", lambda gates: gates.load())
            return {"gates": self._build_gates().gates.run}
        except Exception:
            self._failed("start")
            _log.exception("gates are not served, they cannot be loaded")
            return {}

    def _go_on_without(self) -> None:
        self._failed("start")
        _log.error("the rest of the daemon is still not loaded, checks run without it", seconds=_PATIENCE)
        self._settle()

    def _settle(self) -> None:
        if self._settled.is_set():
            return
        # Imported objects stay: looking for garbage among them stops the event loop for 0.1 s, for half a megabyte.
        gc.freeze()
        gc.enable()  # which `healthd run` has disabled
        self.systemd.ready()
        self._settled.set()

    async def _once_settled(self, work: Work) -> None:
        """Do a work that imports would slow down, or that would import something itself meanwhile."""
        await self._settled.wait()
        await work()

    def _build_rest(self) -> Rest:
        from healthd.app.rest import Rest

        self.rest = rest = Rest(self.health)
        while self._early:
            rest.changed(self._early.popleft())
        return rest

    def _build_gates(self) -> GatePart:
        from healthd.app.gates import GatePart

        assert self.rest is not None
        self.gates = gates = GatePart(self.health, self.rest)
        if self.health.board.draining:
            gates.drain()
        return gates

    def _application(self) -> web.Application:
        assert self.rest is not None
        routes, unserved = self.rest.routes(), None
        if self.gates is not None:
            routes += self.gates.routes()
        elif self.settings.gates.enabled:
            (unserved := LateCalls()).fail()
        health = self.health
        return server.build(health.endpoints, health.checks_api, health.metrics, routes, unserved)

    def _release_callers(self) -> None:
        """Let those go who wait or follow, so that the server can stop."""
        self._late_calls.stop()
        if self.gates is not None:
            self.gates.drain()
        if self.rest is not None:
            self.rest.streams.stop()

    async def _close_notifications(self) -> None:
        if self.rest is not None:
            if self.gates is not None:
                await close_part("last spans", self.gates.flush_spans)
            await asyncio.gather(
                close_part("notifications", self.rest.notifications.close),
                close_part("otlp", self.rest.exporter.close),
            )

    async def _close_journal(self) -> None:
        if self.rest is not None:
            await self.rest.close(self.gates.gates.close if self.gates is not None else None)

    async def reload(self) -> None:
        """Read the file again. An invalid one is refused as a whole, and the daemon goes on with the old
        configuration."""
        _log.info("reading configuration", file=str(self._config_file) if self._config_file else None)
        try:
            settings = await read_again(self._config_file, Config, os.environ)
        except ConfigError as error:
            self.health.metrics.reload_ok.set(0)
            problems = [str(problem) for problem in error.problems]
            # Where an unexpected error was raised, and not its text, which may quote a secret that is not in force.
            fault = {"fault": "".join(format_tb(error.__cause__.__traceback__))} if error.__cause__ else {}
            _log.error("configuration refused, previous configuration stays in force", problems=problems, **fault)
            return
        await self._take(settings)

    async def _take(self, settings: Config) -> None:
        health = self.health
        health.redact.learn_from(settings)
        gone = self.settings.active_checks.keys() - settings.active_checks.keys()
        for option in health.in_force.replace(explicit(settings)):
            _log.warning(f"{option} changes only with a restart")
        settings = self.settings
        logs.configure(settings.log, health.redact, self._log_writer)
        if self.reports is not None:
            self.reports.environment = settings.environment
        if self.rest is not None:
            self.rest.page.arrange()
        if self.gates is not None:
            self.gates.gates.arrange()
        await health.suite.arrange(settings)
        for name in gone:
            health.metrics.forget_check(name)
        if self.rest is not None:
            self.rest.arrange(settings)
        self._loaded()
        _log.info("configuration loaded", checks=list(settings.active_checks))

    async def _reload_when_told(self) -> None:
        while True:
            await self._signals.reload.wait()
            self._signals.reload.clear()
            self.systemd.reloading()
            try:
                await self.reload()
            except Exception:  # a bug of ours: the daemon survives it, and a metric counts it
                self.health.metrics.reload_ok.set(0)
                _log.exception("configuration reload failed, new configuration only partly in force")
            self.systemd.ready()

    def _loaded(self) -> None:
        metrics, settings = self.health.metrics, self.settings
        metrics.identify(settings.version, settings.environment)
        metrics.reload_ok.set(1)
        metrics.reload_at.set(self._clock.now().timestamp())
        for note in settings.notes:
            _log.warning(note)
        if not self.health.board.group("ready").checks:
            _log.warning("no check decides about readiness: mark one critical, or name some under groups.ready")
        if settings.gates.enabled and not settings.auth.grants:
            _log.warning("no token is configured: nobody may ask a gate; `healthd token new` makes one")

    def _drain(self) -> None:
        if self.gates is not None:
            self.gates.drain()
        self.systemd.stopping()

    def _speak(self) -> None:
        health = self.health
        self._log_writer = _log_writer()
        if self._log_writer is not None:
            atexit.register(self._log_writer.close)
            health.metrics.watch_log(self._log_writer.count_dropped)
        logs.configure(self.settings.log, health.redact, self._log_writer)
        logs.catch_the_uncaught()
        logs.catch_the_uncaught_in(asyncio.get_running_loop())
        self.reports = sentry.start(self.settings, health.redact)

    async def _fall_silent(self) -> None:
        _log.info("stopped")
        if self.reports is not None:
            await asyncio.to_thread(self.reports.close)

    def _probed(self, name: str, config: CheckConfig, probe: Probe) -> None:
        self.health.metrics.probed(name, config, probe)
        if self.rest is not None:
            self.rest.probed(name, probe)

    def _changed(self, transition: Transition, config: CheckConfig) -> None:
        self.health.metrics.changed(transition, config)
        if self.rest is not None:
            self.rest.changed(transition)
        else:
            self._early.append(transition)
        if self.reports is not None:
            self.reports.changed(transition)
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

    def _failed(self, task: str) -> None:
        self.health.metrics.task_failures.labels(task).inc()

    def _lagged(self, seconds: float) -> None:
        self.health.metrics.loop_lag.observe(seconds)
        self.health.pulse.beat("loop")

    def _tell_manager_of_life(self) -> None:
        if not self.health.pulse.stuck:
            self.systemd.alive()


async def _import(module: str, then: Callable[[Any], None] = lambda _: None) -> None:
    """Import a module beside the event loop, and what it needs later. Raises whatever it raises."""
    try:
        await in_daemon_thread(lambda: then(import_module(module)), name=f"import {module}")
    except SystemExit as error:  # of somebody's package
        raise ImportError(f"{module} wants to end the process") from error


def _log_writer() -> LineWriter | None:
    """Return a writer for the log; None where standard error is no file of the system, as under some tools."""
    try:
        return LineWriter(sys.stderr.fileno())
    except (AttributeError, OSError, ValueError, io.UnsupportedOperation):
        return None
