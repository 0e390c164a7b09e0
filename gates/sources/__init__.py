"""The kinds of source. A new one is a file here, a line in the registry and in the union, a test and a paragraph in the
docs.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gates.sources.cloudwatch import CloudWatchConfig, CloudWatchSource
from gates.sources.contract import Arms, Source, SourceConfig, SourceContext
from gates.sources.probe import Probe, ProbeConfig
from gates.sources.prometheus import Prometheus, PrometheusConfig
from gates.sources.push import Push, PushConfig
from gates.sources.scrape import Scrape, ScrapeConfig

# None of them loads an SDK before it is used.
KINDS: dict[str, type[Source]] = {
    "cloudwatch": CloudWatchSource,
    "probe": Probe,
    "prometheus": Prometheus,
    "push": Push,
    "scrape": Scrape,
}

AnySource = Annotated[
    CloudWatchConfig | ProbeConfig | PrometheusConfig | PushConfig | ScrapeConfig, Field(discriminator="kind")
]
"""A `source:` of the configuration as the model of its kind."""


def build_source(config: SourceConfig, arms: Arms, context: SourceContext) -> Source:
    """The source that a service configured, for one gate. Raises ArmError, which names the request's field."""
    config.check(arms)
    return KINDS[config.kind](config, arms, context)
