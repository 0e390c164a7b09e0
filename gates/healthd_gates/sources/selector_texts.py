"""Selectors as a configuration writes them: what each may select, and its JSON schema."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

from healthd_gates.sources.selectors import Selector

_RATE = re.compile(r":(?:i?rate|increase|i?delta|deriv)(?:\d+[smhd])?(?::|$)|_rate\d*[smhd]?$|_per_(?:second|minute)$")


def _read(raw: Any) -> Any:
    return Selector.parse(raw) if isinstance(raw, str) else raw


def checked_counter(selector: Selector) -> Selector:
    """Return the selector. Raises ValueError for a rate's name: its values do not add up to a count."""
    if (found := _RATE.search(selector.name)) is not None:
        raise ValueError(
            f"{selector.name} is a rate by its name ({found[0].strip(':_')}): select the counter that it was made of"
        )
    return selector


def check_split(label: str, *counters: Selector) -> None:
    """Raise ValueError if a selector leaves only one value of a label to split by."""
    for matcher in (each for counter in counters for each in counter.matchers):
        if matcher.label == label and matcher.operator == "=":
            raise ValueError(f"by: {label} splits nothing, since the source selects {matcher} alone")


def _check_histogram(selector: Selector) -> Selector:
    if selector.name.endswith(("_count", "_sum", "_total")):
        whole = selector.name.removesuffix("_count").removesuffix("_sum")
        raise ValueError(f"must select a histogram: {whole}_bucket, or {whole} where it is a native one")
    return _check_no_bucket_chosen(selector)


def _check_buckets(selector: Selector) -> Selector:
    if not selector.name.endswith("_bucket"):
        raise ValueError("must select the buckets of a histogram: a name that ends in _bucket")
    return _check_no_bucket_chosen(selector)


def _check_no_bucket_chosen(selector: Selector) -> Selector:
    if any(matcher.label == "le" for matcher in selector.matchers):
        raise ValueError("must not choose among the buckets: leave le out")
    return selector


SelectorText = Annotated[
    Selector,
    BeforeValidator(_read),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "examples": ['http_requests_total{version="$version"}']}),
]
"""A selector as a configuration writes it."""

CounterText = Annotated[SelectorText, AfterValidator(checked_counter)]
"""A selector of counters."""

BucketsText = Annotated[
    SelectorText,
    AfterValidator(_check_buckets),
    WithJsonSchema({"type": "string", "examples": ['http_request_duration_seconds_bucket{version="$version"}']}),
]
"""A selector of a histogram's buckets."""

HistogramText = Annotated[
    SelectorText,
    AfterValidator(_check_histogram),
    WithJsonSchema({"type": "string", "examples": ['http_request_duration_seconds_bucket{version="$version"}']}),
]
"""A selector of a histogram's buckets, or of a native histogram."""
