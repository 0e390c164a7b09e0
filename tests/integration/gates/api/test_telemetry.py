"""OpenTelemetry's own SDK sends to the API, and the gate's counts are the generator's; what is refused, and how."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

from healthd.runtime.clock import SystemClock
from healthd.web.auth import Guard, hash_token
from healthd_gates.config.settings import Config
from healthd_gates.domain.standing import Verdict
from healthd_gates.engine.supervisor import Supervisor
from healthd_gates.router import GateApi
from healthd_gates.sources import build_source
from healthd_gates.sources.contract import Arm, Arms, SourceContext
from tests.fakes.gates import Replica, request, start_replica
from tests.fakes.sources import Desk, WallClock
from tests.servers.waiting import HANGS

METRICS, PROTOBUF = "/v1/metrics", "application/x-protobuf"
_TRACED = {"name": "traced", "version": "2"}
CONFIG = Config.model_validate(
    {
        "services": {
            "shop": {"source": {"kind": "otlp", "silent_after": "1h"}},
            "traced": {"source": {"kind": "otlp", "signal": "spans", "edges": ["100ms"]}},
            "mail": {"source": {"kind": "push"}},
        },
        "gates": {"lease_duration": "2s"},
        "policies": {
            "quick": {
                "initial_delay": "0s",
                "interval": "1s",
                "observe": {"min": "0s", "max": "10m"},
                "criteria": [{"kind": "error_rate", "limit": "50%"}],
            }
        },
        "auth": {
            "tokens": [
                {"name": "app", "hash": hash_token("app"), "scopes": ["telemetry:write"], "services": ["shop"]},
                {"name": "collector", "hash": hash_token("collector"), "scopes": ["telemetry:write"]},
                {"name": "reader", "hash": hash_token("reader"), "role": "viewer"},
            ]
        },
    }
)


@dataclass
class Stand:
    client: TestClient[Any, Any]
    replica: Replica

    def desk(self, service: str, **arms: Arm) -> Desk:
        source = CONFIG.services[service].source
        assert source is not None
        clock = WallClock()
        context = SourceContext(clock, str, telemetry=self.replica.keeper.receiver)
        return Desk(
            build_source(source, Arms(service, arms.get("candidate", Arm("2")), arms.get("baseline")), context), clock
        )

    def url(self, path: str) -> str:
        return str(self.client.make_url(path))

    async def post(self, body: bytes, token: str | None = "collector", path: str = METRICS, **headers: str) -> Any:
        sent = {"Content-Type": PROTOBUF} | {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        return await self.client.post(path, data=body, headers=sent)


@asynccontextmanager
async def serving(journal: Path) -> AsyncIterator[Stand]:
    """A replica and its API, from its first moment on; it is the test that ends the replica."""
    replica = await start_replica(journal, CONFIG, SystemClock())
    api = GateApi(replica.keeper, replica.gates.runs, Guard(replica.in_force), SystemClock())
    app = web.Application()
    app.add_routes(api.routes())
    served = TestServer(app)
    await served.start_server(auto_decompress=False)  # as the daemon's own server
    async with TestClient(served) as client:
        yield Stand(client, replica)


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    async with serving(tmp_path / "journal.db") as stand:
        await settled(stand)
        yield stand
        await stand.replica.stop()


async def settled(stand: Stand) -> None:
    """Wait until the journal has said which gates may go on here."""
    async with asyncio.timeout(HANGS):
        while not stand.replica.keeper.receiver.is_settled:
            await asyncio.sleep(0.01)


class Shop:
    """A process with the real SDK, and its own count of what it recorded."""

    def __init__(
        self, url: str, version: str, *, token: str = "app", delta: bool = False, exponential: bool = False
    ) -> None:
        chosen = AggregationTemporality.DELTA if delta else AggregationTemporality.CUMULATIVE
        self.exporter = OTLPMetricExporter(
            url,
            headers={"authorization": f"Bearer {token}"},
            compression=Compression.Gzip,
            preferred_temporality={Histogram: chosen},
            timeout=10,
        )
        views = [View(instrument_name="*", aggregation=ExponentialBucketHistogramAggregation())] if exponential else []
        reader = PeriodicExportingMetricReader(self.exporter, export_interval_millis=3_600_000)
        about = Resource({"service.name": "shop", "service.version": version, "service.instance.id": f"i-{version}"})
        self.provider = MeterProvider([reader], about, views=views)
        self._duration = self.provider.get_meter("test").create_histogram(
            "http.server.request.duration", "s", explicit_bucket_boundaries_advisory=[0.005, 0.05, 0.5, 1, 5]
        )
        self.requests = self.errors = 0

    def serve(self, status: int, seconds: float, times: int = 1) -> None:
        for _ in range(times):
            self._duration.record(seconds, {"http.request.method": "GET", "http.response.status_code": status})
        self.requests += times
        self.errors += times * (status >= 500)

    async def export(self) -> None:
        assert await asyncio.to_thread(self.provider.force_flush)

    async def close(self) -> None:
        await asyncio.to_thread(self.provider.shutdown)


@pytest.mark.parametrize(
    "how", [{}, {"delta": True}, {"exponential": True}], ids=["cumulative", "delta", "exponential"]
)
async def test_counts_are_those_of_the_real_sdk(how: dict[str, Any], stand: Stand) -> None:
    """Gzipped protobuf, of both versions, in several exports."""
    gate = stand.desk("shop", baseline=Arm("1"))
    await gate.look()
    new, old = (Shop(stand.url(METRICS), version, **how) for version in ("2", "1"))
    try:
        for number in range(3):
            new.serve(200, 0.02, 10 + number)
            new.serve(503, 4.0, number)
            old.serve(404, 0.02, 5)
            await new.export()
            await old.export()
            await gate.look()
    finally:
        await new.close()
        await old.close()
    for arm, shop in (("candidate", new), ("baseline", old)):
        counts = gate.total(arm)
        assert counts is not None
        assert (counts.requests, counts.errors) == (shop.requests, shop.errors)
        assert counts.latency is not None
        slow = sum(c for e, c in zip(counts.latency.edges, counts.latency.counts, strict=True) if e > 1)
        assert (counts.latency.total, slow) == (shop.requests, shop.errors)
    assert gate.gaps == 0


async def test_spans_of_the_real_sdk_are_requests(stand: Stand) -> None:
    gate = stand.desk("traced")
    await gate.look()
    exporter = OTLPSpanExporter(stand.url("/v1/traces"), headers={"authorization": "Bearer collector"})
    provider = TracerProvider(resource=Resource({"service.name": "traced", "service.version": "2"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def serve() -> None:
        tracer = provider.get_tracer("test")
        for status in (200, 200, 500):
            with tracer.start_as_current_span("GET /", kind=SpanKind.SERVER) as span:
                span.set_attribute("http.response.status_code", status)
                with tracer.start_as_current_span("query", kind=SpanKind.CLIENT):
                    pass
        with tracer.start_as_current_span("rpc", kind=SpanKind.SERVER) as span:
            span.set_status(Status(StatusCode.ERROR))
        provider.shutdown()

    await asyncio.to_thread(serve)
    await gate.look()
    counts = gate.total()
    assert counts is not None
    assert (counts.requests, counts.errors) == (4, 2)


async def test_a_gate_is_decided_by_telemetry(stand: Stand) -> None:
    """From the request to the verdict."""
    shop = Shop(stand.url(METRICS), "2")
    gate = await stand.replica.keeper.start(request("shop", "2", policy="quick"), caller="ci")
    try:
        while not (now := await stand.replica.keeper.get(gate.id)).decision:
            shop.serve(200, 0.01, 50)
            await shop.export()
            await asyncio.sleep(0.1)
    finally:
        await shop.close()
    assert now.decision.verdict is Verdict.PASS


async def test_an_export_again_after_a_lost_answer_changes_nothing(stand: Stand) -> None:
    gate = stand.desk("shop")
    await gate.look()
    shop = Shop(stand.url(METRICS), "2")
    try:
        shop.serve(500, 0.1, 7)
        await shop.export()
        await shop.export()
        await gate.look()
    finally:
        await shop.close()
    counts = gate.total()
    assert counts is not None
    assert (counts.requests, counts.errors) == (7, 7)


def _span(number: int) -> bytes:
    ends = time.time_ns()
    span = {"traceId": f"{number:032x}", "spanId": f"{number:016x}", "name": "GET /", "kind": 2}
    span |= {"startTimeUnixNano": str(ends - 10**7), "endTimeUnixNano": str(ends)}
    labels = [{"key": f"service.{key}", "value": {"stringValue": text}} for key, text in _TRACED.items()]
    scopes = [{"spans": [span]}]
    return json.dumps({"resourceSpans": [{"resource": {"attributes": labels}, "scopeSpans": scopes}]}).encode()


async def _sent(stand: Stand, number: int) -> list[int]:
    """Send a span until it is taken, as a collector does; return the statuses of the answers."""
    statuses = list[int]()
    async with asyncio.timeout(HANGS):
        while 200 not in statuses:
            answer = await stand.post(_span(number), path="/v1/traces", Content_Type="application/json")
            assert answer.status == 200 or answer.headers["Retry-After"] == "2"
            statuses.append(answer.status)
            await asyncio.sleep(0.1)
    return statuses


@pytest.mark.parametrize("late", [0.0, 1.5], ids=["in time", "late"])
async def test_what_comes_before_a_gate_goes_on_is_kept_by_who_sends(
    late: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a kill the gate is free once its lease is over. Until then nobody here would count what is taken, however
    late a busy machine looks for it."""
    take_over = Supervisor.take_over_orphans

    async def taken_over(supervisor: Supervisor) -> None:
        await asyncio.sleep(late)
        await take_over(supervisor)

    monkeypatch.setattr(Supervisor, "take_over_orphans", taken_over)
    journal = tmp_path / "journal.db"
    async with serving(journal) as first:
        gate = await first.replica.keeper.start(request("traced", "2", policy="quick"), caller="ci")
        assert await _sent(first, 1)
        await first.replica.crash()
    async with serving(journal) as second:
        first_answers = await _sent(second, 2)
        await _sent(second, 3)
        counted = 0.0
        async with asyncio.timeout(HANGS):
            while counted < 2:
                answer = await second.client.get(
                    f"/gates/{gate.id}/evidence", headers={"Authorization": "Bearer reader"}
                )
                looks = (await answer.json())["looks"]
                counted = sum(look["candidate"]["requests"] for look in looks if look["candidate"] is not None)
                await asyncio.sleep(0.2)
        await second.replica.stop()
        ended = await second.post(_span(4), path="/v1/traces", Content_Type="application/json")
    assert 503 in first_answers
    assert ended.status == 503, "what ends says so, for the process after it"


