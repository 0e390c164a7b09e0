"""Reports of what happens in the daemon: its log, and error reports to Sentry."""

from __future__ import annotations

import asyncio
import atexit
import io
import sys

import structlog

from healthd import logs, sentry
from healthd.app.health import Health
from healthd.model import Transition
from healthd.runtime.line_writer import LineWriter

_log = structlog.get_logger(__name__)


class Reporting:
    """Log and error reports, from the start of the daemon to its end."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._log_writer: LineWriter | None = None
        self._reports: sentry.Reports | None = None

    def start(self) -> None:
        """Log and report from now on, also what nothing has caught. Needs a running event loop."""
        health = self._health
        self._log_writer = _log_writer()
        if self._log_writer is not None:
            atexit.register(self._log_writer.close)
            health.metrics.watch_log(self._log_writer.count_dropped)
        logs.configure(health.settings.log, health.redact, self._log_writer)
        logs.catch_the_uncaught()
        logs.catch_the_uncaught_in(asyncio.get_running_loop())
        self._reports = sentry.start(health.settings, health.redact)

    def arrange(self) -> None:
        """Apply the configuration in force."""
        settings = self._health.settings
        logs.configure(settings.log, self._health.redact, self._log_writer)
        if self._reports is not None:
            self._reports.environment = settings.environment

    def changed(self, transition: Transition) -> None:
        if self._reports is not None:
            self._reports.changed(transition)
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

    async def stop(self) -> None:
        """Log the end, and send the reports that wait."""
        _log.info("stopped")
        if self._reports is not None:
            await asyncio.to_thread(self._reports.close)


def _log_writer() -> LineWriter | None:
    """Return a writer for the log; None where standard error is no file of the system, as under some tools."""
    try:
        return LineWriter(sys.stderr.fileno())
    except (AttributeError, OSError, ValueError, io.UnsupportedOperation):
        return None
