"""The kinds of source. A new one is a file here, its lines in the registry and the union, a test and a paragraph in the
docs.
"""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

from pydantic import Field, SerializeAsAny, WrapValidator

from healthd_gates.sources.cloudwatch import CloudWatchConfig
from healthd_gates.sources.contract import Arms, Source, SourceConfig, SourceContext
from healthd_gates.sources.probe import ProbeConfig
from healthd_gates.sources.prometheus import PrometheusConfig
from healthd_gates.sources.push import PushConfig
from healthd_gates.sources.scrape import ScrapeConfig

KINDS = {
    "cloudwatch": "healthd_gates.sources.cloudwatch:CloudWatchSource",
    "probe": "healthd_gates.sources.probe:Probe",
    "prometheus": "healthd_gates.sources.prometheus:Prometheus",
    "push": "healthd_gates.sources.push:Push",
    "scrape": "healthd_gates.sources.scrape:Scrape",
}


def find_kind(kind: str) -> type[Source]:
    """The class of a kind. Raises KeyError."""
    module, _, name = KINDS[kind].partition(":")
    return getattr(import_module(module), name)  # type: ignore[no-any-return]


def build_source(config: SourceConfig, arms: Arms, context: SourceContext) -> Source:
    """The source that a service configured, for one gate. Raises ArmError, which names the request's field."""
    config.check(arms)
    return find_kind(config.kind)(config, arms, context)


def _build_config(raw: Any) -> SourceConfig:
    if isinstance(raw, SourceConfig):
        return raw
    if not isinstance(raw, dict) or raw.get("kind") not in KINDS:
        raise ValueError(f"a source needs a kind, one of: {', '.join(KINDS)}")
    return find_kind(raw["kind"]).config_model.model_validate(raw)


_BuiltIn = Annotated[
    CloudWatchConfig | ProbeConfig | PrometheusConfig | PushConfig | ScrapeConfig, Field(discriminator="kind")
]
# The union is what the schema and the reference show; what counts is the registry.
AnySource = Annotated[SerializeAsAny[_BuiltIn], WrapValidator(lambda raw, _: _build_config(raw))]
"""A `source:` of the configuration as the model of its kind."""