async def test_a_gate_that_runs_well_elsewhere_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica that starts beside another one takes what is sent as soon as it has seen that the other lives."""
    monkeypatch.setattr("healthd_gates.engine.replica._LATE_SECONDS", 1e6)  # longer than any test
    monkeypatch.setattr("healthd_gates.engine.replica._FIRST_LOOK_SECONDS", 1e6)
    journal = tmp_path / "journal.db"
    async with serving(journal) as first:
        await first.replica.keeper.start(request("traced", "2", policy="quick"), caller="ci")
        async with serving(journal) as second:
            assert 200 in await _sent(second, 1)
            await second.replica.stop()
        await first.replica.stop()


async def test_a_service_without_a_gate_keeps_nobody_waiting(stand: Stand) -> None:
    assert await _sent(stand, 1) == [200]


def _of(name: str) -> bytes:
    labels = [{"key": "service.name", "value": {"stringValue": name}}]
    return json.dumps({"resourceMetrics": [{"resource": {"attributes": labels}, "unknown": 1}]}).encode()


async def test_who_is_let_in(stand: Stand) -> None:
    """A status in the encoding of the request, and never one that is retried in vain."""
    kind = {"Content_Type": "application/json"}
    said = {
        "none": await stand.post(_of("shop"), None, **kind),
        "viewer": await stand.post(_of("shop"), "reader", **kind),
        "bound elsewhere": await stand.post(_of("traced"), "app", **kind),
        "own": await stand.post(_of("shop"), "app", **kind),
        "empty": await stand.post(b"{}", "app", **kind),
    }
    assert {name: answer.status for name, answer in said.items()} == {
        "none": 401,
        "viewer": 403,
        "bound elsewhere": 403,
        "own": 200,
        "empty": 200,
    }
    assert all(answer.content_type == "application/json" for answer in said.values())
    assert "scope telemetry:write" in (await said["viewer"].json())["message"]
    assert await said["own"].json() == {}


async def test_what_cannot_be_decoded_is_no_outage(stand: Stand) -> None:
    """400, 413, 415: none of them is retried. The body is a google.rpc.Status in protobuf, whose field 2 is text."""
    bomb = gzip.compress(bytes(5 * 1024**2))
    answers = [
        await stand.post(b"\xff\xff\xff"),
        await stand.post(b"{", Content_Type="application/json"),
        await stand.post(bomb, Content_Encoding="gzip"),
        await stand.post(b"x", Content_Type="text/plain"),
        await stand.post(b"x", Content_Encoding="gzip"),
    ]
    assert [answer.status for answer in answers] == [400, 400, 413, 415, 400]
    first = await answers[0].read()
    assert answers[0].content_type == PROTOBUF
    assert first[:1] == b"\x12"
    assert b"Not decodable" in first


async def test_a_misnamed_service_is_told_to_its_sdk(stand: Stand) -> None:
    """As a warning of a partial success, which SDKs log."""
    answer = await stand.post(_of("shopp"), Content_Type="application/json")
    assert (await answer.json())["partialSuccess"]["errorMessage"] == (
        "nothing here counts by service.name shopp. Did you mean shop?"
    )
    empty = await stand.post(b"")
    assert (empty.status, ExportMetricsServiceResponse.FromString(await empty.read()).HasField("partial_success")) == (
        200,
        False,
    )


async def test_the_sdk_takes_the_answers_as_they_are_meant(stand: Stand) -> None:
    """A refusal ends the export at once: the SDK retries 429, 502, 503 and 504 alone."""
    shop = Shop(stand.url(METRICS), "2", token="nobody")
    try:
        result = await asyncio.to_thread(shop.exporter.export, MetricsData([]))
    finally:
        await shop.close()
    assert result is MetricExportResult.FAILURE
