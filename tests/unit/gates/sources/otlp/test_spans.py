"""Spans of servers are requests."""

from __future__ import annotations

from math import inf

import pytest

from healthd_gates.sources.contract import SourceUnavailable
from healthd_gates.sources.otlp.decode import _id
from tests.unit.gates.sources.otlp.exports import Gate, resource, span


async def test_each_span_of_a_server_is_a_request_once() -> None:
    """By the stable and the older attribute, or by the span's own status; other kinds of spans are none."""
    gate = Gate(signal="spans")
    await gate.desk.look()
    gate.clock.forward(5)
    sent = [
        span(5, 0.05),
        span(5, 0.1, 404),
        span(5, 0.5, 503),
        span(5, 2.0, 500, attribute="http.status_code"),
        span(5, 0.2, None, status={"code": 2}),
        span(5, 0.2, 500, kind=3),
        span(-1, 0.2, 500),
    ]
    gate.trace(*sent)
    gate.trace(*sent[:3])
    counts = (await gate.desk.seen()).candidate
    assert counts is not None
    assert (counts.requests, counts.errors) == (5, 3)


async def test_latency_is_counted_at_the_edges_that_are_asked_for() -> None:
    gate = Gate(edges=(0.1,), signal="spans")
    await gate.desk.look()
    gate.clock.forward(5)
    gate.trace(span(5, 0.1), span(5, 0.1000001), span(5, 300))
    counts = (await gate.desk.seen()).candidate
    assert counts is not None
    assert counts.latency is not None
    assert sum(c for e, c in zip(counts.latency.edges, counts.latency.counts, strict=True) if e <= 0.1) == 1
    assert counts.latency.counts[-1] == 1
    assert counts.latency.edges[-1] == inf


async def test_a_killed_daemon_keeps_what_it_had_stored() -> None:
    """What came after its last look is gone, and nothing is counted twice."""
    gate = Gate(signal="spans")
    await gate.desk.look()
    gate.clock.forward(5)
    gate.trace(span(5, 0.1), span(5, 0.1, 500))
    await gate.desk.look()
    gate.trace(span(5, 0.1))
    await gate.kill()
    gate.clock.forward(5)
    gate.trace(span(14, 0.1), span(14, 0.1))
    await gate.desk.look()
    assert gate.counted() == (4, 1)
    assert gate.desk.resets == 0


async def test_an_unfair_sample_is_no_telemetry() -> None:
    """One probability for all is a fair sample; several, as where errors are always kept, are not."""
    gate = Gate(signal="spans")
    await gate.desk.look()
    gate.clock.forward(5)
    gate.trace(span(5, 0.1, traceState="ot=th:c"), span(5, 0.1, traceState="a=b,ot=th:c;rv:1"))
    counts = (await gate.desk.seen()).candidate
    assert counts is not None
    assert counts.requests == 2
    gate.trace(span(6, 0.1, 500))
    gate.trace(span(6, 0.1, 500), by=resource("1"))
    look = await gate.desk.look(after=5)
    assert look.evidence is not None
    assert look.evidence.candidate is None
    assert "different probabilities" in look.notes[0]


async def test_silence_is_no_telemetry() -> None:
    gate = Gate(signal="spans")
    await gate.desk.look()
    gate.receiver.note_stranger("shopp")
    said = "no telemetry of it came for 2m1s; what came has the service.name shopp, by which nothing here counts"
    with pytest.raises(SourceUnavailable, match=said):
        await gate.desk.look(after=121)


def test_ids_are_the_same_in_json_and_protobuf() -> None:
    """JSON has them in hexadecimal, which protobuf's own reader takes for base64."""
    import base64

    said = bytes.fromhex("5b8efff798038103d269b633813fc60c")
    assert _id(base64.b64decode("5B8EFFF798038103D269B633813FC60C".lower()), as_json=True) == said
    assert _id(said, as_json=False) == said
