"""Metrics and spans as messages of OTLP, read again by a strict receiver."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, Histogram, ProcessCollector, Summary
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from healthd.otlp.messages import metrics_request, rejected, traces_request
from healthd.otlp.span import Attributes, Span, SpanEvent, parse_traceparent
from tests.servers import otlp
from tests.servers.peers import Peer, Received

NOW = 1_800_000_000.0
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at_metrics(registry: CollectorRegistry) -> otlp.Series:
    """What a scrape reads, without the times at which counters began, which are no metrics of their own here."""
    found = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                labels = {k: str(float(v)) if k == "le" else v for k, v in sample.labels.items()}
                found[sample.name, tuple(sorted(labels.items()))] = sample.value
    return found


def test_metrics_are_those_of_a_scrape() -> None:
    """By name, labels and value, whatever their type; a counter says since when it counts."""
    registry = CollectorRegistry()
    Gauge("free_bytes", "Free.", ["disk"], registry=registry).labels("a b\n").set(2.5)
    Counter("probes", "Probes.", ["check"], registry=registry).labels("db").inc(7)
    took = Histogram("took_seconds", "Took.", ["check"], buckets=(0.1, 1, 10), registry=registry)
    for seconds in (0.05, 0.5, 0.7, 99):
        took.labels("db").observe(seconds)
    took.labels("empty")
    Summary("size", "Size.", registry=registry).observe(3)
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    families = list(registry.collect())
    message, points = metrics_request(families, {"service.name": "healthd"}, since=NOW - 5, now=NOW * 2)
    sent = otlp.decoded(message)
    wanted = at_metrics(registry)
    moving = {key for key in wanted if key[0].startswith(("process_", "python_gc"))}
    assert sent.keys() == wanted.keys()
    assert {key: sent[key] for key in sent.keys() - moving} == {key: wanted[key] for key in wanted.keys() - moving}
    of_histograms = [key for key in sent if key[0].startswith("took_seconds_")]
    assert points == len(sent) - len(of_histograms) + 2


def test_numbers_that_are_none() -> None:
    """A gauge without a number, and one beyond all, arrive as such."""
    registry = CollectorRegistry()
    Gauge("unknown", "", registry=registry).set(math.nan)
    Gauge("endless", "", registry=registry).set(math.inf)
    sent = otlp.decoded(metrics_request(registry.collect(), {}, NOW, NOW)[0])
    assert math.isnan(sent["unknown", ()])
    assert sent["endless", ()] == math.inf


async def test_spans_are_those_that_were_given(peer: Peer) -> None:
    """Times to the microsecond, attributes of every kind, none of those without a value; a failure is its status."""
    events = (SpanEvent("look", NOON + timedelta(microseconds=1), {"healthd.look.reason": "harm"}),)
    attributes: Attributes = {"text": "é", "yes": True, "whole": 3, "part": 0.5, "none": None}
    end = NOON + timedelta(seconds=2, microseconds=3)
    span = Span("ab" * 16, "cd" * 8, "ef" * 8, "gate api", NOON, end, attributes, events, "Too many errors.")
    ahead = Span("ab" * 16, "ce" * 8, None, "clock set back", end, NOON)
    otlp.listen(peer)
    message = traces_request([span, ahead], {"service.name": "healthd"})
    peer.received.append(_received(message))
    first, second = otlp.spans(peer)
    assert (first.trace_id.hex(), first.span_id.hex(), first.parent_span_id.hex()) == ("ab" * 16, "cd" * 8, "ef" * 8)
    assert first.end_time_unix_nano - first.start_time_unix_nano == 2_000_003_000
    assert first.start_time_unix_nano == int(NOON.timestamp()) * 10**9
    assert otlp.attributes_of(first) == {"text": "é", "yes": True, "whole": 3, "part": 0.5}
    assert otlp.events_of(first) == [("look", {"healthd.look.reason": "harm"})]
    assert (first.status.code, first.status.message) == (2, "Too many errors.")
    assert second.status.code == 0
    assert second.end_time_unix_nano == second.start_time_unix_nano
    assert otlp.resource(peer, otlp.TRACES) == {"service.name": "healthd"}


def _received(message: bytes) -> Received:
    headers = CIMultiDictProxy(CIMultiDict({"Content-Type": "application/x-protobuf"}))
    return Received("POST", otlp.TRACES, {}, headers, message)


def test_partial_success() -> None:
    answer = ExportMetricsServiceResponse()
    answer.partial_success.rejected_data_points, answer.partial_success.error_message = 3, "too old"
    assert rejected("metrics", answer.SerializeToString()) == (3, "too old")
    assert rejected("traces", b"") == (0, "")


SPAN = "00f067aa0ba902b7"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (f"00-{TRACE}-{SPAN}-01", (TRACE, SPAN, True)),
        (f" 00-{TRACE}-{SPAN}-00 ", (TRACE, SPAN, False)),
        (f"cc-{TRACE}-{SPAN}-01-of-a-later-version", (TRACE, SPAN, True)),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}", None),
        ("", None),
        ("é" * 55, None),
    ],
)
def test_traceparent(header: str, found: tuple[str, str, bool] | None) -> None:
    """As W3C's Trace Context says (3.2.2): a later version may say more, the first may not."""
    context = parse_traceparent(header)
    assert (None if context is None else (context.trace_id, context.span_id, context.sampled)) == found
    if context is not None:
        assert parse_traceparent(str(context)) == context


async def test_what_has_no_place_in_a_message_is_written_as_text(peer: Peer) -> None:
    """An integer over 64 bits, as OpenTelemetry wants it, and half of a surrogate pair."""
    attributes: Attributes = {"long": 2**63, "least": -(2**63), "half": "a\ud800b"}
    span = Span("ab" * 16, "cd" * 8, None, "gate \udfff", NOON, NOON, attributes, failed="\ud800")
    peer.received.append(_received(traces_request([span], {"host.name": "h\udcff"})))
    (read,) = otlp.spans(peer)
    assert otlp.attributes_of(read) == {"long": "9223372036854775808", "least": -(2**63), "half": "a?b"}
    assert (read.name, read.status.message) == ("gate ?", "?")
