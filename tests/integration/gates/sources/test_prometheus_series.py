"""The series that criteria name of their own, in a real Prometheus: as exact as the service's, and each by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from healthd.runtime.redaction import Redactor
from healthd_gates.domain.evidence import Counts, Events, Stream, Values
from healthd_gates.sources import build_source
from healthd_gates.sources.contract import Arm, Arms, HistoricalSource, Series, SourceContext
from healthd_gates.sources.inspection import InspectableSource
from healthd_gates.sources.prometheus import PrometheusConfig
from tests.fakes.sources import Desk
from tests.integration.gates.sources.test_prometheus import BEGIN, Past, at, every
from tests.servers import prometheus

ARMS = Arms("api", Arm("2"), Arm("1"))


def labels(version: str, pod: str = "a", **more: str) -> dict[str, str]:
    return {"job": "shop", "instance": pod, "version": version, **more}


@pytest.fixture(scope="module")
def server() -> Iterator[prometheus.Prometheus]:
    past = Past()
    for version in ("1", "2"):
        past.add("requests_total", labels(version, status="200"), every(10, -50, 310, 10))
        past.add("checkouts_total", labels(version, result="ok"), every(10, -50, 310, 4, start=1000))
    # Failed checkouts of the candidate through a restart at 100, of the baseline none.
    past.add(
        "checkouts_total", labels("2", result="failed"), [*every(10, -50, 90, 1), *every(10, 100, 310, 2, start=2)]
    )
    # The first logged error makes its series.
    past.add("up", {"job": "shop", "instance": "a", "version": "2"}, every(10, -50, 310, 0, start=1))
    past.add("log_errors_total", labels("2"), [(100, 3), (110, 3), *every(10, 120, 310, 0, start=7)])
    for pod, size in (("a", 100), ("b", 300)):
        past.add("memory_bytes", labels("2", pod), every(15, -45, 150, 0, start=size))
    past.add("memory_bytes", labels("1"), every(15, -45, 300, 0, start=90))
    with prometheus.running(history=past.text()) as running:
        yield running


def desk(server: prometheus.Prometheus, *series: Series, requests: str = "requests_total", **more: Any) -> Desk:
    config = PrometheusConfig.model_validate(
        {
            "kind": "prometheus",
            "url": server.url,
            "requests": f'{requests}{{version="$version"}}',
            "errors": f'{requests}{{version="$version",status="500"}}',
            **more,
        }
    )
    clock = at(0)
    context = SourceContext(clock, Redactor(()), series=series)
    return Desk(build_source(config, ARMS, context), clock)


CHECKOUTS = Series(
    "checkouts",
    "counts",
    {"of": 'checkouts_total{version="$version"}', "bad": 'checkouts_total{version="$version",result="failed"}'},
)


async def streams(desk: Desk, name: str, *, until: float = 300, step: float = 5.0) -> list[Stream]:
    await desk.look()
    while desk.clock.steady() < BEGIN + until:
        await desk.look(after=step)
    await desk.source.close()
    return [look.evidence.streams[name] for look in desk.looks if look.evidence and name in look.evidence.streams]


def total(found: list[Stream], arm: str = "candidate") -> tuple[float, float]:
    counts = [each for stream in found if isinstance(each := getattr(stream, arm), Counts)]
    return sum(each.requests for each in counts), sum(each.errors for each in counts)


@pytest.mark.parametrize("step", [5.0, 60.0])
async def test_a_ratio_is_counted_exactly(server: prometheus.Prometheus, step: float) -> None:
    """Through a restart, and beside the service's own requests, which are what they would be without."""
    gate = desk(server, CHECKOUTS)
    found = await streams(gate, "checkouts", step=step)
    failed = 9 + 2 + 20 * 2  # to 90, at 100, to 300
    assert total(found) == (120 + failed, failed)
    assert total(found, "baseline") == (120, 0)
    assert gate.total() == Counts(300, 0)


async def test_a_killed_gate_goes_on(server: prometheus.Prometheus) -> None:
    gate = desk(server, CHECKOUTS)
    first = await streams(gate, "checkouts", until=150)
    other = desk(server, CHECKOUTS)
    other.clock.at, other.cursor = gate.clock.at, gate.cursor
    other.clock.forward(150)
    evidence = (await other.look()).evidence
    await other.source.close()
    assert evidence is not None
    assert total([*first, evidence.streams["checkouts"]]) == (171, 51)


