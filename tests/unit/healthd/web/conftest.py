"""The web application in front of a board that tests fill by hand."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from healthd.checks.heartbeat_record import Records
from healthd.config.in_force import InForce
from healthd.config.settings import Settings
from healthd.journal import tables
from healthd.journal.database import Database
from healthd.journal.ended_sessions import EndedSessionStore
from healthd.journal.heartbeats import HeartbeatStore
from healthd.journal.incidents import IncidentStore
from healthd.journal.journal import Journal
from healthd.journal.past import Past
from healthd.journal.windows import WindowStore
from healthd.metrics import Metrics
from healthd.model import Probe, Result
from healthd.monitoring.heartbeats import Heartbeats
from healthd.monitoring.incidents import Incidents
from healthd.monitoring.schedule import Schedule
from healthd.monitoring.suite import Suite
from healthd.monitoring.windows import Windows
from healthd.web import server
from healthd.web.auth import Guard, hash_token
from healthd.web.checks_api import ChecksApi
from healthd.web.ended_sessions import EndedSessions
from healthd.web.health import HealthEndpoints
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
from tests.fakes.monitoring import HandClock, Stage

KEY = "5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278"
TOKENS = {
    "reader": ["health:read"],
    "runner": ["checks:run"],
    "nightly": ["heartbeats:write"],
    "root": ["admin"],
    "ada": ["windows:write"],
    "auditor": ["audit:read"],
    "writer": ["incidents:write"],
}


class Site(Stage):
    """A daemon without its schedule: results are put by hand, or checks run on request."""

    clock: HandClock
    stuck: tuple[str, ...] = ()

    def __init__(self, journal_url: str = "sqlite:////nowhere/healthd.db", **options: Any) -> None:
        super().__init__(clock=HandClock())
        self.metrics = Metrics(self.board, "1.2.3", "test")
        self.suite = Suite(
            board=self.board,
            schedule=Schedule(lambda *_: None),
            clock=self.clock,
            redact=self.redact,
            listener=self.listener,
            environ={},
            heartbeats=(records := Records()),
        )
        self.configured = self.read(options)
        self.in_force = InForce(self.configured)
        self.guard = guard = Guard(self.in_force, clock=self.clock)
        self.health = HealthEndpoints(self.board, guard, self.in_force, self.clock, stuck=lambda: self.stuck)
        self.streams = Streams(self.clock, at_most=4, pace=0.01)
        self.database = database = Database(journal_url, self.clock, (tables.BRANCH,))  # down unless a test gives one
        renderer = Renderer()
        self.page = StatusPage(
            board=self.board,
            health=self.health,
            guard=guard,
            settings=self.in_force,
            clock=self.clock,
            journal=Journal(database, self.clock, lambda: 3600),
            renderer=renderer,
            streams=self.streams,
        )
        checks_api = ChecksApi(self.suite, self.board, guard)
        self.api_docs = ApiDocs(renderer)
        self.windows = Windows(self.board, WindowStore(database, self.clock), self.clock)
        self.windows_api = windows_api = WindowsApi(
            self.windows, self.board, guard, self.clock, lambda: {"checkout": {"team": "shop"}, "mails": {}}
        )
        self.heartbeats = Heartbeats(records, HeartbeatStore(database, self.clock), self.clock, lambda: ["backup"])
        heartbeats_api = HeartbeatsApi(
            self.heartbeats, self.suite, self.board, guard, self.in_force, self.clock, self.redact
        )
        self.incidents = Incidents(IncidentStore(database, self.clock), self.clock, lambda: 90 * 86400)
        self.windows._is_read = self.incidents._is_read = True  # the journal went down after they were read
        memberships = Memberships(self.in_force)
        self.public_past = PublicPast(Past(database), self.board, self.in_force, self.clock, memberships)
        self.public_pages = PublicPages(
            board=self.board,
            settings=self.in_force,
            clock=self.clock,
            past=self.public_past,
            incidents=self.incidents,
            windows=self.windows.all,
            memberships=memberships,
            renderer=renderer,
        )
        writing = Writing(self.incidents, windows_api, self.in_force, memberships, self.clock, self.redact)
        self.ended_sessions = guard.ended_sessions = EndedSessions(
            EndedSessionStore(database, self.clock), self.clock, lambda: True
        )
        history_api = HistoryApi(Past(database), self.board, guard, self.in_force, self.clock, self.redact)
        routes = [
            *self.page.routes(),
            *self.api_docs.routes(),
            *windows_api.routes(),
            *heartbeats_api.routes(),
            *history_api.routes(),
            *self.public_pages.routes(),
            *SilencePage(windows_api, self.board, guard, renderer).routes(),
            *SignInPages(guard, self.in_force, self.clock, renderer, self.redact, self.ended_sessions).routes(),
            *IncidentPage(self.incidents, writing, guard, self.in_force, self.clock, renderer).routes(),
            *IncidentsApi(self.incidents, writing, guard).routes(),
            *CheckPages(self.board, self.health, guard, self.clock, self.page.history, history_api, renderer).routes(),
        ]
        self.app = server.build(self.health, checks_api, self.metrics, routes)

    def read(self, options: dict[str, Any]) -> Settings:
        interval = {"interval": "10s", "timeout": "2s"}
        checks = {
            "db": {"kind": "process", "critical": True, **interval},
            "mail": {"kind": "process", **interval},
            "backup": {"kind": "heartbeat", "period": "1h", "key": KEY, **interval},
        }
        tokens = [{"name": n, "hash": hash_token(f"{n}-token"), "scopes": s} for n, s in TOKENS.items()]
        return Settings.model_validate(
            {
                "environment": "test",
                "version": "1.2.3",
                "checks": checks,
                "groups": {"own": {"checks": ["db", "mail"]}},
                "auth": {"tokens": tokens},
                **options,
            }
        )

    async def start(self) -> None:
        await self.suite.arrange(self.configured)
        self._reading = asyncio.create_task(self.public_past.run())

    def put(self, name: str, result: Result, duration: float = 0.0125) -> None:
        probe = Probe(self.clock.now(), duration, result)
        self.page.history.probed(name, probe)
        told = len(self.transitions)
        self.suite._monitors[name]._show(probe, self.clock.steady())
        for transition in self.transitions[told:]:
            self.page.history.changed(transition)

    async def close(self) -> None:
        self._reading.cancel()
        await self.suite.close()
        await self.database.close()


Client = TestClient[Any, Any]
Open = Callable[..., Awaitable[tuple[Site, Client]]]


@pytest.fixture
async def open_site() -> AsyncIterator[Open]:
    """A site with the given settings, and a client of it."""
    opened: list[tuple[Site, Client]] = []

    async def start(**options: Any) -> tuple[Site, Client]:
        site = Site(**options)
        await site.start()
        client = TestClient(TestServer(site.app))
        await client.start_server()
        opened.append((site, client))
        return site, client

    yield start
    for site, client in opened:
        site.streams.stop()
        await client.close()
        await site.close()


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}-token"}
