"""Counts of documents from Elasticsearch or OpenSearch, all queries of a look in one search."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import quote

from pydantic import Field, SecretStr

from healthd.model import FailureKind
from healthd.runtime.credential import APIKey
from healthd.runtime.web_address import ShownMasked
from healthd.units import Duration
from healthd.wording import shape
from healthd_gates.sources.contract import Arms, SourceConfig, SourceContext, SourceUnavailable
from healthd_gates.sources.elasticsearch_fields import (
    Types,
    asked_of,
    compared_as_text,
    missing_field,
    missing_in,
    mixed_versions,
    types_of,
)
from healthd_gates.sources.endpoint import Endpoint
from healthd_gates.sources.inspection import Inspection
from healthd_gates.sources.windows import HttpWindowsConfig, Query, Span, Windows
from healthd_gates.sources.windows_api import WindowsApi
from healthd_gates.sources.windows_source import WindowsSource

_RESERVED = re.compile(r'([+\-=&|><!(){}\[\]^"~*?:\\/])')


class ElasticsearchConfig(HttpWindowsConfig):
    """Documents that a query in Lucene's syntax finds, such as `service:shop AND version:$version AND status:>=500`:
    healthd counts them.
    """

    has_values: ClassVar[bool] = False

    asks_between: ClassVar[bool] = True

    keys: ClassVar[tuple[str, ...]] = ("api_key", *HttpWindowsConfig.keys)

    kind: Literal["elasticsearch"]
    url: Annotated[
        str,
        Field(
            pattern=shape(r"^https?://[^\s?#]+$", "an address that begins with http:// or https://, without a query")
        ),
        ShownMasked(),
    ]
    """Address of the cluster."""
    index: str = Field(pattern=shape(r"^[^\s/?#]+$", "the name of an index, alias, data stream, or a pattern of these"))
    """Index, alias or data stream; `logs-shop-*` is several."""
    time_field: str = "@timestamp"
    """The field of a document's time."""
    api_key: APIKey | None = None
    """An API key: the encoded one, or `id:key`."""
    delay: Duration = 30.0
    """Time after its end from which a window's numbers no longer change."""

    def check_text(self, text: str) -> None:
        if not text.strip():
            raise ValueError("is no query: write service:shop AND status:>=500, or * for all")
        if text.lstrip().startswith("{"):
            raise ValueError("is JSON: write the query in Lucene's syntax, as in service:shop AND status:>=500")

    def quote(self, value: str) -> str:
        return _RESERVED.sub(r"\\\1", value)


