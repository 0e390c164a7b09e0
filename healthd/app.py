"""Composition root: the one place that builds everything and does start, reload and stop."""

from __future__ import annotations

import asyncio
import atexit
import gc
import io
import os
import signal
import socket
import sys
import uuid
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from traceback import format_tb

import structlog
from aiohttp import web
from pydantic import SecretStr

from healthd import logs, sentry
from healthd.checks.contract import CheckConfig
from healthd.checks.heartbeat_record import Records
from healthd.config.file import ConfigError
from healthd.config.in_force import InForce
from healthd.config.rereading import read_again
from healthd.journal import tables as journal_tables
from healthd.journal.database import Database, JournalError
from healthd.journal.heartbeats import HeartbeatStore
from healthd.journal.journal import Journal
from healthd.journal.past import Past
from healthd.journal.windows import WindowStore
from healthd.metrics import Metrics
from healthd.model import Probe, Transition
from healthd.monitoring.board import Board
from healthd.monitoring.heartbeats import Heartbeats
from healthd.monitoring.monitor import Listener
from healthd.monitoring.schedule import Schedule
from healthd.monitoring.suite import Suite
from healthd.monitoring.windows import Windows
from healthd.notify.notifications import Notifications
from healthd.notify.replica_store import Identity, ReplicaStore
from healthd.notify.replicas import Replicas
from healthd.notify.told import Memory
from healthd.notify.told_store import JournalStore
from healthd.runtime import descriptors, early_signals
from healthd.runtime.clock import Clock, SystemClock
from healthd.runtime.deadline import with_deadline
from healthd.runtime.ending import end_within
from healthd.runtime.line_writer import LineWriter
from healthd.runtime.redaction import Redactor, secrets_of
from healthd.runtime.systemd import ServiceManager
from healthd.runtime.tasks import Pulse, Tasks
from healthd.runtime.watchdog import Watchdog
from healthd.web import agent_check, server
from healthd.web.auth import Guard
from healthd.web.checks_api import ChecksApi
from healthd.web.health import HealthEndpoints
from healthd.web.heartbeats_api import HeartbeatsApi
from healthd.web.history_api import HistoryApi
from healthd.web.pages.api_docs import ApiDocs
from healthd.web.pages.renderer import Renderer
from healthd.web.pages.status import StatusPage
from healthd.web.pages.stream import Streams
from healthd.web.refusals import Refusals
from healthd.web.windows_api import WindowsApi
from healthd_gates.app import Gates
from healthd_gates.config.settings import Config as Config
from healthd_gates.domain.gate import Gate
from healthd_gates.engine import notifications as gate_news
from healthd_gates.pages.acts import GateActs
from healthd_gates.pages.gate_history import GateHistories
from healthd_gates.pages.page import GatePage
from healthd_gates.pages.recent import RecentGates
from healthd_gates.router import GateApi
from healthd_gates.store import tables as gate_tables

_log = structlog.get_logger(__name__)
_LAST_WORDS = 5.0  # seconds to write the journal when the daemon stops
_LONGEST_END = 20.0  # seconds that an orderly stop may take after the drain; then the process ends anyway
UNTIL_RESTART = ("http.listen", "http.agent_check", "sentry.dsn", "journal", "gates.enabled", "gates.lease_duration")


