"""The kinds of source. A new one is a file here, a line in the registry, a test and a paragraph in the docs."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny

from gates.sources.contract import Arms, Source, SourceConfig, SourceContext

# Loaded by name, so that an SDK is imported only when a source that needs it is configured.
KINDS = {
    "probe": "gates.sources.probe:Probe",
    "prometheus": "gates.sources.prometheus:Prometheus",
    "push": "gates.sources.push:Push",
    "scrape": "gates.sources.scrape:Scrape",
}


def find_kind(kind: str) -> type[Source]:
    """The class of a kind. Raises KeyError, or ImportError when an extra is not installed."""
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
    try:
        model = find_kind(raw["kind"]).config_model
    except ImportError as error:
        raise ValueError(f"kind {raw['kind']!r} needs a package that is not installed: {error.name}") from None
    return model.model_validate(raw)


AnySource = Annotated[SerializeAsAny[SourceConfig], BeforeValidator(_build_config)]
"""A `source:` of the configuration as the model of its kind."""
