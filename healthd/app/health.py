"""First part of the daemon: what `/health*` needs, and nothing else. It is served before anything else is loaded."""

from __future__ import annotations

import os

from pydantic import SecretStr

from healthd.checks.heartbeat_record import Records
from healthd.config.in_force import InForce
from healthd.metrics import Metrics
from healthd.monitoring.board import Board
from healthd.monitoring.monitor import Listener
from healthd.monitoring.schedule import Schedule
from healthd.monitoring.suite import Suite
from healthd.runtime.clock import Clock
from healthd.runtime.redaction import Redactor
from healthd.runtime.tasks import Pulse
from healthd.web.auth import Guard
from healthd.web.checks_api import ChecksApi
from healthd.web.health import HealthEndpoints
from healthd.web.refusals import Refusals
from healthd_gates.config.settings import Config

UNTIL_RESTART = ("http.listen", "http.agent_check", "sentry.dsn", "journal", "gates.enabled", "gates.lease_duration")


class Health:
    """Checks, the board with their state, and the endpoints that show it."""

    def __init__(self, settings: Config, clock: Clock, listener: Listener) -> None:
        self.clock = clock
        self.in_force = InForce(explicit(settings), until_restart=UNTIL_RESTART)
        self.redact = Redactor.of(settings)
        self.board = Board(clock)
        self.metrics = Metrics(self.board, settings.version, settings.environment)
        self.pulse = Pulse()
        self.schedule = Schedule(
            lambda check, reason: self.metrics.skipped.labels(check, reason).inc(), lambda: self.pulse.beat("schedule")
        )
        self.records = Records(shared=True)
        self.suite = Suite(
            board=self.board,
            schedule=self.schedule,
            clock=clock,
            redact=self.redact,
            listener=listener,
            environ=os.environ,
            heartbeats=self.records,
        )
        self.refusals = Refusals(lambda reason: self.metrics.http_refused.labels(reason).inc())
        self.guard = Guard(self.in_force, self.refusals, clock)
        self.endpoints = HealthEndpoints(self.board, self.guard, self.in_force, clock, stuck=lambda: self.pulse.stuck)
        self.checks_api = ChecksApi(self.suite, self.board, self.guard)

    @property
    def settings(self) -> Config:
        """Configuration in force."""
        return self.in_force.now


def explicit(settings: Config) -> Config:
    """Return the settings with the journal named explicitly: its default depends on the environment, which a reload may
    change."""
    return settings.model_copy(update={"journal": SecretStr(settings.journal_url)})
