"""The text of a `/metrics` page → the counters of the process behind it. `scrape.py` fetches the page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite

from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.samples import Sample

from healthd_gates.sources.counters import Counter, Family, Snapshot, valid
from healthd_gates.sources.inspection import missing_label
from healthd_gates.sources.selectors import Selector

OPENMETRICS = "application/openmetrics-text"
PLAIN = "text/plain;version=0.0.4"
ACCEPT = f"{OPENMETRICS};version=1.0.0,{PLAIN};q=0.5"
_START = "process_start_time_seconds"
_parse: Mapping[bool, Callable[[str], Iterable[Metric]]] = {True: parse_openmetrics, False: parse_text}


@dataclass(frozen=True, slots=True)
class Own:
    """The selectors of one criterion's series: of its counters, or of its value."""

    counters: Mapping[Family, Selector] = field(default_factory=dict)
    value: Selector | None = None

    @property
    def selectors(self) -> dict[str, Selector]:
        """The selectors by what they are for."""
        counters = {family.value: selector for family, selector in self.counters.items()}
        return counters if self.value is None else {"value": self.value}


@dataclass(frozen=True, slots=True)
class OwnFound:
    """The series of one criterion on a page: its counters and which of them are there, or its values. `problem` is what
    is wrong with them, if anything is."""

    snapshot: Snapshot
    matched: frozenset[Family] = frozenset()
    values: tuple[float, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """The content of one page. `matched` are the families that have at least one series, and `own` has the series of
    criteria."""

    snapshot: Snapshot
    matched: frozenset[Family]
    own: Mapping[str, OwnFound] = field(default_factory=dict)


class NotAPage(ValueError):  # noqa: N818 - what came
    """The answer is no exposition, or breaks the rules of its format."""


def families_of(text: str, content_type: str) -> list[Metric]:
    """Return all metrics of a page. Takes long for long pages. Raises NotAPage."""
    try:
        return list(_parse[content_type.startswith(OPENMETRICS)](text))
    except Exception as error:  # the parsers raise whatever error their input leads to
        raise NotAPage(f"not a metrics page: {error}") from error


def read_page(
    text: str,
    content_type: str,
    at: float,
    selectors: Mapping[Family, Selector],
    by: str | None = None,
    own: Mapping[str, Own] | None = None,
    latency_by: str | None = None,
) -> Page:
    """Read a page; `by` is the label that requests are split by, `latency_by` the one that latencies are, and `own` are
    the series of criteria. Takes long for long pages.

    Raises NotAPage, and ValueError for numbers that no counter has, or if the errors cannot be told from the requests.
    """
    samples = [sample for family in families_of(text, content_type) for sample in family.samples]
    created = {_series(sample): sample.value for sample in samples if sample.name.endswith("_created")}
    started = next((sample.value for sample in samples if sample.name == _START), None)
    found = {name: _own(each, samples, created, Snapshot(at, {}, started)) for name, each in (own or {}).items()}
    values = _counters(selectors, samples, created, by, latency_by)
    matched = frozenset(counter.family for counter in values)
    return Page(Snapshot(at, values, started), matched, found)


def _counters(
    selectors: Mapping[Family, Selector],
    samples: Sequence[Sample],
    created: Mapping[object, float],
    by: str | None = None,
    latency_by: str | None = None,
) -> dict[Counter, float]:
    """Return the counters that are selected. Raises ValueError."""
    values: dict[Counter, float] = {}
    for family, selector in selectors.items():
        for sample in samples:
            if not _selected(selector, sample):
                continue
            if valid(sample.value):
                values[_counter(family, sample, created, by, latency_by)] = sample.value
            elif family is not Family.SUM:  # which a single odd latency spoils for good
                raise ValueError(f"{sample.name} is {sample.value}, which no counter can be")
    families = {counter.family for counter in values}
    if Family.REQUESTS in families and Family.ERRORS in selectors and Family.ERRORS not in families:
        _refuse_misnamed(selectors, samples)
    return values


def _own(own: Own, samples: Sequence[Sample], created: Mapping[object, float], page: Snapshot) -> OwnFound:
    """Return the series of one criterion. What is wrong with them concerns that criterion alone."""
    if own.value is not None:
        found = (sample.value for sample in samples if _selected(own.value, sample))
        return OwnFound(page, values=tuple(value for value in found if isfinite(value)))
    try:
        values = _counters(own.counters, samples, created)
    except ValueError as error:
        return OwnFound(page, problem=str(error))
    return OwnFound(replace(page, values=values), frozenset(counter.family for counter in values))


def series_of(metric: str, samples: Iterable[Sample]) -> list[Mapping[str, str]]:
    """Return the labels of each series of a metric."""
    return [sample.labels for sample in samples if metric in (sample.name, sample.name.removesuffix("_total"))]


def _refuse_misnamed(selectors: Mapping[Family, Selector], samples: Sequence[Sample]) -> None:
    errors = selectors[Family.ERRORS]
    if errors.name != selectors[Family.REQUESTS].name:
        return
    if (wrong := missing_label(errors, series_of(errors.name, samples))) is not None:
        raise ValueError(f"errors: {wrong}")


def _selected(selector: Selector, sample: Sample) -> bool:
    """True if the selector matches. The parser adds `_total` to counters that are exposed without it."""
    return any(selector.matches(name, sample.labels) for name in {sample.name, sample.name.removesuffix("_total")})


def _counter(
    family: Family, sample: Sample, created: Mapping[object, float], by: str | None, latency_by: str | None
) -> Counter:
    """Return the counter of a sample. One that was created again is a new one, and counts from 0."""
    since = created.get(_series(sample))
    labels = sample.labels if since is None else {**sample.labels, "_created": str(since)}
    return Counter.of(family, labels, by, latency_by)


def _series(sample: Sample) -> object:
    """Key that `x_total{a}`, `x_bucket{a,le}` and `x_created{a}` have in common."""
    name = sample.name
    for suffix in ("_total", "_bucket", "_sum", "_created"):
        name = name.removesuffix(suffix)
    return name, frozenset(pair for pair in sample.labels.items() if pair[0] != "le")
