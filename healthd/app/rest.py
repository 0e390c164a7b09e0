"""Second part of the daemon: journal, notifications, windows, heartbeats, incidents, history and pages. It is loaded
once health is served, and a fault in it leaves health as it is."""

from __future__ import annotations

import socket
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiohttp import web

from healthd.app.health import Health
from healthd.journal import tables as journal_tables
from healthd.journal.database import Database, JournalError
from healthd.journal.ended_sessions import EndedSessionStore
from healthd.journal.findings import FindingStore
from healthd.journal.heartbeats import HeartbeatStore
from healthd.journal.incidents import IncidentStore
from healthd.journal.journal import Journal
from healthd.journal.leases import Identity
from healthd.journal.past import Past
from healthd.journal.windows import WindowStore
from healthd.model import Probe, Transition
from healthd.monitoring.earlier import Earlier
from healthd.monitoring.heartbeats import Heartbeats
from healthd.monitoring.incidents import Incidents
from healthd.monitoring.spread import Spread
from healthd.monitoring.windows import Windows
from healthd.notify.notifications import Notifications
from healthd.notify.replica_store import ReplicaStore
from healthd.notify.replicas import Replicas
from healthd.notify.told import Memory
from healthd.notify.told_store import JournalStore
from healthd.otlp.books import export_metrics
from healthd.otlp.exporter import Exporter
from healthd.runtime.closing import close_part
from healthd.runtime.deadline import with_deadline
from healthd.runtime.tasks import Work
from healthd.web.ended_sessions import EndedSessions
from healthd.web.heartbeats_api import HeartbeatsApi
from healthd.web.history_api import HistoryApi
from healthd.web.incidents_api import IncidentsApi
from healthd.web.pages.api_docs import ApiDocs
from healthd.web.pages.check import CheckPages
from healthd.web.pages.renderer import Renderer
from healthd.web.pages.sign_in import SignInPages
from healthd.web.pages.silence import SilencePage
from healthd.web.pages.status import StatusPage
from healthd.web.pages.stream import Streams
from healthd.web.public.incident_page import IncidentPage
from healthd.web.public.membership import Memberships
from healthd.web.public.page import PublicPages
from healthd.web.public.past import PublicPast
from healthd.web.public.writing import Writing
from healthd.web.windows_api import WindowsApi
from healthd_gates.config.settings import Config
from healthd_gates.store import tables as gate_tables

_log = structlog.get_logger(__name__)
_LAST_WORDS = 5.0  # seconds to write the journal when the daemon stops


