"""Bodies of exports → what they say (opentelemetry.io/docs/specs/otlp, messages of opentelemetry-proto 1.x).

Loads the messages of OpenTelemetry: imported when the first export comes to a configuration that takes any.
"""

from __future__ import annotations

import base64
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from math import isfinite
from typing import TypeVar

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as metrics
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from healthd_gates.sources.otlp.messages import (
    Buckets,
    Exponential,
    Export,
    NotDecodable,
    Point,
    Resource,
    Span,
    is_ascending,
    units_in_a_second,
)

_MOST_ATTRIBUTES, _LONGEST_KEY, _LONGEST_VALUE = 128, 128, 256
_MOST_BUCKETS = 1000
_NO_VALUE = metrics.DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
_DELTA, _CUMULATIVE = metrics.AGGREGATION_TEMPORALITY_DELTA, metrics.AGGREGATION_TEMPORALITY_CUMULATIVE
_STATUSES = ("http.response.status_code", "http.status_code")
# Of a threshold in `tracestate` (opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling).
_SAMPLED_BITS = 56

MessageT = TypeVar("MessageT", bound=Message)


def decode_metrics(body: bytes, wanted: Callable[[str], bool], *, as_json: bool) -> Export:
    """Return the points of the metrics that are wanted. Raises NotDecodable."""
    message = _message(body, ExportMetricsServiceRequest(), as_json=as_json)
    resources, problems, rejected = list[Resource](), list[str](), 0
    for sent in message.resource_metrics:
        labels, process = _identity(sent.resource.attributes)
        points = list[Point]()
        for scope in sent.scope_metrics:
            for metric in scope.metrics:
                if not wanted(metric.name):
                    continue
                for made in _points(metric, scope.scope.name, labels):
                    if isinstance(made, Point):
                        points.append(made)
                    else:
                        rejected += 1
                        problems.append(made)
        resources.append(Resource(process, labels, points))
    return Export(resources, rejected, tuple(dict.fromkeys(problems)))


def decode_spans(body: bytes, *, as_json: bool) -> Export:
    """Return the spans of servers. Raises NotDecodable."""
    message = _message(body, ExportTraceServiceRequest(), as_json=as_json)
    resources = list[Resource]()
    for sent in message.resource_spans:
        labels, process = _identity(sent.resource.attributes)
        spans = [
            _span(span, labels, as_json=as_json)
            for scope in sent.scope_spans
            for span in scope.spans
            if span.kind == SpanMessage.SPAN_KIND_SERVER
        ]
        resources.append(Resource(process, labels, spans=spans))
    return Export(resources)


def metrics_answer(rejected: int, message: str, *, as_json: bool) -> bytes:
    """Return the answer to an export of metrics: what was rejected, or a warning, or nothing."""
    response = ExportMetricsServiceResponse()
    if rejected or message:
        response.partial_success.rejected_data_points = rejected
        response.partial_success.error_message = message
    return _written(response, as_json=as_json)


def spans_answer(rejected: int, message: str, *, as_json: bool) -> bytes:
    """Return the answer to an export of spans."""
    response = ExportTraceServiceResponse()
    if rejected or message:
        response.partial_success.rejected_spans = rejected
        response.partial_success.error_message = message
    return _written(response, as_json=as_json)


def _written(response: Message, *, as_json: bool) -> bytes:
    text = json_format.MessageToJson(response, indent=None).encode() if as_json else response.SerializeToString()
    return bytes(text)


def _message(body: bytes, message: MessageT, *, as_json: bool) -> MessageT:
    try:
        if as_json:
            if not body.lstrip().startswith(b"{"):  # the parser takes an empty list for an empty message
                raise ValueError("it is no JSON object")
            json_format.Parse(body, message, ignore_unknown_fields=True)
        else:
            message.ParseFromString(body)
    except (DecodeError, json_format.ParseError, ValueError, RecursionError) as error:
        kind = "JSON" if as_json else "protobuf"
        raise NotDecodable(f"not an {type(message).__name__} in {kind}: {str(error)[:200]}") from None
    return message


def _identity(attributes: Iterable[KeyValue]) -> tuple[dict[str, str], str]:
    labels = _labels(attributes)
    return labels, _digest(labels)


def _digest(labels: Mapping[str, str], *more: str) -> str:
    return blake2b(repr((more, sorted(labels.items()))).encode(errors="replace"), digest_size=8).hexdigest()


def _labels(attributes: Iterable[KeyValue]) -> dict[str, str]:
    """Return the attributes as texts, long ones cut. Lists and maps are left out."""
    found: dict[str, str] = {}
    for pair in attributes:
        if len(found) == _MOST_ATTRIBUTES:
            break
        if len(pair.key) <= _LONGEST_KEY and (text := _text(pair)) is not None:
            found[pair.key] = text[:_LONGEST_VALUE]
    return found


