"""Counts from Datadog: metrics queries by its API for timeseries, all of a look in one call."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from healthd.http.retry_after import seconds_to_wait
from healthd.model import FailureKind
from healthd.nearest import did_you_mean
from healthd.runtime.credential import APIKey
from healthd.wording import shape
from healthd_gates.sources.contract import Arms, SourceConfig, SourceContext
from healthd_gates.sources.endpoint import Endpoint
from healthd_gates.sources.windows import HttpWindowsConfig, Query, Span, Windows
from healthd_gates.sources.windows_api import WindowsApi
from healthd_gates.sources.windows_source import WindowsSource

_COUNTS = re.compile(r"^(?:sum|count(?:\(v:[^)]*\))?):[^{]+\{[^}]*\}\.as_count\(\)$")
_VALUE = re.compile(r"^[a-z0-9]+(?:\(v:[^)]*\))?:[^{]+\{[^}]*\}")
SITES = (
    *("datadoghq.com", "us3.datadoghq.com", "us5.datadoghq.com", "datadoghq.eu"),
    *("ap1.datadoghq.com", "ap2.datadoghq.com", "ddog-gov.com", "us2.ddog-gov.com"),
)
"""The sites that Datadog's documentation names (docs.datadoghq.com/getting_started/site)."""
_GROUPED = re.compile(r"\}\s*by\s*\{")


class DatadogConfig(HttpWindowsConfig):
    """Metrics queries, each of one series. What counts ends with `.as_count()`: `sum:trace.express.request.hits{
    service:shop,version:$version}.as_count()`.
    """

    keys: ClassVar[tuple[str, ...]] = ("api_key", *HttpWindowsConfig.keys)
    resolution: ClassVar[int] = 10

    kind: Literal["datadog"]
    api_key: APIKey
    """An API key of the organization."""
    application_key: APIKey
    """An application key, with the scope `timeseries_query`."""
    site: str = Field(
        "datadoghq.com",
        pattern=shape(r"^[a-z0-9.-]+$", "a site such as datadoghq.com, datadoghq.eu, us5.datadoghq.com"),
    )
    """The site of the organization, without `app.`."""
    url: str | None = Field(
        None, pattern=shape(r"^https?://[^\s?#]+$", "an address that begins with http:// or https://, without a query")
    )
    """The address of the API, if not the site's."""

    @model_validator(mode="after")
    def _site_is_one(self) -> Self:
        if self.url is None and self.site not in SITES:
            hint = did_you_mean(self.site, SITES)
            raise ValueError(
                f"site: Datadog has no {self.site}; there are: {', '.join(SITES)}.{hint} Of another, write `url`"
            )
        return self

    def check_text(self, text: str) -> None:
        self._check_query(text)
        if not _COUNTS.match(text.strip()):
            raise ValueError(
                f"{text[:80]!r} gives no counts: write sum:METRIC{{tags}}.as_count(), or count(v: v<=$le):METRIC"
                "{tags}.as_count() of a distribution"
            )

    def check_value(self, text: str) -> None:
        self._check_query(text)
        if not _VALUE.match(text.strip()):
            raise ValueError(f"{text[:80]!r} is no metrics query: write avg:METRIC{{tags}}")

    def _check_query(self, text: str) -> None:
        if _GROUPED.search(text):
            raise ValueError("by {…} gives several series: ask for one")
        if ".rollup(" in text:
            raise ValueError("leave .rollup() out: healthd asks for windows of its own")


