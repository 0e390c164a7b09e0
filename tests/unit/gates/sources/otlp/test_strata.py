"""Requests of OpenTelemetry by an attribute, such as `http.route`: of metrics, of spans, and bounded."""

from __future__ import annotations

from typing import Any

import pytest

from healthd_gates.domain.strata import MOST, OTHER
from healthd_gates.judge.arms import count_above
from healthd_gates.sources.otlp.config import OtlpConfig
from tests.unit.gates.sources.otlp.exports import Gate, attributes, histogram, span, total

ROUTE = "http.route"


def strata(gate: Gate) -> dict[str, tuple[float, float]]:
    found: dict[str, tuple[float, float]] = {}
    for look in gate.desk.looks:
        candidate = look.evidence.candidate if look.evidence else None
        for name, (requests, errors) in candidate.strata.items() if candidate else ():
            before = found.get(name, (0.0, 0.0))
            found[name] = (before[0] + requests, before[1] + errors)
    return found


def stream(route: str | None, status: int, *counts: int) -> tuple[dict[str, Any], tuple[int, ...]]:
    return {"http.response.status_code": status, **({ROUTE: route} if route else {})}, counts


async def test_metrics_are_split_through_a_restart_of_the_daemon() -> None:
    """Each route's increase, of the streams that have it; requests without a route are one more."""
    gate = Gate(split_by=ROUTE)
    await gate.desk.look()
    gate.clock.forward(1)
    first = [stream("/a", 200, 5, 1, 0), stream("/b", 500, 2, 0, 0), stream(None, 200, 1, 0, 0)]
    gate.send(histogram(*first, start=1, at=9))
    await gate.desk.look(after=10)
    await gate.kill()
    second = [stream("/a", 200, 9, 1, 0), stream("/a", 503, 0, 3, 0), stream("/b", 500, 2, 0, 0)]
    gate.send(histogram(*second, start=1, at=19))
    await gate.desk.look(after=10)
    assert gate.counted() == (16, 5)
    assert strata(gate) == {"/a": (13, 3), "/b": (2, 2), OTHER: (1, 0)}


async def test_latencies_are_split_of_metrics_and_of_spans() -> None:
    """Each route's increase in its buckets; where nobody asks, there are none."""
    asked, unasked = Gate(split_by=ROUTE, latency=True), Gate(split_by=ROUTE)
    for gate in (asked, unasked):
        await gate.desk.look()
        gate.clock.forward(1)
        gate.send(histogram(stream("/a", 200, 5, 1, 0), stream("/b", 500, 2, 0, 4), start=1, at=9))
        await gate.desk.look(after=10)
        gate.send(histogram(stream("/a", 200, 9, 1, 0), stream("/b", 500, 2, 0, 5), start=1, at=19))
        await gate.desk.look(after=10)
    assert latencies(asked) == {"/a": (9, 1, 0), "/b": (2, 0, 5)}
    assert latencies(unasked) == {}
    traced = Gate((0.5,), split_by=ROUTE, latency=True, signal="spans")
    await traced.desk.look()
    traced.clock.forward(1)
    for seconds, route in ((0.1, "/a"), (0.1, "/a"), (3.0, "/b"), (0.1, "")):
        labels = {"http.response.status_code": 200} | ({ROUTE: route} if route else {})
        traced.trace({**span(5, seconds), "attributes": attributes(labels)})
    await traced.desk.look(after=10)
    seen = traced.desk.looks[-1].evidence
    assert seen is not None
    assert seen.candidate is not None
    beyond = {name: count_above(it, 0.5) for name, it in seen.candidate.strata_latency.items()}
    assert beyond == {"/a": 0, "/b": 1, OTHER: 0}


def latencies(gate: Gate) -> dict[str, tuple[float, ...]]:
    found: dict[str, tuple[float, ...]] = {}
    for look in gate.desk.looks:
        candidate = look.evidence.candidate if look.evidence else None
        for name, it in candidate.strata_latency.items() if candidate else ():
            found[name] = tuple(a + b for a, b in zip(found.get(name, (0.0,) * len(it.counts)), it.counts, strict=True))
    return found


async def test_selected_sums_are_split_each_by_its_own_attributes() -> None:
    gate = Gate(split_by="tenant", requests='{"shop.requests"}', errors='{"shop.failures"}')
    await gate.desk.look()
    gate.clock.forward(1)
    sent = [("shop.requests", 40, "x"), ("shop.requests", 10, "y"), ("shop.failures", 3, "y")]
    gate.send(*(total(name, value, start=1, at=9, tenant=tenant) for name, value, tenant in sent))
    await gate.desk.look(after=10)
    assert strata(gate) == {"x": (40, 0), "y": (10, 3)}


async def test_spans_are_split_and_those_of_any_number_of_paths_are_bounded() -> None:
    """Fifty are counted apart, and none of the others is lost to the total, nor left out of it."""
    gate = Gate(split_by="url.path", signal="spans")
    await gate.desk.look()
    gate.clock.forward(1)
    for number in range(1200):
        path = f"/{number}" if number % 2 else "/busy"
        labels = {"http.response.status_code": 500 if path == "/busy" and number < 20 else 200, "url.path": path}
        gate.trace({**span(5, 0.1), "attributes": attributes(labels)})
    await gate.desk.look(after=10)
    found = strata(gate)
    assert gate.counted() == (1200, 10)
    assert found["/busy"] == (600, 10)
    assert len(found) <= MOST + 1
    assert sum(requests for requests, _ in found.values()) == 1200
    assert sum(errors for _, errors in found.values()) == 10


async def test_without_a_criterion_that_asks_nothing_is_split() -> None:
    for gate in (Gate(), Gate(split_by="http.route")):
        await gate.desk.look()
        gate.clock.forward(1)
        gate.send(histogram(stream(None, 200, 5, 0, 0), start=1, at=9))
        await gate.desk.look(after=10)
        assert (gate.counted(), strata(gate)) == ((5, 0), {})


def test_a_condition_that_leaves_one_value_splits_nothing() -> None:
    config = OtlpConfig.model_validate({"kind": "otlp", "matchers": '"http.route"="/a"'})
    config.check_split("tenant")
    with pytest.raises(ValueError, match=r"by: http\.route splits nothing"):
        config.check_split("http.route")