async def test_what_one_lacks_the_others_have(server: prometheus.Prometheus) -> None:
    """Series that are not there are no telemetry of their criterion alone, and it says which."""
    missing = Series("payments", "counts", {"of": 'payments_total{version="$version"}', "bad": "x_total"})
    gate = desk(server, CHECKOUTS, missing)
    assert len(await streams(gate, "checkouts", until=100)) == 20
    assert not any("payments" in look.evidence.streams for look in gate.looks if look.evidence)
    assert any("criterion payments:" in note and "payments_total" in note for note in gate.looks[-1].notes)
    assert gate.total() == Counts(100, 0)


async def test_without_the_service_s_own_requests_it_still_counts(server: prometheus.Prometheus) -> None:
    gate = desk(server, CHECKOUTS)
    await gate.look()
    gate.source._counters._selectors = {}  # type: ignore[attr-defined]
    await gate.source.close()
    other = desk(server, CHECKOUTS, requests="nothing_total")
    other.cursor = gate.cursor
    evidence = (await other.look(after=300)).evidence
    await other.source.close()
    assert evidence is not None
    assert (evidence.candidate, evidence.gaps) == (None, 1)
    assert total([evidence.streams["checkouts"]]) == (171, 51)


async def test_events_that_have_not_happened_yet_are_none(server: prometheus.Prometheus) -> None:
    """A counter that appears with its first event counts from 0, where `up` shows that the process was there."""
    events = Series("errors", "events", {"events": 'log_errors_total{version="$version"}'})
    found = await streams(desk(server, events, up='up{version="$version"}'), "errors")
    own = [stream.candidate for stream in found if isinstance(stream.candidate, Events)]
    assert sum(each.events for each in own) == 7
    assert {each.instances for each in own} == {1}
    assert all(stream.baseline is None for stream in found), "nothing says that it is there"

    of_requests = Series("errors", "events", {**events.parts, "requests": 'requests_total{version="$version"}'})
    found = await streams(desk(server, of_requests), "errors")
    own = [stream.candidate for stream in found if isinstance(stream.candidate, Events)]
    assert (sum(each.events for each in own), sum(each.requests or 0 for each in own)) == (7, 300)


@pytest.mark.parametrize("text", ['memory_bytes{version="$version"}', 'memory_bytes{version="$version"} * 1 > 0'])
async def test_a_value_is_that_of_each_instance(server: prometheus.Prometheus, text: str) -> None:
    """A sample counts once, and what is older than `lookback` is no value; of an expression where the server can."""
    found = await streams(
        desk(server, Series("memory", "values", {"value": text}), lookback="30s"), "memory", until=120
    )
    own = [stream.candidate for stream in found]
    assert {each for each in own if each is not None} == {Values((100.0, 300.0))}
    assert found[-1].baseline == Values((90.0,))
    if "*" not in text:
        assert sum(each is not None for each in own) == 8, "one sample every 15 s"


async def test_the_past_has_them_too(server: prometheus.Prometheus) -> None:
    memory = Series("memory", "values", {"value": 'max(memory_bytes{version="$version"})'})
    gate = desk(server, CHECKOUTS, memory)
    assert isinstance(gate.source, HistoricalSource)
    start = at(0).at
    past = await gate.source.history(start, at(300).at, 30.0)
    await gate.source.close()
    assert total([each.streams["checkouts"] for each in past]) == (171, 51)
    assert past[2].streams["memory"] == Stream(Values((300.0,)), Values((90.0,)))


async def test_an_expression_that_the_server_refuses_keeps_a_gate_from_starting(server: prometheus.Prometheus) -> None:
    gate = desk(server, replace(CHECKOUTS), Series("memory", "values", {"value": "quantil(memory_bytes)"}))
    assert isinstance(gate.source, InspectableSource)
    found = await gate.source.inspect()
    await gate.source.close()
    assert any("criterion memory:" in problem and "quantil" in problem for problem in found.refused)
    assert not any("checkouts" in problem for problem in found.refused)
