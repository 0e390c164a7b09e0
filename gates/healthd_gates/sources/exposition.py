"""The text of a `/metrics` page → the counters of the process behind it. How a page is fetched is in `scrape.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.samples import Sample

from healthd_gates.sources.counters import Counter, Family, Snapshot, valid
from healthd_gates.sources.selectors import Selector

OPENMETRICS = "application/openmetrics-text"
ACCEPT = f"{OPENMETRICS};version=1.0.0,text/plain;version=0.0.4;q=0.5"
_START = "process_start_time_seconds"
_parse: Mapping[bool, Callable[[str], Iterable[Metric]]] = {True: parse_openmetrics, False: parse_text}


@dataclass(frozen=True, slots=True)
class Page:
    """What one page said. `matched` are the families of which there was any series."""

    snapshot: Snapshot
    matched: frozenset[Family]


def read_page(text: str, content_type: str, at: float, selectors: Mapping[Family, Selector]) -> Page:
    """Takes long for long pages. Raises ValueError for what is no exposition, or holds numbers that no counter has."""
    try:
        samples = [s for family in _parse[content_type.startswith(OPENMETRICS)](text) for s in family.samples]
    except Exception as error:  # the parsers raise whatever their input makes them stumble over
        raise ValueError(f"not a metrics page: {error}") from error
    created = {_series(sample): sample.value for sample in samples if sample.name.endswith("_created")}
    values: dict[Counter, float] = {}
    for family, selector in selectors.items():
        for sample in samples:
            if not _selected(selector, sample):
                continue
            if valid(sample.value):
                values[_counter(family, sample, created)] = sample.value
            elif family is not Family.SUM:  # which a single odd latency spoils for good
                raise ValueError(f"{sample.name} is {sample.value}, which no counter can be")
    started = next((sample.value for sample in samples if sample.name == _START), None)
    return Page(Snapshot(at, values, started), frozenset(counter.family for counter in values))


def _selected(selector: Selector, sample: Sample) -> bool:
    """The parser adds `_total` to counters that are exposed without it."""
    return any(selector.matches(name, sample.labels) for name in {sample.name, sample.name.removesuffix("_total")})


def _counter(family: Family, sample: Sample, created: Mapping[object, float]) -> Counter:
    """One that was created anew is another one, and counts from 0."""
    since = created.get(_series(sample))
    return Counter.of(family, sample.labels if since is None else {**sample.labels, "_created": str(since)})


def _series(sample: Sample) -> object:
    """What `x_total{a}`, `x_bucket{a,le}` and `x_created{a}` have in common."""
    name = sample.name
    for suffix in ("_total", "_bucket", "_sum", "_created"):
        name = name.removesuffix(suffix)
    return name, frozenset(pair for pair in sample.labels.items() if pair[0] != "le")
