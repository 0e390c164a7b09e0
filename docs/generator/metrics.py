"""The reference of metrics: what the registry of a daemon holds that is built as `healthd run` builds it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from tempfile import TemporaryDirectory

from prometheus_client import CollectorRegistry

from docs.generator.config import NOTE
from healthd.app.daemon import Daemon
from healthd_gates.config.settings import Config


def metrics_page() -> str:
    found = asyncio.run(_of_a_daemon())
    rows = [f"| `{name}` | {kind} | {labels} | {text} |" for name, kind, labels, text in sorted(found)]
    head = ["| metric | type | labels | meaning |", "| --- | --- | --- | --- |"]
    text = "`GET /metrics` serves the Prometheus text format, or OpenMetrics where the scraper asks for it.\n"
    return "\n".join([f"# Metrics reference\n\n{NOTE}\n{text}", *head, *rows, ""])


async def _of_a_daemon() -> list[tuple[str, str, str, str]]:
    with TemporaryDirectory() as folder:
        daemon = Daemon(Config.model_validate({"journal": f"sqlite:///{folder}/healthd.db"}), None)
        daemon.parts.assemble()
        found = list(_metrics(daemon.health.metrics.registry))
        assert daemon.parts.rest is not None
        assert daemon.parts.gates is not None
        await daemon.parts.rest.notifications.close()
        await daemon.parts.gates.gates._session.close()
    return found


def _metrics(registry: CollectorRegistry) -> Iterator[tuple[str, str, str, str]]:
    for collector, names in registry._collector_to_names.items():
        labels = ", ".join(f"`{label}`" for label in getattr(collector, "_labelnames", ()))
        described = list(collector.describe() if hasattr(collector, "describe") else collector.collect())
        for metric in described or list(collector.collect()):
            if any(name.startswith(("healthd_", "process_", "python_")) for name in names) or not names:
                suffix = "_total" if metric.type == "counter" else ""
                own = labels or ", ".join(f"`{label}`" for label in getattr(metric, "_labelnames", ()))
                yield metric.name + suffix, metric.type, own, metric.documentation
