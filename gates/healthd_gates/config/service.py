"""Configuration of a service: its targets, sources, policy and actions."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, PlainSerializer, StringConstraints

from healthd.config.model import Model, Name
from healthd.labels import MOST_LABELS, Labels
from healthd.runtime.web_address import WebAddress
from healthd.units import Span
from healthd.wording import shape
from healthd_gates.criteria.contract import CriterionConfig
from healthd_gates.sources import AnySource
from healthd_gates.sources.contract import SourceConfig


def _no_trailing_slash(url: str) -> str:
    url = url.rstrip("/")
    return WebAddress(url) if "@" in url else url


def _shown(url: str) -> str:
    return url.masked if isinstance(url, WebAddress) else url


Url = Annotated[
    str,
    StringConstraints(
        pattern=shape(
            r"^https?://[^\s/?#]+[^\s?#]*$", "an address that begins with http:// or https://, without a query"
        )
    ),
    AfterValidator(_no_trailing_slash),
    PlainSerializer(_shown, when_used="json"),
]


class Service(Model):
    """A thing that is deployed."""

    targets: dict[Name, Url | tuple[Url, ...]] = Field(default_factory=dict)
    """Base addresses by the name of the place, such as blue and green; several if there are several instances."""
    source: AnySource | None = None
    """The source of its traffic numbers."""
    sources: dict[Name, AnySource] = Field(default_factory=dict)
    """Further sources by name, for criteria that name one. Without `source` the first of them has the traffic."""
    policy: Name = "post-switch"
    """The policy of a gate that names none."""
    on_fail: tuple[Name, ...] = ()
    """Actions that roll back, on a fail and on a late regression."""
    on_ramp: tuple[Name, ...] = ()
    """Actions that set the candidate's share of the traffic, for policies with a ramp."""
    on_pass: tuple[Name, ...] = ()
    """Actions on a pass."""
    on_inconclusive: tuple[Name, ...] = ()
    """Actions when an inconclusive gate counts as failed; none unless given, since missing numbers need not be the
    release's fault."""
    rollback_window: Span | None = None
    """Time after a verdict in which the baseline can still take the traffic; without a limit unless given."""
    labels: Labels = Field({}, max_length=MOST_LABELS)
    """Labels, such as `team: payments`: they stand in metrics and notifications, and routes can match them."""
    template: str | None = None
    """Name of a template under `templates.services` whose options apply where this entry has none."""
    values: dict[str, Any] = Field(default_factory=dict)
    """Values for `${values.KEY}` in this entry and its template."""

    @property
    def traffic_source(self) -> SourceConfig | None:
        """The source of its traffic numbers."""
        return self.source or next(iter(self.sources.values()), None)

    @property
    def follows_version(self) -> bool:
        """True if each source finds a version by its name, wherever that runs."""
        return all(source.follows_version for source in (self.source, *self.sources.values()) if source)

    def source_of(self, criterion: CriterionConfig) -> SourceConfig | None:
        """Return the source of a criterion's numbers, None if there is none of that name."""
        name = criterion.named_source
        return self.traffic_source if name is None else self.sources.get(name)

    def addresses(self, target: str) -> tuple[str, ...]:
        """Return the base addresses of one target. Raises KeyError."""
        urls = self.targets[target]
        return (urls,) if isinstance(urls, str) else urls