class Daemon:
    """Daemon with everything that runs, built from one configuration."""

    def __init__(self, settings: Config, config_file: Path | None, clock: Clock | None = None) -> None:
        clock = clock or SystemClock()
        self._in_force, self._config_file = InForce(_explicit(settings), until_restart=UNTIL_RESTART), config_file
        self.redact = Redactor(secrets_of(settings))
        self.board = Board(clock)
        self.metrics = Metrics(self.board, settings.version, settings.environment)
        self.pulse = Pulse()
        self.schedule = Schedule(
            lambda check, reason: self.metrics.skipped.labels(check, reason).inc(), lambda: self.pulse.beat("schedule")
        )
        records = Records(shared=True)
        self.suite = Suite(
            board=self.board,
            schedule=self.schedule,
            clock=clock,
            redact=self.redact,
            listener=Listener(self._probed, self._changed),
            environ=os.environ,
            heartbeats=records,
        )
        self.refusals = Refusals(lambda reason: self.metrics.http_refused.labels(reason).inc())
        guard = Guard(self._in_force, self.refusals, clock)
        self.health = HealthEndpoints(self.board, guard, self._in_force, clock, stuck=lambda: self.pulse.stuck)
        self.checks_api = ChecksApi(self.suite, self.board, guard)
        self.database = Database(settings.journal_url, clock, (journal_tables.BRANCH, gate_tables.BRANCH))
        self.journal = Journal(self.database, clock, lambda: self.settings.retention)
        self.windows = Windows(self.board, WindowStore(self.database, clock), clock)
        self.windows_api = WindowsApi(
            self.windows,
            self.board,
            guard,
            clock,
            lambda: {name: service.labels for name, service in self.settings.services.items()},
        )
        heartbeat_names = lambda: (n for n, c in self.settings.active_checks.items() if c.kind == "heartbeat")  # noqa: E731
        self.heartbeats = Heartbeats(records, HeartbeatStore(self.database, clock), clock, heartbeat_names)
        self.heartbeats_api = HeartbeatsApi(
            self.heartbeats, self.suite, self.board, guard, self._in_force, clock, self.redact
        )
        self.history_api = HistoryApi(Past(self.database), self.board, guard, self._in_force, clock, self.redact)
        self.metrics.watch_heartbeats(lambda: self.heartbeats.unsaved)
        self.metrics.watch_windows(
            lambda: Counter(window.kind for window in self.windows.all()), lambda: self.windows.unsaved
        )
        self.metrics.watch_journal(lambda: self.journal.waiting, lambda: self.database.works)
        self.renderer, self.streams = Renderer(), Streams(clock)
        self.api_docs = ApiDocs(self.renderer)
        self.page = StatusPage(
            board=self.board,
            health=self.health,
            guard=guard,
            settings=self._in_force,
            clock=clock,
            journal=self.journal,
            renderer=self.renderer,
            streams=self.streams,
        )
        self.gates: Gates | None = None
        self.gate_api: GateApi | None = None
        self.gate_page: GatePage | None = None
        self.gate_acts: GateActs | None = None
        self.systemd = ServiceManager(os.environ)
        self.watchdog = Watchdog(
            lagged=self._lagged,
            stalled=self.metrics.loop_stalls.inc,
            alive=self._tell_manager_of_life,
            alive_every=self.systemd.patience / 2 if self.systemd.patience else None,
        )
        self.reports: sentry.Reports | None = None
        self.notifications: Notifications | None = None
        self._clock, self._guard = clock, guard
        self._reload, self._stopping = asyncio.Event(), asyncio.Event()
        self._log_writer: LineWriter | None = None

    @property
    def settings(self) -> Config:
        """Configuration in force."""
        return self._in_force.now

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises CannotListenError."""
        self._speak()
        self._heed_signals()
        descriptors.raise_limit()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._fall_silent)
            stack.push_async_callback(self._close_journal)
            stack.push_async_callback(self.suite.close)
            await self.suite.arrange(self.settings)
            self.notifications = self._notifications()
            stack.push_async_callback(self.notifications.close)
            await self._listen(stack)
            self._loaded()
            gc.collect()  # what the start has dropped; frozen, it would stay for ever
            gc.freeze()  # imported objects stay: collecting garbage among them stops the event loop for 0.1 s
            self.systemd.ready()
            _log.info("serving", address=self.settings.http.listen, checks=list(self.settings.active_checks))
            works = {
                "schedule": self.schedule.run,
                "overdue": lambda: self.suite.watch_overdue(lambda: self.pulse.beat("overdue")),
                "watchdog": self.watchdog.run,
                "reload": self._reload_when_told,
                "journal": self.journal.run,
                "notifications": self.notifications.run,
                "windows": self.windows.run,
                "heartbeats": self.heartbeats.run,
            }
            if self.gates is not None:
                works["gates"] = self.gates.run
            for vital in ("loop", "schedule", "overdue"):
                self.pulse.beat(vital)
            tasks = Tasks(lambda name: self.metrics.task_failures.labels(name).inc())
            # The suite is closed first: a scheduler that is stopped during a probe logs that as an error.
            await tasks.run(works, self._stopping, self.suite.close)

    def assemble(self) -> web.Application:
        """Build the gates and the application, with every route and every metric; neither runs yet. Needs a running
        event loop; call it once."""
        self._build_gates()
        routes = [
            *self.page.routes(),
            *self.api_docs.routes(),
            *self.windows_api.routes(),
            *self.heartbeats_api.routes(),
            *self.history_api.routes(),
        ]
        if self.gate_api is not None and self.gate_page is not None and self.gate_acts is not None:
            routes += [*self.gate_api.routes(), *self.gate_page.routes(), *self.gate_acts.routes()]
            self.api_docs.add(self.gate_api.operations)
        return server.build(self.health, self.checks_api, self.metrics, routes)

    async def _listen(self, stack: AsyncExitStack) -> None:
        http, app = self.settings.http, self.assemble()
        serving = await server.listen(app, http.listen, self.refusals)
        stack.push_async_callback(serving.close)
        stack.callback(self.streams.stop)
        if self.gate_api is not None:
            stack.callback(self.gate_api.drain)
        if http.agent_check is not None:
            agent = await agent_check.listen(self.board, http.agent_check)
            stack.callback(agent.close)

    def _notifications(self) -> Notifications:
        host = socket.gethostname()
        identity = Identity(
            uuid.uuid4().hex, f"{host} {self.settings.http.listen}", host, lambda: self.settings.environment
        )
        memory = Memory(JournalStore(self.database, self._clock, identity.id))
        return Notifications(
            self.settings,
            board=self.board,
            clock=self._clock,
            redact=self.redact,
            metrics=self.metrics,
            memory=memory,
            replicas=Replicas(host, memory, self._clock, ReplicaStore(self.database, identity)),
        )

    def _build_gates(self) -> None:
        if not self.settings.gates.enabled:
            return
        self.gates = Gates(
            self._in_force,
            database=self.database,
            board=self.board,
            clock=self._clock,
            registry=self.metrics.registry,
            redact=self.redact,
            listener=self._gate_changed,
        )
        gate_service = self.gates.gate_service
        self.gate_api = GateApi(gate_service, self.gates.runs, self._guard, self._clock)
        gate_histories = GateHistories(gate_service, self.gates.gate_store, self.gates.outbox)
        self.gate_page = GatePage(gate_histories, self._guard, self._clock, self.renderer, self.streams)
        self.gate_acts = GateActs(gate_service, self.gate_api.reach, self._guard, self.renderer, self.gate_page.renew)
        gate_service.freezes = self.windows.freezes
        self.page.deploys = RecentGates(gate_service)
        self.page.troubles = self.health.troubles = self.gates.troubles

    async def _close_journal(self) -> None:
        try:
            await with_deadline(_LAST_WORDS, self._write_the_rest(), name="journal's end")
        except (JournalError, TimeoutError) as error:
            _log.warning("last transitions not stored in the journal", problem=str(error))

    async def _write_the_rest(self) -> None:
        if self.gates is not None:
            await self.gates.close()
        try:
            await self.journal.flush()
            await self.heartbeats.flush()
        finally:
            await self.database.close()

    async def reload(self) -> None:
        """Read the file again. An invalid one is refused as a whole, and the daemon goes on with the old
        configuration."""
        _log.info("reading configuration", file=str(self._config_file) if self._config_file else None)
        try:
            settings = await read_again(self._config_file, Config, os.environ)
        except ConfigError as error:
            self.metrics.reload_ok.set(0)
            problems = [str(problem) for problem in error.problems]
            # Where an unexpected error was raised, and not its text, which may quote a secret that is not in force.
            fault = {"fault": "".join(format_tb(error.__cause__.__traceback__))} if error.__cause__ else {}
            _log.error("configuration refused, previous configuration stays in force", problems=problems, **fault)
            return
        await self._take(settings)

    async def _take(self, settings: Config) -> None:
        self.redact.learn(secrets_of(settings))
        gone = self.settings.active_checks.keys() - settings.active_checks.keys()
        for option in self._in_force.replace(_explicit(settings)):
            _log.warning(f"{option} changes only with a restart")
        settings = self.settings
        logs.configure(settings.log, self.redact, self._log_writer)
        if self.reports is not None:
            self.reports.environment = settings.environment
        self.page.arrange()
        if self.gates is not None:
            self.gates.arrange()
        await self.suite.arrange(settings)
        self.heartbeats.look()
        for name in gone:
            self.metrics.forget_check(name)
        if self.notifications is not None:
            self.notifications.reconfigure(settings)
        self._loaded()
        _log.info("configuration loaded", checks=list(settings.active_checks))

    async def _reload_when_told(self) -> None:
        while True:
            await self._reload.wait()
            self._reload.clear()
            self.systemd.reloading()
            try:
                await self.reload()
            except Exception:  # a bug of ours: the daemon survives it, and a metric counts it
                self.metrics.reload_ok.set(0)
                _log.exception("configuration reload failed, new configuration only partly in force")
            self.systemd.ready()

    def _loaded(self) -> None:
        self.metrics.identify(self.settings.version, self.settings.environment)
        self.metrics.reload_ok.set(1)
        self.metrics.reload_at.set(self._clock.now().timestamp())
        for note in self.settings.notes:
            _log.warning(note)
        if not self.board.group("ready").checks:
            _log.warning("no check decides about readiness: mark one critical, or name some under groups.ready")
        if self.gates is not None and not (self.settings.auth.tokens or self.settings.auth.identities):
            _log.warning("no token is configured: nobody may ask a gate; `healthd token new` makes one")

    def _heed_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._reload.set)
        if early_signals.reload_came():
            self._reload.set()

        def end(told: int, _frame: object) -> None:
            """Handle the signal between any two instructions, so also where the event loop is blocked."""
            drain = told == signal.SIGTERM and not self.board.draining
            loop.call_soon_threadsafe(self._drain if drain else self._stopping.set)
            end_within(_LONGEST_END + (self.settings.http.drain if drain else 0.0))

        signal.signal(signal.SIGINT, end)
        signal.signal(signal.SIGTERM, end)

    def _drain(self) -> None:
        """Become not ready at once, so that load balancers send traffic elsewhere; stay alive and serve until they do.
        A second signal ends the wait."""
        if self.board.draining:
            self._stopping.set()
            return
        self.board.drain()
        if self.gates is not None and self.gate_api is not None:
            self.gates.drain()
            self.gate_api.drain()
        self.systemd.stopping()
        _log.info("draining", seconds=self.settings.http.drain)
        asyncio.get_running_loop().call_later(self.settings.http.drain, self._stopping.set)

    def _speak(self) -> None:
        self._log_writer = _log_writer()
        if self._log_writer is not None:
            atexit.register(self._log_writer.close)
            self.metrics.watch_log(self._log_writer.count_dropped)
        logs.configure(self.settings.log, self.redact, self._log_writer)
        logs.catch_the_uncaught()
        logs.catch_the_uncaught_in(asyncio.get_running_loop())
        self.reports = sentry.start(self.settings, self.redact)

    async def _fall_silent(self) -> None:
        _log.info("stopped")
        if self.reports is not None:
            await asyncio.to_thread(self.reports.close)

    def _probed(self, name: str, config: CheckConfig, probe: Probe) -> None:
        self.metrics.probed(name, config, probe)
        self.page.history.probed(name, probe)

    def _changed(self, transition: Transition, config: CheckConfig) -> None:
        self.metrics.changed(transition, config)
        self.journal.changed(transition)
        self.windows.changed(transition)
        self.page.history.changed(transition)
        if self.notifications is not None:
            self.notifications.changed()
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

    def _gate_changed(self, before: Gate, after: Gate) -> None:
        gate_news.log(before, after)
        if self.notifications is not None:
            service = self.settings.services.get(after.service)
            for notice in gate_news.notices(before, after, self.settings.http.external_url):
                self.notifications.tell(replace(notice, labels=service.labels if service else {}))

    def _lagged(self, seconds: float) -> None:
        self.metrics.loop_lag.observe(seconds)
        self.pulse.beat("loop")

    def _tell_manager_of_life(self) -> None:
        if not self.pulse.stuck:
            self.systemd.alive()


def _explicit(settings: Config) -> Config:
    """Return the settings with the journal named explicitly: its default depends on the environment, which a reload may
    change."""
    return settings.model_copy(update={"journal": SecretStr(settings.journal_url)})


def _log_writer() -> LineWriter | None:
    """Return a writer for the log; None where standard error is no file of the system, as under some tools."""
    try:
        return LineWriter(sys.stderr.fileno())
    except (AttributeError, OSError, ValueError, io.UnsupportedOperation):
        return None
