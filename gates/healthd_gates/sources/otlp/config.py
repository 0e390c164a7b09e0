"""The options of the source `otlp`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from healthd.extras import how_to_get
from healthd.units import Duration
from healthd_gates.sources.contract import Arm, Arms, SourceConfig
from healthd_gates.sources.selector_texts import CounterText, check_split
from healthd_gates.sources.selectors import LatencyUnit, Matcher, Selector, filled, parse_matchers

_EDGES = tuple(0.001 * 1.25**step for step in range(51))  # 1 ms to 70 s, finer than any ratio that is judged
_PLACEHOLDER = re.compile(r"\$[a-zA-Z_]")
SERVICE, VERSION = "service.name", "service.version"
CONVENTIONS = {
    "http.server.request.duration": "http.response.status_code",
    "http.server.duration": "http.status_code",
}
"""The histograms of the semantic conventions for servers of HTTP, the stable one first, each with the attribute that
has the status (opentelemetry.io/docs/specs/semconv/http/http-metrics, and its version 1.20)."""


class OtlpConfig(SourceConfig):
    """Telemetry that OpenTelemetry SDKs and collectors send to healthd: metrics, or spans of servers."""

    kind: Literal["otlp"]
    signal: Literal["metrics", "spans"] = "metrics"
    """Signal that counts: metrics, or the spans of kind SERVER, of which every one must be sampled."""
    resource: dict[Annotated[str, StringConstraints(min_length=1, max_length=128)], str] = Field(
        default_factory=dict, max_length=10
    )
    """Resource attributes of an arm's telemetry, with `$version`, `$target` or a label in their values. Unless given,
    `service.name` is the name of the service and, where nothing has a placeholder, `service.version` is `$version`."""
    requests: CounterText | None = None
    """Selects the metrics that count requests, such as `{"shop.requests"}`: sums, or histograms by their count. Unless
    given, `http.server.request.duration` (or the older `http.server.duration`) has requests, errors and latency."""
    errors: CounterText | None = None
    """Selects the metrics that count failed requests."""
    latency: CounterText | None = None
    """Selects the histograms of latency."""
    latency_unit: LatencyUnit | None = None
    """Unit of the histogram, if the metric does not say it."""
    matchers: str = ""
    """Without `requests`: conditions on the attributes of what counts, such as `"http.route"!~"/health.*"`."""
    silent_after: Duration = 120.0
    """Time without an export after which an arm has no telemetry; more than the interval of the exports."""
    edges: tuple[Duration, ...] = Field(default_factory=lambda: _EDGES, max_length=200)
    """Bucket edges of the latency of spans, beside the limits of the policy; a fine grid unless given."""

    def edges_under(self, limits: Sequence[float]) -> tuple[float, ...]:
        return tuple(sorted({*self.edges, *limits}))

    @property
    def lateness(self) -> float:
        return max(super().lateness, self.silent_after)

    @property
    def measures_latency(self) -> bool:
        return self.requests is None or self.latency is not None

    @property
    def conditions(self) -> tuple[Matcher, ...]:
        """The conditions on what counts without selectors."""
        return tuple(parse_matchers(self.matchers)[1])

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not _has_messages():
            raise ValueError(f"the otlp source needs the messages of OpenTelemetry: {how_to_get('otlp')}")
        if (self.requests is None) != (self.errors is None):
            raise ValueError("errors is missing" if self.errors is None else "requests is missing")
        if self.latency is not None and self.requests is None:
            raise ValueError("requests is missing: latency alone counts nothing")
        if self.signal == "spans" and self.requests is not None:
            raise ValueError("requests selects metrics, and signal is spans, of which each is a request: give one")
        if self.matchers and self.requests is not None:
            raise ValueError("matchers are for what counts without selectors: write them into the selectors")
        try:
            names, _ = parse_matchers(self.matchers)
        except ValueError as error:
            raise ValueError(f"matchers: {error}") from None
        if names:
            raise ValueError(f"matchers: {names[0]!r} is a name alone: write attribute=value, both in double quotes")
        return self

    @property
    def identity(self) -> dict[str, str]:
        """The resource attributes as written, with the version's where nothing tells the arms apart; `service.name` may
        lack."""
        selectors = (*self.written.values(), Selector("any", self.conditions))
        told = any(_PLACEHOLDER.search(text) for text in self.resource.values())
        told = told or any(selector.tells_apart for selector in selectors)
        return self.resource if told else {**self.resource, VERSION: "$version"}

    @property
    def written(self) -> dict[str, Selector]:
        """The selectors as they are in the configuration."""
        found = {"requests": self.requests, "errors": self.errors, "latency": self.latency}
        return {use: selector for use, selector in found.items() if selector is not None}

    def takes(self, service: str, resource: Mapping[str, str]) -> bool:
        """True if telemetry with these resource attributes is of the service, whichever version sent it."""
        fixed = {name: text for name, text in self.identity.items() if not _PLACEHOLDER.search(text)}
        return all(resource.get(name) == text for name, text in {SERVICE: service, **fixed}.items())

    def expected(self, name: str, arm: Arm, service: str) -> dict[str, str]:
        """Return the resource attributes of an arm. Raises ArmError."""
        found = {SERVICE: service, **self.identity}
        return {attribute: filled(text, name, arm) for attribute, text in found.items()}

    def selectors(self, name: str, arm: Arm) -> dict[str, Selector]:
        """Return the arm's selectors, filled in. Raises ArmError."""
        return {use: selector.fill(name, arm) for use, selector in self.written.items()}

    def conditions_of(self, name: str, arm: Arm) -> tuple[Matcher, ...]:
        """Return the arm's conditions on what counts without selectors. Raises ArmError."""
        return Selector("any", self.conditions).fill(name, arm).matchers

    def check(self, arms: Arms) -> None:
        self._parts(arms)

    def check_split(self, label: str) -> None:
        counters = [each for each in (self.requests, self.errors) if each is not None]
        check_split(label, *counters, Selector("any", self.conditions))

    def check_latency_split(self, label: str) -> None:
        check_split(label, *((self.latency,) if self.latency is not None else ()))

    @property
    def follows_version(self) -> bool:
        return "$version" in repr((self.identity, self))

    def tells_apart(self, arms: Arms) -> bool:
        parts = self._parts(arms)
        return len(parts) < 2 or parts[0] != parts[1]

    def _parts(self, arms: Arms) -> list[object]:
        return [
            (self.expected(name, arm, arms.service), self.selectors(name, arm), self.conditions_of(name, arm))
            for name, arm in arms.named().items()
        ]


def _has_messages() -> bool:
    try:
        return find_spec("opentelemetry.proto.collector") is not None
    except ModuleNotFoundError:
        return False
