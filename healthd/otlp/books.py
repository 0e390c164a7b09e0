"""Metrics of the exports themselves."""

from __future__ import annotations

from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge

from healthd.config.otlp import Signal
from healthd.otlp.channel import ExportMetrics


def export_metrics(registry: CollectorRegistry) -> ExportMetrics:
    """Register the metrics, and return how they are counted."""
    items = Counter(
        "healthd_otlp_items_total",
        "Data points and spans for OTLP, by what became of them: exported, refused (by the receiver), dropped "
        "(it could not be reached in time, too many spans waited, or they could not be written as a message).",
        ["signal", "outcome"],
        registry=registry,
    )
    for signal in get_args(Signal):
        for outcome in ("exported", "refused", "dropped"):
            items.labels(signal, outcome)  # at zero, so that the first loss is an increase
    works = Gauge(
        "healthd_otlp_up",
        "Whether the receiver of OTLP has taken the last export; without a value before the first one, and where "
        "nothing is exported.",
        ["signal"],
        registry=registry,
    )

    def up(signal: str, took: bool | None) -> None:
        if took is None:
            works.remove_by_labels({"signal": signal})
        else:
            works.labels(signal).set(took)

    return ExportMetrics(counted=lambda signal, outcome, number: items.labels(signal, outcome).inc(number), up=up)