def _text(pair: KeyValue) -> str | None:
    value = pair.value
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "int_value":
            return str(value.int_value)
        case "bool_value":
            return "true" if value.bool_value else "false"
        case "double_value":
            return repr(value.double_value)
        case _:
            return None


def _points(metric: metrics.Metric, scope: str, resource: Mapping[str, str]) -> Iterable[Point | str]:
    """Yield the points of a metric, or what is wrong with one."""
    kind = metric.WhichOneof("data")
    if kind is None or kind == "summary":
        yield f"{metric.name} is {'empty' if kind is None else 'a summary, which no SDK makes any more'}"
        return
    data = getattr(metric, kind)
    temporality = data.aggregation_temporality if kind != "gauge" else _CUMULATIVE
    if temporality not in (_DELTA, _CUMULATIVE):
        yield f"{metric.name} has no aggregation temporality"
        return
    per_second = units_in_a_second(metric.unit)
    counts = kind in ("histogram", "exponential_histogram") or (kind == "sum" and data.is_monotonic)
    for point in data.data_points:
        if point.flags & _NO_VALUE:
            continue
        own = _labels(point.attributes)
        value, total, buckets = _numbers(kind, point)
        if isinstance(buckets, str) or not isfinite(value) or (counts and value < 0):
            yield f"{metric.name}: {buckets if isinstance(buckets, str) else f'{value} is nothing that is counted'}"
            continue
        if isinstance(buckets, Exponential) and per_second is not None:
            buckets = buckets.on_grid(per_second)  # here, beside the event loop
        yield Point(
            metric.name,
            metric.unit,
            _digest(own, metric.name, scope),
            ChainMap(resource, own),  # type: ignore[arg-type]  # it is only read
            point.start_time_unix_nano,
            point.time_unix_nano,
            value,
            counts,
            temporality == _DELTA,
            total if isfinite(total) else 0.0,
            buckets,
        )


def _numbers(
    kind: str,
    point: metrics.NumberDataPoint | metrics.HistogramDataPoint | metrics.ExponentialHistogramDataPoint,
) -> tuple[float, float, Buckets | Exponential | str | None]:
    """Return a point's value or count, its sum, and its buckets or what is wrong with them."""
    if isinstance(point, metrics.NumberDataPoint):
        return (point.as_double if point.WhichOneof("value") == "as_double" else float(point.as_int)), 0.0, None
    if isinstance(point, metrics.ExponentialHistogramDataPoint):
        if not -10 <= point.scale <= 20 or len(point.positive.bucket_counts) > _MOST_BUCKETS:
            return float(point.count), point.sum, f"scale {point.scale}, or more than {_MOST_BUCKETS} buckets"
        below = float(point.zero_count + sum(point.negative.bucket_counts))
        buckets = Exponential(point.scale, point.positive.offset, tuple(point.positive.bucket_counts), below)
        return float(point.count), point.sum, buckets
    edges, counts = tuple(point.explicit_bounds), tuple(map(float, point.bucket_counts))
    if not counts:
        return float(point.count), point.sum, None
    if len(counts) != len(edges) + 1 or len(counts) > _MOST_BUCKETS or not is_ascending(edges):
        return float(point.count), point.sum, f"{len(edges)} bounds do not fit {len(counts)} buckets, or do not ascend"
    return float(point.count), point.sum, Buckets(edges, counts)


def _span(span: SpanMessage, resource: Mapping[str, str], *, as_json: bool) -> Span:
    own = _labels(span.attributes)
    status = next((own[name] for name in _STATUSES if name in own), "")
    failed = span.status.code == Status.STATUS_CODE_ERROR or (len(status) == 3 and status.startswith("5"))
    ids = _id(span.trace_id, as_json=as_json) + _id(span.span_id, as_json=as_json)
    key = int.from_bytes(blake2b(ids, digest_size=8).digest())
    labels: Mapping[str, str] = ChainMap(resource, own)  # type: ignore[arg-type]  # it is only read
    return Span(key, labels, span.start_time_unix_nano, span.end_time_unix_nano, failed, _sampled(span.trace_state))


def _id(decoded: bytes, *, as_json: bool) -> bytes:
    """Return the bytes of an id. In JSON ids are hexadecimal, which its reader took for the base64 of all other
    bytes."""
    if not as_json:
        return decoded
    try:
        return bytes.fromhex(base64.b64encode(decoded).decode())
    except ValueError:
        return decoded


def _sampled(trace_state: str) -> float | None:
    """Return the probability with which a span was kept, by its rejection threshold `ot=th:…`."""
    for member in trace_state[:512].split(","):
        vendor, _, text = member.strip().partition("=")
        threshold = next((part[3:] for part in text.split(";") if part.startswith("th:")), "")
        if vendor == "ot" and 0 < len(threshold) <= _SAMPLED_BITS // 4:
            try:
                return 1.0 - int(threshold, 16) / 16.0 ** len(threshold)
            except ValueError:
                return None
    return None
