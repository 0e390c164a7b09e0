"""What OpenTelemetry says of an arm is counted once, from when the gate began."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf

import pytest

from healthd_gates.sources.contract import SourceUnavailable
from healthd_gates.sources.otlp import subscription
from healthd_gates.sources.otlp.decode import decode_metrics, decode_spans
from healthd_gates.sources.otlp.messages import Export, NotDecodable
from tests.unit.gates.sources.otlp.exports import DURATION, Gate, histogram, resource, total

OK, FAILED = {"http.response.status_code": 200}, {"http.response.status_code": 503}


async def test_a_cumulative_histogram_is_requests_errors_and_latency_by_its_own_edges() -> None:
    """Of a process that was there before, what it counted since; of one that is new, all."""
    gate = Gate()
    await gate.desk.look()
    gate.clock.forward(5)
    gate.send(histogram((OK, (100, 0, 0)), (FAILED, (9, 0, 0)), start=-60, at=5), by=resource("1"))
    gate.send(histogram((OK, (7, 2, 1)), (FAILED, (1, 0, 0)), start=1, at=5))
    await gate.desk.look()
    gate.clock.forward(5)
    gate.send(histogram((OK, (110, 0, 0)), (FAILED, (10, 0, 0)), start=-60, at=10), by=resource("1"))
    gate.send(histogram((OK, (17, 4, 2)), (FAILED, (1, 0, 3)), start=1, at=10))
    evidence = await gate.desk.seen()
    assert gate.counted() == (27, 4)
    assert gate.counted("baseline") == (11, 1)
    latency = gate.desk.total()
    assert latency is not None
    assert latency.latency is not None
    assert (latency.latency.edges, latency.latency.counts) == ((0.1, 1.0, inf), (18, 4, 5))
    assert latency.latency.sum_seconds == pytest.approx(13.5)
    assert evidence.gaps == 0
    assert gate.desk.gaps == 2  # the baseline's two streams, of which a part was of the time before


async def test_the_same_export_again_and_an_older_one_change_nothing() -> None:
    gate = Gate()
    await gate.desk.look()
    for at, fine in ((5, 10), (10, 30), (5, 10), (10, 30), (15, 31)):
        gate.clock.forward(5)
        gate.send(histogram((OK, (fine, 0, 0)), start=1, at=at), as_json=at == 10)
        await gate.desk.look()
    assert gate.counted() == (31, 0)


@pytest.mark.parametrize("killed_after", range(4))
async def test_a_killed_daemon_goes_on_with_exact_counts(killed_after: int) -> None:
    """Also if a process began anew meanwhile, and a stream is there for the first time."""
    gate = Gate()
    await gate.desk.look()
    exports = [
        [histogram((OK, (10, 0, 0)), start=1, at=5)],
        [histogram((OK, (20, 0, 0)), (FAILED, (2, 0, 0)), start=1, at=10)],
        [histogram((OK, (4, 0, 0)), (FAILED, (1, 0, 0)), start=12, at=15)],
        [histogram((OK, (9, 0, 0)), (FAILED, (1, 0, 0)), start=12, at=20)],
    ]
    for number, export in enumerate(exports):
        gate.clock.forward(5)
        gate.send(*export)
        await gate.desk.look()
        if number == killed_after:
            await gate.kill()
    assert gate.counted() == (32, 3)
    assert sum(look.evidence.lives.restarts for look in gate.desk.looks if look.evidence) == 1


async def test_two_processes_that_send_as_one_are_both_counted() -> None:
    """Workers of one service without a service.instance.id: their streams began at different times."""
    gate = Gate()
    await gate.desk.look()
    for at, one, other in ((5, 10, 20), (10, 15, 21), (15, 16, 40)):
        gate.clock.forward(5)
        gate.send(histogram((OK, (one, 0, 0)), start=1, at=at - 0.5))
        gate.send(histogram((OK, (other, 0, 0)), start=2, at=at))
        await gate.desk.look()
    assert gate.counted() == (56, 0)
    assert gate.desk.resets == 0


@pytest.mark.parametrize("killed", [False, True])
async def test_increments_are_added_up_once_each(killed: bool) -> None:
    """Delta temporality: a repeated or late export is told by its interval. What came before a kill stays counted."""
    gate = Gate()
    await gate.desk.look()
    for start, at, fine in ((1, 5, 10), (5, 10, 5), (5, 10, 5), (15, 20, 1), (10, 15, 2)):
        gate.clock.forward(5)
        gate.send(histogram((OK, (fine, 0, 0)), start=start, at=at, temporality=1))
        await gate.desk.look()
        if killed and at == 20:
            await gate.kill()
    assert gate.counted() == (18, 0)
    assert gate.desk.resets == 0


async def test_the_older_convention_counts_where_the_stable_one_is_not() -> None:
    """Milliseconds, and `http.status_code`; a process that sends both is counted once."""
    older = {"http.status_code": 500}
    for both in (False, True):
        gate = Gate()
        await gate.desk.look(after=1)
        gate.clock.forward(5)
        sent = [histogram((older, (3, 0, 0)), start=1, at=5, name="http.server.duration", unit="ms")]
        gate.send(*sent, *([histogram((FAILED, (3, 0, 0)), start=1, at=5)] if both else []))
        counts = (await gate.desk.seen()).candidate
        assert counts is not None
        assert (counts.requests, counts.errors) == (3, 3)
        assert counts.latency is not None
        assert counts.latency.edges == ((0.1, 1.0, inf) if both else (0.0001, 0.001, inf))


async def test_exponential_histograms_keep_their_own_edges() -> None:
    """Whatever scale a stream has: counts below an edge are those that it said."""
    gate = Gate()
    await gate.desk.look()
    gate.clock.forward(5)
    points = [
        {"scale": 3, "positive": {"offset": -8, "bucketCounts": ["1"] * 8}, "count": "9", "zeroCount": "1"},
        {"scale": 0, "positive": {"offset": -1, "bucketCounts": ["4", "3"]}, "count": "7"},
    ]
    for number, point in enumerate(points):
        attribute = {"key": "n", "value": {"intValue": str(number)}}
        point |= {"startTimeUnixNano": "1772366401000000000", "timeUnixNano": "1772366405000000000"}
        point["attributes"] = [attribute]
    data = {"aggregationTemporality": 2, "dataPoints": points}
    gate.send({"name": DURATION, "unit": "s", "exponentialHistogram": data})
    counts = (await gate.desk.seen()).candidate
    assert counts is not None
    assert counts.requests == 16
    assert counts.latency is not None
    below: dict[float, float] = {}
    for edge, count in zip(counts.latency.edges, counts.latency.counts, strict=True):
        below[edge] = count + (max(below.values()) if below else 0)
    # Of the first all are at most 1 s, and half above 2^-1; of the second 4 lie in (0.5, 1] and 3 in (1, 2].
    assert below == {
        **dict.fromkeys([e for e in below if e <= 0.25], 1),
        0.5: 1,
        1.0: 13,
        **dict.fromkeys([e for e in below if e > 1], 16),
    }


async def test_own_metrics_by_selectors_and_an_attribute_of_the_deploy() -> None:
    gate = Gate(
        resource={"service.name": "till", "deploy.color": "$target"},
        requests='{"shop.orders"}',
        errors='{"shop.orders","outcome"="failed"}',
    )
    await gate.desk.look()
    gate.clock.forward(5)
    green = resource(None, service_name="till", deploy_color="green")
    gate.send(
        total("shop.orders", 40, start=1, at=5, outcome="fine"),
        total("shop.orders", 2, start=1, at=5, outcome="failed"),
        total("shop.queue", 7, start=1, at=5, monotonic=False),
        by=green,
    )
    await gate.desk.look()
    assert gate.counted() == (42, 2)


async def test_silence_is_no_telemetry_and_names_what_came_instead() -> None:
    """An idle process that still sends anything has no traffic."""
    gate = Gate(silent_after="60s")
    await gate.desk.look()
    gate.clock.forward(30)
    gate.send(total("process.cpu", 1, start=1, at=30))
    evidence = await gate.desk.seen()
    assert (evidence.candidate and evidence.candidate.requests, evidence.baseline) == (0, None)
    gate.send(total("process.cpu", 1, start=1, at=30), by=resource("1.0.0"))
    look = await gate.desk.look(after=45)
    assert look.evidence is not None
    assert look.evidence.candidate is None
    assert look.notes == (
        "baseline: no telemetry of it came for 1m15s; there is some with service.name=shop, service.version=1.0.0",
    )
    with pytest.raises(SourceUnavailable, match="no telemetry"):
        await gate.desk.look(after=60)


@pytest.mark.parametrize(
    ("version", "named"),
    [
        ("9.9", "there is some with service.name=shop, service.version=9.9"),
        (None, "there is some with service.name=shop, no service.version"),
    ],
)
async def test_what_comes_in_the_place_of_a_version_is_told_at_once(version: str | None, named: str) -> None:
    """Gates that end before `silent_after` tell it too; the arm's first export ends the note, also for another
    daemon."""
    gate = Gate()
    await gate.desk.look()
    assert (await gate.desk.look(after=1)).notes == ()
    gate.send(histogram((OK, (60, 0, 0)), start=-60, at=1), by=resource(version))
    gate.send(histogram((OK, (1, 0, 0)), start=1, at=1), by=resource("1"))
    look = await gate.desk.look(after=1)
    assert look.notes == (f"candidate: no telemetry of it came yet; {named}",)
    gate.send(histogram((OK, (1, 0, 0)), start=1, at=2))
    assert (await gate.desk.look(after=1)).notes == ()
    await gate.kill()
    gate.send(histogram((OK, (61, 0, 0)), start=-60, at=3), by=resource(version))
    assert (await gate.desk.look(after=1)).notes == ()


async def test_only_what_came_within_the_silence_is_named() -> None:
    """A name of hours ago, and one that came before the arm fell silent, are no cause of it."""
    gate = Gate(silent_after="60s")
    gate.receiver.note_stranger("shopp")
    gate.clock.forward(200)
    await gate.desk.look()
    gate.send(histogram((OK, (1, 0, 0)), start=1, at=1), by=resource("3.1"))
    gate.clock.forward(5)
    gate.send(histogram((OK, (1, 0, 0)), start=1, at=5))
    assert (await gate.desk.look()).notes == (
        "baseline: no telemetry of it came yet; there is some with service.name=shop, service.version=3.1",
    )
    with pytest.raises(SourceUnavailable) as silent:
        await gate.desk.look(after=61)
    assert "candidate: no telemetry of it came for 1m1s; baseline" in str(silent.value)
    gate.receiver.note_stranger("shup")
    with pytest.raises(SourceUnavailable, match=r"candidate: .*what came has the service.name shup, by which"):
        await gate.desk.look(after=1)


async def test_errors_by_a_label_that_nothing_has_are_no_telemetry() -> None:
    """They would be zero errors."""
    gate = Gate(requests=f'{{"{DURATION}"}}', errors=f'{{"{DURATION}","http.respons.status_code"=~"5.."}}', matchers="")
    await gate.desk.look()
    gate.clock.forward(5)
    gate.send(histogram((FAILED, (10, 0, 0)), start=1, at=5))
    gate.send(histogram((OK, (10, 0, 0)), start=1, at=5), by=resource("1"))
    with pytest.raises(SourceUnavailable, match=r"Did you mean http\.response\.status_code"):
        await gate.desk.look()


async def test_more_streams_than_a_gate_counts_by_are_no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attribute with a value for each request, such as a raw path: the exporter is told as well."""
    monkeypatch.setattr(subscription, "_MOST_STREAMS", 20)
    gate = Gate()
    await gate.desk.look()
    gate.clock.forward(5)
    streams = [({"url.path": f"/{number}"}, (1, 0, 0)) for number in range(70)]
    assert gate.send(histogram(*streams, start=1, at=5)) == 50
    gate.send(histogram((OK, (10, 0, 0)), start=1, at=5), by=resource("1"))
    look = await gate.desk.look()
    assert "50 data points were beyond the limits" in look.notes[0]


@pytest.mark.parametrize("body", ["[]", " [] ", '""', "null", "5", "", '[{"resourceMetrics":[]}]'])
@pytest.mark.parametrize("decode", [partial(decode_metrics, wanted=bool), decode_spans])
def test_json_that_is_no_object_is_refused(decode: Callable[..., Export], body: str) -> None:
    with pytest.raises(NotDecodable, match="Request in JSON: it is no JSON object"):
        decode(body.encode(), as_json=True)


async def test_points_that_no_metric_can_have_are_rejected() -> None:
    gate = Gate()
    await gate.desk.look()
    wrong = histogram((OK, (1, 0)), start=1, at=5)
    assert gate.send(wrong, {"name": DURATION, "summary": {"dataPoints": [{}]}}) == 2