class Elasticsearch(WindowsSource):
    """One gate's reader of a cluster."""

    config_model: ClassVar[type[SourceConfig]] = ElasticsearchConfig

    def __init__(self, config: ElasticsearchConfig, arms: Arms, context: SourceContext) -> None:
        super().__init__(config, arms, context)
        key = {} if config.api_key is None else {"Authorization": SecretStr(_authorization(config.api_key))}
        self._endpoint = Endpoint(config.model_copy(update={"headers": {**config.headers, **key}}), context.redact)
        self._api = WindowsApi("Elasticsearch", self._endpoint, context.clock, problem_of=_problem)
        self._index = f"{config.url.rstrip('/')}/{quote(config.index, safe='*,-')}"
        self._field = config.time_field
        named = {"requests": config.requests, "errors": config.errors, "latency": config.latency, "up": config.up}
        own = {f"{each.stream}.{part}": text for each in context.series for part, text in each.parts.items()}
        self._texts = {name: text for name, text in (named | own).items() if text is not None}
        self._values = [value for arm in arms.named().values() for value in (arm.version, *arm.labels.values())]

    async def ask(self, queries: Sequence[Query], span: Span) -> Mapping[Query, Windows]:
        names = {f"q{number}": query for number, query in enumerate(queries)}
        bounds = {"gte": span.start * 1000, "lt": span.end * 1000, "format": "epoch_millis"}
        histogram = {"field": self._field, "fixed_interval": f"{span.window}s", "min_doc_count": 1}
        body = {
            "size": 0,
            "track_total_hits": False,
            "query": {"range": {self._field: bounds}},
            "aggs": {
                name: {
                    "filter": {"query_string": {"query": query.text}},
                    "aggs": {"windows": {"date_histogram": histogram}},
                }
                for name, query in names.items()
            },
        }
        document = await self._api.call(f"{self._index}/_search", body=body)
        found = self._checked(document)
        return {query: self._windows_of(found.get(name), span) for name, query in names.items()}

    async def inspect(self) -> Inspection:
        """Return the newest windows, and what the mapping says of the fields that queries name."""
        found = await super().inspect()
        refused, doubtful = await self._told_by_fields()
        return replace(found, refused=(*found.refused, *refused), doubtful=(*doubtful, *found.doubtful))

    async def close(self) -> None:
        await self._endpoint.close()

    async def _told_by_fields(self) -> tuple[list[str], list[str]]:
        """Return what is wrong with the fields of the queries, and what is doubtful."""
        refused, doubtful = list[str](), list[str]()
        try:
            types = await self._types(asked_of(self._texts.values()))
            absent = {name: missing_in(text, types) for name, text in self._texts.items()}
            every = await self._types(("*",)) if any(absent.values()) else types
        except SourceUnavailable as outage:
            return [], [f"whether its fields are there is not known: {outage}"]
        for name, text in self._texts.items():
            for told, is_wrong in (missing_field(field, text, every) for field in absent[name]):
                (refused if is_wrong else doubtful).append(f"{name}: {told}")
            if (mixed := mixed_versions(text, self._values, types)) is not None:
                (refused if mixed[1] else doubtful).append(f"{name}: {mixed[0]}")
            if (compared := compared_as_text(text, types)) is not None:
                refused.append(f"{name}: {compared}")
        return list(dict.fromkeys(refused)), list(dict.fromkeys(doubtful))

    async def _types(self, patterns: Sequence[str]) -> Types:
        if not patterns:
            return {}
        document = await self._api.call(f"{self._index}/_field_caps", {"fields": ",".join(patterns)})
        try:
            return types_of(document)
        except (KeyError, TypeError, AttributeError):
            raise self._api.unavailable(FailureKind.UNEXPECTED_RESPONSE, "an answer without fields") from None

    def _checked(self, document: Any) -> Mapping[str, Any]:
        """Return the aggregations of a complete answer: one that lacks shards could hide errors as well as requests."""
        try:
            shards, is_late = document["_shards"], document["timed_out"]
            total, failed = shards["total"], shards["failed"]
        except (KeyError, TypeError):
            raise self._api.unavailable(FailureKind.UNEXPECTED_RESPONSE, "an answer that is no search's") from None
        if is_late or failed:
            what = "timed out" if is_late else f"{failed} of {total} shards failed"
            raise self._api.unavailable(FailureKind.UNEXPECTED_RESPONSE, f"a part is missing: {what}")
        if not total:
            raise self._api.unavailable(FailureKind.MISCONFIGURED, "no index has the name, or may be read by this key")
        found = document.get("aggregations")
        if not isinstance(found, dict):
            raise self._api.unavailable(FailureKind.UNEXPECTED_RESPONSE, "an answer without aggregations")
        return found

    def _windows_of(self, found: Any, span: Span) -> Windows:
        try:
            pairs = [(int(each["key"]) // 1000, float(each["doc_count"])) for each in found["windows"]["buckets"]]
        except (KeyError, TypeError, ValueError):
            raise self._api.unavailable(FailureKind.UNEXPECTED_RESPONSE, "an aggregation without buckets") from None
        return {start: count for start, count in pairs if start in range(span.start, span.end, span.window)}


def _authorization(key: SecretStr) -> str:
    text = key.get_secret_value()
    return f"ApiKey {b64encode(text.encode()).decode() if ':' in text else text}"


def _problem(document: Any) -> str | None:
    error = document.get("error") if isinstance(document, dict) else None
    if not isinstance(error, dict):
        return str(error) if error else None
    causes = error.get("root_cause")
    first = causes[0] if isinstance(causes, list) and causes and isinstance(causes[0], dict) else error
    return f"{first.get('type')}: {first.get('reason')}"