class Rest:
    """Everything but health and gates. Built in a running event loop."""

    def __init__(self, health: Health) -> None:
        self._health = health
        clock, board, guard, in_force = health.clock, health.board, health.guard, health.in_force
        self.database = Database(in_force.now.journal_url, clock, (journal_tables.BRANCH, gate_tables.BRANCH))
        self.journal = Journal(self.database, clock, lambda: in_force.now.retention)
        self.earlier = Earlier(board, self.journal.changes, of_one_host=self.database.is_sqlite)
        self.windows = Windows(board, WindowStore(self.database, clock), clock)
        self.windows_api = WindowsApi(
            self.windows,
            board,
            guard,
            clock,
            lambda: {name: service.labels for name, service in in_force.now.services.items()},
        )
        heartbeat_names = lambda: (n for n, c in in_force.now.active_checks.items() if c.kind == "heartbeat")  # noqa: E731
        self.heartbeats = Heartbeats(health.records, HeartbeatStore(self.database, clock), clock, heartbeat_names)
        self.heartbeats_api = HeartbeatsApi(self.heartbeats, health.suite, board, guard, in_force, clock, health.redact)
        past = Past(self.database)
        self.history_api = HistoryApi(past, board, guard, in_force, clock, health.redact)
        self.renderer, self.streams = Renderer(), Streams(clock)
        self.api_docs = ApiDocs(self.renderer)
        self.page = StatusPage(
            board=board,
            health=health.endpoints,
            guard=guard,
            settings=in_force,
            clock=clock,
            journal=self.journal,
            renderer=self.renderer,
            streams=self.streams,
        )
        self.ended_sessions = guard.ended_sessions = EndedSessions(
            EndedSessionStore(self.database, clock), clock, lambda: in_force.now.auth.sign_in is not None
        )
        self.sign_in = SignInPages(guard, in_force, clock, self.renderer, health.redact, self.ended_sessions)
        self.silence_page = SilencePage(self.windows_api, board, guard, self.renderer)
        self.check_pages = CheckPages(
            board, health.endpoints, guard, clock, self.page.history, self.history_api, self.renderer
        )
        self.incidents = Incidents(
            IncidentStore(self.database, clock),
            clock,
            lambda: in_force.now.retention,
            wanted=lambda: bool(in_force.now.public_pages),
        )
        memberships = Memberships(in_force)
        self.public_past = PublicPast(past, board, in_force, clock, memberships)
        self.public_pages = PublicPages(
            board=board,
            settings=in_force,
            clock=clock,
            past=self.public_past,
            incidents=self.incidents,
            windows=self.windows.all,
            memberships=memberships,
            renderer=self.renderer,
        )
        writing = Writing(self.incidents, self.windows_api, in_force, memberships, clock, health.redact)
        self.incidents_api = IncidentsApi(self.incidents, writing, guard)
        self.incident_page = IncidentPage(self.incidents, writing, guard, in_force, clock, self.renderer)
        host = socket.gethostname()
        identity = Identity(
            uuid.uuid4().hex, f"{host} {in_force.now.http.listen}", host, lambda: in_force.now.environment
        )
        self.spread = Spread(
            health.suite,
            board,
            FindingStore(self.database, identity),
            clock,
            identity,
            lambda: in_force.now.spread_checks,
        )
        self.spread.changed = self.page.history.changed
        memory = Memory(JournalStore(self.database, clock, identity.id))
        self.windows_api.is_told = memory.is_firing
        self._identity, store = identity, ReplicaStore(self.database, identity)
        self._replicas = Replicas(host, memory, clock, store, address=identity.address)
        self.windows.acknowledgements.others = self._replicas
        health.endpoints.replicas = self.replicas
        health.endpoints.outage = self.page.outage = lambda: self.database.outage
        self.notifications = Notifications(
            in_force.now,
            board=board,
            clock=clock,
            redact=health.redact,
            metrics=health.metrics,
            memory=memory,
            replicas=self._replicas,
            read_windows=self.windows.read,
        )
        self.notifications.look_again = health.suite.look_again
        self.notifications.recovered = self.windows.recovered
        self.exporter = Exporter(
            in_force,
            health.metrics.registry,
            clock=clock,
            redact=health.redact,
            books=export_metrics(health.metrics.registry),
        )
        health.metrics.watch_spread(lambda: self.spread.runs)
        health.metrics.watch_heartbeats(lambda: self.heartbeats.unsaved)
        health.metrics.watch_incidents(
            lambda: sum(it.is_open and not it.is_to_come for it in self.incidents.all()), lambda: self.incidents.unsaved
        )
        health.metrics.watch_windows(
            lambda: Counter(window.kind for window in self.windows.all()), lambda: self.windows.unsaved
        )
        health.metrics.watch_journal(lambda: self.journal.waiting, lambda: self.database.works)

    def replicas(self) -> list[dict[str, Any]]:
        """Return an entry of `GET /health` for each replica that shares the journal; none where this one is alone."""
        others, me, shares = self._replicas.living, self._identity, self.spread.shares
        if not others:
            return []
        entries: list[dict[str, Any]] = []
        for address, host in sorted({me.address: me.host, **others}.items()):
            here = {"here": True} if address == me.address else {}
            entries.append({"host": host, "address": address, **here, **({"runs": shares[address]} if shares else {})})
        return entries

    def works(self) -> dict[str, Work]:
        """Return the tasks that run until the end."""
        return {
            "journal": self.journal.run,
            "earlier": self.earlier.run,
            "notifications": self.notifications.run,
            "windows": self.windows.run,
            "heartbeats": self.heartbeats.run,
            "ended_sessions": self.ended_sessions.run,
            "incidents": self.incidents.run,
            "public_past": self.public_past.run,
            "spread": self.spread.run,
            "otlp": self.exporter.run,
        }

    def routes(self) -> list[web.AbstractRouteDef]:
        return [
            *self.page.routes(),
            *self.api_docs.routes(),
            *self.windows_api.routes(),
            *self.heartbeats_api.routes(),
            *self.history_api.routes(),
            *self.check_pages.routes(),
            *self.public_pages.routes(),
            *self.sign_in.routes(),
            *self.silence_page.routes(),
            *self.incident_page.routes(),
            *self.incidents_api.routes(),
        ]

    def probed(self, name: str, probe: Probe) -> None:
        self.page.history.probed(name, probe)

    def changed(self, transition: Transition) -> None:
        self.journal.changed(transition)
        self.earlier.changed(transition)
        self.windows.changed(transition)
        self.page.history.changed(transition)
        self.notifications.changed()

    def arrange(self, settings: Config) -> None:
        """Apply the configuration in force, once its checks run."""
        self.page.arrange()
        self.heartbeats.look()
        self.spread.arrange()
        self.notifications.reconfigure(settings)
        self.exporter.arrange()

    async def close(self, close_gates: Callable[[], Awaitable[None]] | None) -> None:
        """Close the gates, write to the journal what it does not have yet, for a limited time, and close it."""
        try:
            await with_deadline(_LAST_WORDS, self._write_the_rest(close_gates), name="journal's end")
        except (JournalError, TimeoutError) as error:
            _log.warning("last transitions not stored in the journal", problem=str(error))

    async def _write_the_rest(self, close_gates: Callable[[], Awaitable[None]] | None) -> None:
        parts = {
            "journal": self.journal.flush,
            "heartbeats": self.heartbeats.flush,
            "incidents": self.incidents.flush,
            "ended sessions": self.ended_sessions.flush,
            "spread": self.spread.leave,  # last: where it fails, the others notice within a lease
        }
        try:
            if close_gates is not None:
                await close_part("gates", close_gates)
            for name, close in parts.items():
                await close_part(name, close, raises=JournalError)  # which the next would raise too
        finally:
            await self.database.close()