class Datadog(WindowsSource):
    """One gate's reader of Datadog."""

    config_model: ClassVar[type[SourceConfig]] = DatadogConfig

    def __init__(self, config: DatadogConfig, arms: Arms, context: SourceContext) -> None:
        super().__init__(config, arms, context)
        headers = {**config.headers, "DD-API-KEY": config.api_key, "DD-APPLICATION-KEY": config.application_key}
        self._endpoint = Endpoint(config.model_copy(update={"headers": headers}), context.redact)
        self._api = WindowsApi("Datadog", self._endpoint, context.clock, _pause, _problem)
        base = config.url or f"https://api.{config.site}"
        self._url = f"{base.rstrip('/')}/api/v2/query/timeseries"

    async def ask(self, queries: Sequence[Query], span: Span) -> Mapping[Query, Windows]:
        names = {f"q{number}": query for number, query in enumerate(queries)}
        asked = [
            {"data_source": "metrics", "name": name, "query": f"{query.text}{_rollup(query, span)}"}
            for name, query in names.items()
        ]
        attributes = {
            "from": span.start * 1000,
            "to": span.end * 1000 - 1,
            "interval": span.window * 1000,
            "queries": asked,
            "formulas": [{"formula": name} for name in names],
        }
        document = await self._api.call(
            self._url, body={"data": {"type": "timeseries_request", "attributes": attributes}}
        )
        found = self._checked(document, len(names))
        return {query: self._windows_of(found, number, span) for number, query in enumerate(names.values())}

    async def close(self) -> None:
        await self._endpoint.close()

    def _checked(self, document: Any, most: int) -> Mapping[str, Any]:
        """Return the attributes. A part that failed makes the whole unusable: its numbers would lack."""
        if problem := _problem(document):
            raise self._api.unavailable(FailureKind.UNEXPECTED_RESPONSE, problem)
        try:
            found = document["data"]["attributes"]
            times, series, values = found["times"], found["series"], found["values"]
            shapes = [len(series) == len(values), *(len(each) == len(times) for each in values)]
            indices = [each["query_index"] for each in series]
        except (KeyError, TypeError):
            raise self._api.unavailable(FailureKind.UNEXPECTED_RESPONSE, "an answer without series") from None
        if not all(shapes) or any(index not in range(most) for index in indices):
            raise self._api.unavailable(FailureKind.UNEXPECTED_RESPONSE, "an answer whose series do not fit its times")
        if len(indices) != len(set(indices)):
            raise self._api.unavailable(FailureKind.UNEXPECTED_RESPONSE, "a query gives several series: ask for one")
        return found  # type: ignore[no-any-return]

    def _windows_of(self, found: Mapping[str, Any], number: int, span: Span) -> Windows:
        place = next((place for place, each in enumerate(found["series"]) if each["query_index"] == number), None)
        if place is None:  # a metric without any point in the span has no series
            return {}
        windows: dict[int, float] = {}
        for at, value in zip(found["times"], found["values"][place], strict=True):
            if value is None:
                continue
            start, rest = divmod(at, 1000)
            if rest or (start - span.start) % span.window:
                text = f"windows of another length than {span.window} s: use a longer `window`"
                raise self._api.unavailable(FailureKind.UNEXPECTED_RESPONSE, text)
            if isinstance(value, int | float) and isfinite(value) and span.start <= start < span.end:
                windows[int(start)] = float(value)
        return windows


def _rollup(query: Query, span: Span) -> str:
    """Return the aggregation in time. The sum of a gauge is over hosts alone; a distribution has no aggregator."""
    how = query.text.strip().partition(":")[0]
    if how not in ("avg", "sum", "min", "max"):
        return f".rollup({span.window})"
    return f".rollup({how if query.counts or how != 'sum' else 'avg'}, {span.window})"


def _pause(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds to the end of the period: Datadog's X-RateLimit-Reset counts from now."""
    text = headers.get("X-RateLimit-Reset", "").strip()
    return float(text) if text.isascii() and text.isdigit() else seconds_to_wait(headers)


def _problem(document: Any) -> str | None:
    errors = document.get("errors") if isinstance(document, dict) else None
    if isinstance(errors, list):
        return "; ".join(str(each.get("detail") if isinstance(each, dict) else each) for each in errors) or None
    return str(errors) if errors else None
