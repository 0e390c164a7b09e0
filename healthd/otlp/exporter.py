"""Exports metrics at an interval, and spans as they come. Nothing waits for it, and what cannot be sent is dropped and
counted."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from contextlib import suppress
from dataclasses import replace
from functools import partial

import structlog
from prometheus_client import CollectorRegistry

from healthd import __version__
from healthd.config.in_force import Current
from healthd.config.otlp import Otlp, Signal
from healthd.config.settings import Settings
from healthd.otlp.channel import Channel, ExportMetrics
from healthd.otlp.sending import ExportError
from healthd.otlp.span import Attributes, Span
from healthd.runtime.clock import Clock
from healthd.runtime.deadline import with_deadline
from healthd.runtime.redaction import Redactor

_log = structlog.get_logger(__name__)
_MOST_SPANS = 2048  # that wait; of more, the newest are dropped
_AT_ONCE = 256  # spans in a request
_SERVICE = "healthd.gate.service"  # attribute for the name of something configured
_GATHERING = 1.0  # seconds for which spans are gathered
_LAST_WORDS = 3.0  # seconds to send what is left when the daemon stops


class Exporter:
    """Exports to the receiver of the configuration in force; without one it does nothing, and imports nothing."""

    def __init__(
        self,
        settings: Current[Settings],
        registry: CollectorRegistry,
        *,
        clock: Clock,
        redact: Redactor,
        books: ExportMetrics,
    ) -> None:
        self._settings, self._registry, self._clock, self._redact = settings, registry, clock, redact
        self._since = clock.now().timestamp()
        self._metrics, self._traces = Channel("metrics", books, redact), Channel("traces", books, redact)
        self._spans: deque[Span] = deque()
        self._came, self._changed = asyncio.Event(), asyncio.Event()
        self._known = settings.now.otlp
        self._host = socket.gethostname()

    @property
    def wants_spans(self) -> bool:
        return self._config("traces") is not None

    def emit(self, span: Span) -> None:
        """Take a span to be exported. Neither blocks nor fails."""
        if not self.wants_spans:
            return
        if len(self._spans) >= _MOST_SPANS:
            self._traces.lost(1)
            return
        events = [replace(event, attributes=_cleaned(event.attributes, self._redact)) for event in span.events]
        clean = replace(span, attributes=_cleaned(span.attributes, self._redact), events=tuple(events))
        self._spans.append(clean if span.failed is None else replace(clean, failed=self._redact(span.failed)))
        self._came.set()

    async def run(self) -> None:
        """Export until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._export_metrics(), name="otlp metrics")
            tasks.create_task(self._export_spans(), name="otlp spans")

    def arrange(self) -> None:
        """Follow a configuration that has changed, at once."""
        if self._settings.now.otlp == self._known:
            return
        self._known = self._settings.now.otlp
        self._came.set()
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def close(self) -> None:
        """Send what is left, for a limited time, and stop."""
        try:
            await with_deadline(_LAST_WORDS, self._send_last(), name="last exports")
        except TimeoutError as error:
            _log.warning("otlp receiver takes too long at the end", problem=str(error))
        if self._spans:
            _log.warning("otlp spans lost at the end", spans=len(self._spans))
            self._traces.lost(len(self._spans))
        await asyncio.gather(self._metrics.close(), self._traces.close())

    async def _send_last(self) -> None:
        await asyncio.gather(self._send_metrics(), self._send_spans())

    def _config(self, signal: Signal) -> Otlp | None:
        config = self._settings.now.otlp
        return config if config is not None and signal in config.signals else None

    async def _export_metrics(self) -> None:
        while True:
            config = self._config("metrics")
            if config is None:
                await self._metrics.silence()
                await self._change()
                continue
            if not await self._change(max(config.interval, self._metrics.pause)):
                await self._send_metrics()

    async def _export_spans(self) -> None:
        while True:
            if self._config("traces") is None:
                await self._traces.silence()
                self._spans.clear()
                await self._change()
                continue
            await self._came.wait()
            await self._change(max(_GATHERING, self._traces.pause))
            await self._send_spans()

    async def _change(self, within: float | None = None) -> bool:
        """Wait for another configuration, `within` seconds. True where it has come."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._changed.wait()
            return True
        return False

    async def _send_metrics(self) -> None:
        config = self._config("metrics")
        if config is None:
            return
        try:
            families, now = list(self._registry.collect()), self._clock.now().timestamp()
        except Exception as error:
            self._metrics.broken(error, 0)
            return
        resource, samples = self._resource(config), sum(len(family.samples) for family in families)

        def build() -> tuple[bytes, int]:
            from healthd.otlp.messages import metrics_request

            return metrics_request(families, resource, self._since, now)

        with suppress(ExportError):
            await self._metrics.send(config, build, items=samples, again=False)

    async def _send_spans(self) -> None:
        """Send what waits, until nothing is left or the receiver takes no more now."""
        self._came.clear()
        while self._spans and (config := self._config("traces")) is not None:
            batch = list(self._spans)[:_AT_ONCE]
            build = partial(_message_of, batch, self._resource(config))
            try:
                await self._traces.send(config, build, items=len(batch), again=True)
            except ExportError as error:
                if not error.final:
                    self._came.set()
                    return
            for _ in batch:
                self._spans.popleft()

    def _resource(self, config: Otlp) -> dict[str, str]:
        """Return the resource attributes, by the semantic conventions of OpenTelemetry (service, host, deployment)."""
        settings = self._settings.now
        return {
            "service.name": "healthd",
            "service.version": __version__,
            "service.instance.id": f"{self._host} {settings.http.listen}",
            "host.name": self._host,
            "deployment.environment.name": settings.environment,
            **config.resource,
        }


def _message_of(spans: list[Span], resource: dict[str, str]) -> tuple[bytes, int]:
    from healthd.otlp.messages import traces_request

    return traces_request(spans, resource), len(spans)


def _cleaned(attributes: Attributes, redact: Redactor) -> Attributes:
    return {
        key: (redact.name if key == _SERVICE else redact)(value) if isinstance(value, str) else value
        for key, value in attributes.items()
    }
