"""Third part of the daemon: gates, with their calls and pages. A fault in it leaves the two others as they are."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from importlib import import_module

import structlog
from aiohttp import web

from healthd.app.health import Health
from healthd.app.rest import Rest
from healthd.journal.database import JournalError
from healthd.runtime.deadline import with_deadline
from healthd_gates import hooks
from healthd_gates.app import Gates
from healthd_gates.domain.gate import Gate
from healthd_gates.engine import notifications as gate_news
from healthd_gates.pages.acts import GateActs
from healthd_gates.pages.gate_history import GateHistories
from healthd_gates.pages.page import GatePage
from healthd_gates.pages.recent import RecentGates
from healthd_gates.router import GateApi

_log = structlog.get_logger(__name__)
_LAST_SPANS = 1.0  # seconds to read the logs of gates that have just ended when the daemon stops


def load() -> None:
    """Import what `GatePart` would import when it is built, and a gate at its start, in the event loop."""
    hooks.load()
    import_module("healthd_gates.criteria.mathematics")


class GatePart:
    """Gates, and how they are asked and shown. Built in a running event loop."""

    def __init__(self, health: Health, rest: Rest) -> None:
        self._health, self._rest = health, rest
        self.gates = Gates(
            health.in_force,
            database=rest.database,
            board=health.board,
            clock=health.clock,
            registry=health.metrics.registry,
            redact=health.redact,
            listener=self._changed,
        )
        self.gates.span_sink = rest.exporter
        gate_service = self.gates.gate_service
        self._api = GateApi(gate_service, self.gates.runs, health.guard, health.clock)
        histories = GateHistories(gate_service, self.gates.gate_store, self.gates.outbox)
        self._page = GatePage(histories, self._api.reach, health.guard, health.clock, rest.renderer, rest.streams)
        self._acts = GateActs(gate_service, self._api.reach, health.guard, rest.renderer, self._page.renew)
        gate_service.freezes = rest.windows.freezes
        gate_service.outage = self._page.outage = lambda: rest.database.outage
        rest.page.deploys = RecentGates(gate_service)
        rest.page.troubles = health.endpoints.troubles = self.gates.troubles
        rest.api_docs.add(self._api.operations)

    def routes(self) -> list[web.AbstractRouteDef]:
        return [*self._api.routes(), *self._page.routes(), *self._acts.routes()]

    def drain(self) -> None:
        """Accept no more gates, and release the callers who wait for one."""
        self.gates.drain()
        self._api.drain()

    async def flush_spans(self) -> None:
        """Hand over the spans that have ended, for a limited time."""
        with suppress(JournalError, TimeoutError):
            await with_deadline(_LAST_SPANS, self.gates.spans.flush(), name="last spans")

    def _changed(self, before: Gate, after: Gate) -> None:
        """Tell of a step that is stored. A bug in that is logged: whoever made the step is answered all the same."""
        try:
            gate_news.log(before, after)
            settings = self._health.settings
            service = settings.services.get(after.service)
            for notice in gate_news.notices(before, after, settings.http.external_url):
                self._rest.notifications.tell(replace(notice, labels=service.labels if service else {}))
        except Exception:
            _log.exception("a gate's change could not be told", gate=after.id)
