"""Messages of OTLP: metrics of a Prometheus registry, and spans. Imported where something is exported, not before.

A metric keeps the name that it has at `/metrics`, so that a dashboard finds it by either way.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2
from prometheus_client.core import Metric as Family
from prometheus_client.samples import Sample

from healthd import __version__
from healthd.otlp.span import Attribute, Attributes, Span

_NANO = 1_000_000_000
_UNITS = {"seconds": "s", "bytes": "By"}  # of UCUM, by the end of a name
_SAMPLED = 1
_TWO_63 = 2**63
_SCOPE = InstrumentationScope(name="healthd", version=__version__)
Labels = tuple[tuple[str, str], ...]


def metrics_request(
    families: Iterable[Family], resource: Mapping[str, str], since: float, now: float
) -> tuple[bytes, int]:
    """Return the families as a request, and the number of its data points. Counts without a time of their own have
    counted `since` then; times are in seconds since 1970."""
    request = ExportMetricsServiceRequest()
    part = request.resource_metrics.add(resource=_resource(resource))
    scope = part.scope_metrics.add(scope=_SCOPE)
    for family in families:
        if family.type == "histogram":
            _add_histogram(scope.metrics.add(), family, since, now)
        elif family.type == "counter":
            _add_counts(scope.metrics.add(), family, since, now)
        else:
            _add_numbers(scope.metrics, family, now)
    points = sum(len(getattr(each, each.WhichOneof("data")).data_points) for each in scope.metrics)
    return request.SerializeToString(), points


def traces_request(spans: Sequence[Span], resource: Mapping[str, str]) -> bytes:
    """Return the spans as a request."""
    request = ExportTraceServiceRequest()
    part = request.resource_spans.add(resource=_resource(resource))
    scope = part.scope_spans.add(scope=_SCOPE)
    scope.spans.extend(map(_span, spans))
    message: bytes = request.SerializeToString()
    return message


def rejected(signal: str, answer: bytes) -> tuple[int, str]:
    """Return how much of an export was not taken, and why: the partial success of an answer. Raises DecodeError."""
    if signal == "metrics":
        metrics = ExportMetricsServiceResponse.FromString(answer).partial_success
        return metrics.rejected_data_points, metrics.error_message
    traces = ExportTraceServiceResponse.FromString(answer).partial_success
    return traces.rejected_spans, traces.error_message


def complaint(answer: bytes) -> str:
    """Return the message of a `google.rpc.Status`, which receivers answer errors with; empty if it is none. Its code
    and its message have the places of what a partial success says, and the same types."""
    try:
        message: str = ExportMetricsPartialSuccess.FromString(answer).error_message
    except DecodeError:
        return ""
    return message


def _add_counts(metric: Metric, family: Family, since: float, now: float) -> None:
    _name(metric, f"{family.name}_total", family)
    metric.sum.aggregation_temporality, metric.sum.is_monotonic = AGGREGATION_TEMPORALITY_CUMULATIVE, True
    began = {_labels(sample): sample.value for sample in family.samples if sample.name.endswith("_created")}
    metric.sum.data_points.extend(
        NumberDataPoint(
            attributes=_attributes(sample.labels),
            start_time_unix_nano=_nano(min(began.get(_labels(sample), since), now)),  # a clock that was set back
            time_unix_nano=_nano(now),
            as_double=sample.value,
        )
        for sample in family.samples
        if not sample.name.endswith("_created")
    )


def _add_numbers(metrics: Any, family: Family, now: float) -> None:
    """Add a gauge for each name of a family: a summary has several."""
    names = dict.fromkeys(sample.name for sample in family.samples if not sample.name.endswith("_created"))
    for name in names:
        metric = metrics.add()
        _name(metric, name, family)
        metric.gauge.data_points.extend(
            NumberDataPoint(attributes=_attributes(sample.labels), time_unix_nano=_nano(now), as_double=sample.value)
            for sample in family.samples
            if sample.name == name
        )


def _name(metric: Metric, name: str, family: Family) -> None:
    metric.name, metric.description = name, family.documentation
    metric.unit = _UNITS.get(family.name.rpartition("_")[2], "")


def _add_histogram(metric: Metric, family: Family, since: float, now: float) -> None:
    _name(metric, family.name, family)
    metric.histogram.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
    series: dict[Labels, list[Sample]] = defaultdict(list)
    for sample in family.samples:
        series[_labels(sample)].append(sample)
    for labels, samples in series.items():
        metric.histogram.data_points.append(_histogram(labels, samples, since, now))


def _histogram(labels: Labels, samples: Iterable[Sample], since: float, now: float) -> HistogramDataPoint:
    point = HistogramDataPoint(attributes=_attributes(dict(labels)), time_unix_nano=_nano(now))
    point.start_time_unix_nano = _nano(min(since, now))
    below = 0
    for sample in samples:
        if sample.name.endswith("_bucket"):  # each counts those below it too
            if not math.isinf(edge := float(sample.labels["le"])):
                point.explicit_bounds.append(edge)
            point.bucket_counts.append(int(sample.value) - below)
            below = int(sample.value)
        elif sample.name.endswith("_sum"):
            point.sum = sample.value
        elif sample.name.endswith("_created"):
            point.start_time_unix_nano = _nano(min(sample.value, now))
    point.count = below
    return point


def _labels(sample: Sample) -> Labels:
    return tuple((name, value) for name, value in sample.labels.items() if name != "le")


def _span(span: Span) -> trace_pb2.Span:
    failed = span.failed is not None
    return trace_pb2.Span(
        trace_id=bytes.fromhex(span.trace_id),
        span_id=bytes.fromhex(span.span_id),
        parent_span_id=bytes.fromhex(span.parent_id or ""),
        flags=_SAMPLED,
        name=_text(span.name),
        kind=trace_pb2.Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=_nano_of(span.began),
        end_time_unix_nano=_nano_of(max(span.ended, span.began)),
        attributes=_attributes(span.attributes),
        events=[
            trace_pb2.Span.Event(
                time_unix_nano=_nano_of(event.at), name=event.name, attributes=_attributes(event.attributes)
            )
            for event in span.events
        ],
        status=trace_pb2.Status(
            code=trace_pb2.Status.STATUS_CODE_ERROR if failed else trace_pb2.Status.STATUS_CODE_UNSET,
            message=_text(span.failed or ""),
        ),
    )


def _resource(attributes: Mapping[str, str]) -> Resource:
    return Resource(attributes=_attributes(attributes))


def _attributes(attributes: Attributes) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in attributes.items() if value is not None]


def _value(value: Attribute) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int() if -_TWO_63 <= value < _TWO_63:
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
    return AnyValue(string_value=_text(str(value)))  # also a longer integer, as OpenTelemetry wants it


def _text(text: str) -> str:
    """Return a text with `?` for what UTF-8 has no bytes for: halves of a surrogate pair."""
    return text.encode(errors="replace").decode()


def _nano_of(moment: datetime) -> int:
    return int(moment.timestamp()) * _NANO + moment.microsecond * 1000


def _nano(seconds: float) -> int:
    return int(seconds * _NANO)
