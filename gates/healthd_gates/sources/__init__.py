"""The kinds of source. To add one: a file here, a line in the registry, a test and a paragraph in the docs."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny

from healthd.registry import Registry, SchemaOfKinds
from healthd_gates.sources.contract import Arms, Source, SourceConfig, SourceContext

# Loaded by name, so that a daemon loads only those that its services have.
KINDS = {
    "access_log": "healthd_gates.sources.access_log.source:AccessLog",
    "cloudwatch": "healthd_gates.sources.cloudwatch:CloudWatchSource",
    "cloudwatch_metrics": "healthd_gates.sources.cloudwatch_metrics:CloudWatchMetrics",
    "datadog": "healthd_gates.sources.datadog:Datadog",
    "elasticsearch": "healthd_gates.sources.elasticsearch:Elasticsearch",
    "graphite": "healthd_gates.sources.graphite:Graphite",
    "http": "healthd_gates.sources.http:Http",
    "influxdb": "healthd_gates.sources.influxdb:InfluxDB",
    "loki": "healthd_gates.sources.loki:Loki",
    "newrelic": "healthd_gates.sources.newrelic:NewRelic",
    "otlp": "healthd_gates.sources.otlp.source:Otlp",
    "probe": "healthd_gates.sources.probe:Probe",
    "prometheus": "healthd_gates.sources.prometheus:Prometheus",
    "push": "healthd_gates.sources.push:Push",
    "scrape": "healthd_gates.sources.scrape:Scrape",
    "sentry": "healthd_gates.sources.sentry:Sentry",
    "sql": "healthd_gates.sources.sql:Sql",
}


SOURCES: Registry[Source] = Registry("source", "healthd.sources", KINDS, SourceConfig, ("observe", "close"))


def find_kind(kind: str) -> type[Source]:
    """Return the class of a kind. Raises UnknownKindError, or ImportError when it cannot be loaded."""
    return SOURCES.find(kind)


def build_source(config: SourceConfig, arms: Arms, context: SourceContext) -> Source:
    """Build the source that a service configured, for one gate. Raises ArmError, which names the request's field."""
    config.check(arms)
    return find_kind(config.kind)(config, arms, context)


def _build_config(raw: Any) -> SourceConfig:
    return raw if isinstance(raw, SourceConfig) else SOURCES.model_of(raw).model_validate(raw)


AnySource = Annotated[SerializeAsAny[SourceConfig], BeforeValidator(_build_config), SchemaOfKinds(SOURCES)]
"""A `source:` of the configuration as the model of its kind."""
