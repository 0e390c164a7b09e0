"""Exports as SDKs send them, and a gate that hears them. The real SDK sends in
tests/integration/gates/api/test_telemetry.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from healthd_gates.sources.contract import Arm
from healthd_gates.sources.otlp.decode import decode_metrics, decode_spans
from healthd_gates.sources.otlp.receiver import Receiver
from tests.fakes.sources import Desk, HandClock, desk

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DURATION = "http.server.request.duration"
BOUNDS = (0.1, 1.0)
Stream = tuple[Mapping[str, Any], Sequence[int]]
"""Attributes of a stream, and its counts by bucket."""
_ids = count(1)


def nano(seconds: float) -> int:
    """Nanoseconds since 1970 of so many seconds after noon."""
    return int((NOON.timestamp() + seconds) * 1e9)


def attributes(labels: Mapping[str, Any]) -> list[dict[str, Any]]:
    kinds = {int: "intValue", bool: "boolValue", float: "doubleValue", str: "stringValue"}
    return [
        {"key": key, "value": {kinds[type(value)]: str(value) if type(value) is int else value}}
        for key, value in labels.items()
    ]


def resource(version: str | None = "2", **more: Any) -> dict[str, Any]:
    labels = {"service.name": "shop"} | ({"service.version": version} if version else {})
    return {"attributes": attributes(labels | {name.replace("_", "."): value for name, value in more.items()})}


def histogram(*streams: Stream, start: float, at: float, name: str = DURATION, **how: Any) -> dict[str, Any]:
    """A histogram of seconds, cumulative unless `temporality` is 1."""
    points = [
        {
            "attributes": attributes(labels),
            "startTimeUnixNano": str(nano(start)),
            "timeUnixNano": str(nano(at)),
            "count": str(sum(counts)),
            "sum": 0.5 * sum(counts),
            "explicitBounds": list(BOUNDS),
            "bucketCounts": [str(each) for each in counts],
        }
        for labels, counts in streams
    ]
    unit, temporality = how.get("unit", "s"), how.get("temporality", 2)
    return {"name": name, "unit": unit, "histogram": {"aggregationTemporality": temporality, "dataPoints": points}}


def total(name: str, value: int, *, start: float, at: float, monotonic: bool = True, **labels: Any) -> dict[str, Any]:
    """A sum, cumulative."""
    point = {
        "attributes": attributes(labels),
        "startTimeUnixNano": str(nano(start)),
        "timeUnixNano": str(nano(at)),
        "asInt": str(value),
    }
    return {"name": name, "sum": {"aggregationTemporality": 2, "isMonotonic": monotonic, "dataPoints": [point]}}


def span(at: float, seconds: float, answered: int | None = 200, **more: Any) -> dict[str, Any]:
    number = next(_ids)
    name = more.pop("attribute", "http.response.status_code")
    return {
        "traceId": f"{number:032x}",
        "spanId": f"{number:016x}",
        "kind": 2,
        "startTimeUnixNano": str(nano(at - seconds)),
        "endTimeUnixNano": str(nano(at)),
        "attributes": attributes({name: answered} if answered is not None else {}),
        **more,
    }


class Gate:
    """A gate of `shop` that compares version 2 with version 1, and its daemon's receiver."""

    def __init__(
        self, edges: tuple[float, ...] = (), split_by: str | None = None, latency: bool = False, **options: Any
    ) -> None:
        self._by, self._latency_by = split_by, split_by if latency else None
        self.clock, self._options, self._edges = HandClock(NOON), {"kind": "otlp", **options}, edges
        self.desk = self._started()

    def _started(self) -> Desk:
        self.receiver = Receiver(self.clock)
        arms = Arm("2", target="green"), Arm("1", target="blue")
        more: dict[str, Any] = {"edges": self._edges, "telemetry": self.receiver, "by": self._by}
        more["latency_by"] = self._latency_by
        return desk(self._options, self.clock, candidate=arms[0], baseline=arms[1], **more)

    async def kill(self) -> None:
        """Another daemon goes on, with the cursor that was stored, and looks."""
        cursor, looks = self.desk.cursor, self.desk.looks
        self.desk = self._started()
        self.desk.cursor, self.desk.looks = cursor, looks
        await self.desk.look(after=1)

    def send(self, *metrics: dict[str, Any], by: dict[str, Any] | None = None, as_json: bool = False) -> int:
        """Export; return how much was beyond the limits."""
        document = {"resourceMetrics": [{"resource": by or resource(), "scopeMetrics": [{"metrics": list(metrics)}]}]}
        body = json_format.MessageToJson(request := json_format.ParseDict(document, ExportMetricsServiceRequest()))
        sent = body.encode() if as_json else request.SerializeToString()
        export = decode_metrics(sent, self.receiver.wants, as_json=as_json)
        return export.rejected + sum(self.receiver.take(["shop"], each) for each in export.resources)

    def trace(self, *spans: dict[str, Any], by: dict[str, Any] | None = None) -> None:
        document = {"resourceSpans": [{"resource": by or resource(), "scopeSpans": [{"spans": list(spans)}]}]}
        sent = json_format.ParseDict(document, ExportTraceServiceRequest()).SerializeToString()
        for each in decode_spans(sent, as_json=False).resources:
            self.receiver.take(["shop"], each)

    def counted(self, arm: str = "candidate") -> tuple[float, float] | None:
        counts = self.desk.total(arm)
        return None if counts is None else (counts.requests, counts.errors)
