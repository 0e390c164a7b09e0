"""A receiver of OTLP over HTTP, on a `peer`: it decodes what it is sent as strictly as its makers describe it.

Facts of the original that it keeps, from the specification (opentelemetry.io/docs/specs/otlp, OTLP/HTTP: POST to
/v1/metrics and /v1/traces, `application/x-protobuf`, gzip, 200 with an Export…Response) and from the comments in the
messages themselves (opentelemetry-proto 1.x): trace ids of 16 bytes and span ids of 8, not all zeros; times that are
set, an end that is not before its beginning; keys of attributes that are not empty and not twice; a histogram with one
count more than it has bounds, which ascend, and with counts that add up; a cumulative sum that says since when; no
field that the messages do not have.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE, Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.servers.peers import Answer, Peer, Received

METRICS, TRACES = "/v1/metrics", "/v1/traces"
Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]
"""Values by name and labels, as at `/metrics`."""


def listen(peer: Peer) -> None:
    """Answer exports as a receiver does that takes them."""
    for path, taken in ((METRICS, ExportMetricsServiceResponse()), (TRACES, ExportTraceServiceResponse())):
        peer.answer("POST", path, Answer(200, body=taken.SerializeToString()))


def spans(peer: Peer) -> list[Span]:
    """The spans that were sent, in order."""
    found: list[Span] = []
    for received in _of(peer, TRACES):
        request = ExportTraceServiceRequest.FromString(_body(received))
        _strict(request)
        for part in request.resource_spans:
            _attributes(part.resource.attributes)
            found += [_valid(span) for scope in part.scope_spans for span in scope.spans]
    return found


def resource(peer: Peer, path: str) -> dict[str, Any]:
    """The resource attributes of the last export."""
    kind = ExportMetricsServiceRequest if path == METRICS else ExportTraceServiceRequest
    request = kind.FromString(_body(_of(peer, path)[-1]))
    parts = request.resource_metrics if path == METRICS else request.resource_spans
    return _attributes(parts[0].resource.attributes)


def metrics(peer: Peer) -> Series:
    """What the last export of metrics says."""
    return decoded(_body(_of(peer, METRICS)[-1]))


def decoded(message: bytes) -> Series:
    """What an export of metrics says, with histograms as Prometheus writes them."""
    request = ExportMetricsServiceRequest.FromString(message)
    _strict(request)
    found: Series = {}
    for part in request.resource_metrics:
        for metric in (metric for scope in part.scope_metrics for metric in scope.metrics):
            for name, labels, value in _points(metric):
                key = (name, tuple(sorted(labels.items())))
                assert key not in found, key
                found[key] = value
    return found


def attributes_of(span: Span) -> dict[str, Any]:
    return _attributes(span.attributes)


def events_of(span: Span) -> list[tuple[str, dict[str, Any]]]:
    return [(event.name, _attributes(event.attributes)) for event in span.events]


def _of(peer: Peer, path: str) -> list[Received]:
    return [received for received in peer.received if received.path == path]


def _body(received: Received) -> bytes:
    assert (received.method, received.headers["Content-Type"]) == ("POST", "application/x-protobuf")
    return received.body  # which the peer has unpacked


def _strict(message: Any) -> None:
    """Fail for a field that the message does not have, at any depth."""
    assert not list(UnknownFieldSet(message)), message.DESCRIPTOR.full_name
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for each in value if isinstance(value, Iterable) else (value,):
                _strict(each)


def _valid(span: Span) -> Span:
    assert len(span.trace_id) == 16
    assert any(span.trace_id)
    assert len(span.span_id) == 8
    assert any(span.span_id)
    assert len(span.parent_span_id) in (0, 8)
    assert span.name
    assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
    _attributes(span.attributes)
    for event in span.events:
        assert event.name
        assert event.time_unix_nano > 0
        _attributes(event.attributes)
    return span


def _points(metric: Metric) -> Iterator[tuple[str, dict[str, str], float]]:
    assert metric.name
    match metric.WhichOneof("data"):
        case "gauge":
            yield from ((metric.name, _attributes(p.attributes), p.as_double) for p in metric.gauge.data_points)
        case "sum":
            assert metric.sum.is_monotonic
            assert metric.sum.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE
            for number in metric.sum.data_points:
                assert 0 < number.start_time_unix_nano <= number.time_unix_nano
                yield metric.name, _attributes(number.attributes), number.as_double
        case "histogram":
            assert metric.histogram.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE
            for point in metric.histogram.data_points:
                bounds, counts = list(point.explicit_bounds), list(point.bucket_counts)
                assert 0 < point.start_time_unix_nano <= point.time_unix_nano
                assert bounds == sorted(set(bounds))
                assert len(counts) == len(bounds) + 1
                assert sum(counts) == point.count
                labels, below = _attributes(point.attributes), 0
                for edge, count in zip([*bounds, float("inf")], counts, strict=True):
                    below += count
                    yield f"{metric.name}_bucket", {**labels, "le": str(edge)}, float(below)
                yield f"{metric.name}_count", labels, float(point.count)
                yield f"{metric.name}_sum", labels, point.sum
        case other:
            raise AssertionError(f"{metric.name} has {other}")


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in pairs:
        assert pair.key
        assert pair.key not in found
        kind = pair.value.WhichOneof("value")
        assert kind is not None, pair.key
        found[pair.key] = getattr(pair.value, kind)
    return found
