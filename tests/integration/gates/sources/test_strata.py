"""Requests by route, in a real Prometheus and on a metrics page: each route's counts are exact, and their number is
bounded."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from healthd_gates.domain.strata import MOST, OTHER
from healthd_gates.sources.contract import Arm, HistoricalSource, SourceUnavailable
from healthd_gates.sources.inspection import InspectableSource
from tests.fakes.sources import Desk, desk
from tests.integration.gates.sources.test_prometheus import BEGIN, Past, at, every
from tests.servers import prometheus
from tests.servers.peers import Answer, Peer

ODD = 'odd route "x"\u202e/§'


def series(version: str, route: str, status: str = "200", pod: str = "a") -> dict[str, str]:
    found = {"job": "shop", "instance": pod, "version": version, "status": status}
    return found | ({"route": route} if route else {})


@pytest.fixture(scope="module")
def server() -> Iterator[prometheus.Prometheus]:
    past = Past()
    for pod in ("a", "b"):
        past.add("requests_total", series("2", "/", pod=pod), every(10, -50, 310, 20, start=900))
    past.add("requests_total", series("2", "/checkout"), every(10, -50, 310, 5, start=100))
    past.add("requests_total", series("2", "/checkout", "500"), every(10, 100, 310, 4))
    past.add("requests_total", series("2", "/new"), every(10, 60, 310, 1, start=1))
    past.add("requests_total", series("2", ODD.replace('"', '\\"')), every(10, -50, 310, 2))
    past.add("requests_total", series("2", ""), every(10, -50, 310, 3))
    past.add("requests_total", series("1", "/"), every(10, -50, 310, 40))
    for route, fast, slow in (("/", 20, 0), ("/checkout", 3, 2)):
        for edge, below in (("0.5", fast), ("+Inf", fast + slow)):
            labels = {**series("2", route), "le": edge}
            past.add("seconds_bucket", labels, every(10, -50, 310, below, start=100))
        past.add("seconds_sum", series("2", route), every(10, -50, 310, slow))
    past.add("unsplit_bucket", {**series("2", ""), "le": "+Inf"}, every(10, -50, 310, 5))
    for number in range(200):
        past.add("ids_total", series("2", f"/orders/{number}"), every(10, -50, 310, 1, start=number))
        past.add("ids_total", series("2", f"/late/{number}"), every(10, 50, 310, 1, start=1 + number / 100))
    with prometheus.running(history=past.text()) as running:
        yield running


def config(server: prometheus.Prometheus, name: str = "requests_total") -> dict[str, Any]:
    chosen = f'{name}{{version="$version"'
    return {
        "kind": "prometheus",
        "url": server.url,
        "timeout": "60s",  # of one look, of the machine's time
        "requests": f"{chosen}}}",
        "errors": f'{chosen},status=~"5.."}}',
    }


async def looked(gate: Desk, until: float, every: float = 10.0) -> Desk:
    await gate.look()
    while gate.clock.steady() < BEGIN + until:
        await gate.look(after=every)
    await gate.source.close()
    return gate


def sums(gate: Desk, arm: str = "candidate") -> dict[str, tuple[float, float]]:
    """Requests and errors of each route over all looks."""
    found: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    for look in gate.looks:
        counts = getattr(look.evidence, arm) if look.evidence else None
        for name, (requests, errors) in counts.strata.items() if counts else ():
            found[name] = (found[name][0] + requests, found[name][1] + errors)
    return dict(found)


async def test_each_route_is_counted_exactly(server: prometheus.Prometheus) -> None:
    """A route that begins in the gate, one that fails from its middle on, and requests without a route; the total is
    their sum."""
    gate = await looked(desk(config(server), at(0), baseline=Arm("1"), by="route"), until=300)
    found = sums(gate)
    odd = next(name for name in found if name.startswith("odd"))
    assert found.pop(odd) == (2 * 30, 0)
    assert "\u202e" not in odd
    assert found == {
        "/": (2 * 20 * 30, 0),
        "/checkout": (5 * 30 + 4 * 20, 4 * 20),
        "/new": (25, 0),
        OTHER: (3 * 30, 0),
    }
    assert sums(gate, "baseline") == {"/": (40 * 30, 0)}
    total = gate.total()
    assert total is not None
    assert total.requests == sum(requests for requests, _ in found.values()) + 2 * 30


async def test_without_a_criterion_that_asks_nothing_is_split(server: prometheus.Prometheus) -> None:
    gate = await looked(desk(config(server), at(0)), until=60)
    assert sums(gate) == {}
    assert "strata" not in (gate.cursor or {})


async def test_a_gate_that_was_killed_goes_on_with_the_same_routes(server: prometheus.Prometheus) -> None:
    """Its cursor has them: another process counts each route on, exactly."""
    whole = await looked(desk(config(server, "ids_total"), at(0), by="route"), until=120)
    first = desk(config(server, "ids_total"), at(0), by="route")
    await looked(first, until=60)
    second = desk(config(server, "ids_total"), at(60), by="route")
    second.cursor, second.looks = json.loads(json.dumps(first.cursor)), first.looks
    while second.clock.steady() < BEGIN + 120:
        await second.look(after=10)
    await second.source.close()
    assert sums(second) == sums(whole)


async def test_ids_in_paths_are_bounded(server: prometheus.Prometheus) -> None:
    """Those with the most requests before the gate are counted apart, ten more that came in it, and all others as
    one."""
    gate = await looked(desk(config(server, "ids_total"), at(0), by="route"), until=300)
    found = sums(gate)
    assert len(found) == MOST + 1
    assert {f"/orders/{number}" for number in range(160, 200)} < found.keys()
    total = gate.total()
    assert total is not None
    assert sum(requests for requests, _ in found.values()) == pytest.approx(total.requests)
    assert len(json.dumps(gate.cursor["strata"] if gate.cursor else "")) < 2000


async def test_the_past_has_its_routes_too(server: prometheus.Prometheus) -> None:
    gate = desk(config(server), at(0), by="route")
    assert isinstance(gate.source, HistoricalSource)
    past = await gate.source.history(
        datetime.fromtimestamp(BEGIN + 100, UTC), datetime.fromtimestamp(BEGIN + 200, UTC), 50
    )
    await gate.source.close()
    assert [each.candidate.strata["/checkout"] for each in past if each.candidate] == [(45, 20), (45, 20)]
    bounded = desk(config(server, "ids_total"), at(0), by="route")
    assert isinstance(bounded.source, HistoricalSource)
    steps = await bounded.source.history(
        datetime.fromtimestamp(BEGIN, UTC), datetime.fromtimestamp(BEGIN + 300, UTC), 30
    )
    await bounded.source.close()
    assert max(len(each.candidate.strata) for each in steps if each.candidate) == MOST + 1


@pytest.mark.parametrize(("label", "hint"), [("rout", "Did you mean route?"), ("tenant", "there are: ")])
async def test_a_label_that_no_series_has_is_refused(server: prometheus.Prometheus, label: str, hint: str) -> None:
    """Before anything is switched, with the labels that there are."""
    gate = desk(config(server), at(100), by=label)
    assert isinstance(gate.source, InspectableSource)
    found = await gate.source.inspect()
    await gate.source.close()
    (problem,) = [each for each in found.refused if each.startswith("by, of requests: ")]
    assert f"no series of requests_total has the label {label}" in problem
    assert hint in problem


async def test_a_label_that_is_there_is_not(server: prometheus.Prometheus) -> None:
    gate = desk(config(server), at(100), by="route")
    assert isinstance(gate.source, InspectableSource)
    assert (await gate.source.inspect()).refused == ()
    await gate.source.close()


def timed(server: prometheus.Prometheus) -> dict[str, Any]:
    return {**config(server), "latency": 'seconds_bucket{version="$version"}'}


async def test_the_latencies_of_each_route_are_counted_exactly(server: prometheus.Prometheus) -> None:
    """In the gate, in its past, and not where nobody asks."""
    gate = await looked(desk(timed(server), at(0), edges=(0.5,), by="route", latency_by="route"), until=100)
    slow: dict[str, float] = defaultdict(float)
    total: dict[str, float] = defaultdict(float)
    for look in gate.looks:
        counts = look.evidence.candidate if look.evidence else None
        for name, latency in counts.strata_latency.items() if counts else ():
            total[name] += latency.total
            slow[name] += latency.counts[-1]
    assert (total, slow) == ({"/": 200, "/checkout": 50}, {"/": 0, "/checkout": 20})
    past = desk(timed(server), at(0), by="route", latency_by="route")
    assert isinstance(past.source, HistoricalSource)
    steps = await past.source.history(
        datetime.fromtimestamp(BEGIN + 100, UTC), datetime.fromtimestamp(BEGIN + 200, UTC), 50
    )
    await past.source.close()
    assert [each.candidate.strata_latency["/checkout"].counts for each in steps if each.candidate] == [(15, 10)] * 2
    plain = await looked(desk(timed(server), at(0), by="route"), until=30)
    told = [look.evidence.candidate for look in plain.looks if look.evidence and look.evidence.candidate]
    assert [counts.strata_latency for counts in told] == [{}] * len(told)
    assert all(counts.latency is not None for counts in told)


async def test_a_histogram_without_the_label_is_refused(server: prometheus.Prometheus) -> None:
    """Before anything is switched."""
    given = {**timed(server), "latency": 'unsplit_bucket{version="$version"}'}
    gate = desk(given, at(100), by="route", latency_by="route")
    assert isinstance(gate.source, InspectableSource)
    refused = (await gate.source.inspect()).refused
    await gate.source.close()
    (problem,) = [each for each in refused if each.startswith("by, of bucket: ")]
    assert "no series of unsplit_bucket has the label route" in problem


PAGE = """# TYPE requests_total counter
requests_total{{route="/",code="200"}} {n}
requests_total{{route="/pay",code="200"}} {few}
requests_total{{route="/pay",code="500"}} {few}
# TYPE took histogram
took_bucket{{route="/",le="1"}} {n}
took_bucket{{route="/",le="+Inf"}} {n}
took_count{{route="/"}} {n}
took_sum{{route="/"}} 5
took_bucket{{route="/pay",le="1"}} 0
took_bucket{{route="/pay",le="+Inf"}} {few}
took_count{{route="/pay"}} {few}
took_sum{{route="/pay"}} 70
"""


async def test_a_metrics_page_is_split_as_well(peer: Peer) -> None:
    given = {"kind": "scrape", "requests": "requests_total", "errors": 'requests_total{code="500"}'}
    given["latency"] = "took_bucket"
    gate = desk(given, candidate=Arm("2", urls=(peer.url,)), by="route", latency_by="route")
    for n in (100, 200, 400):
        peer.answer(
            "GET", "/metrics", Answer(body=PAGE.format(n=n, few=n / 10), headers={"Content-Type": "text/plain"})
        )
        await gate.look()
    assert sums(gate) == {"/": (300, 0), "/pay": (60, 30)}
    told = [look.evidence.candidate.strata_latency for look in gate.looks if look.evidence and look.evidence.candidate]
    assert [{name: it.counts for name, it in each.items()} for each in told] == [
        {"/": (100, 0), "/pay": (0, 10)},
        {"/": (200, 0), "/pay": (0, 20)},
    ]
    wrong = desk(given, candidate=Arm("2", urls=(peer.url,)), by="path", latency_by="path")
    assert isinstance(wrong.source, InspectableSource)
    try:
        refused = (await wrong.source.inspect()).refused
    except SourceUnavailable as outage:  # pragma: no cover
        pytest.fail(str(outage))
    assert any("by, of requests: no series of requests_total has the label path" in each for each in refused)
    assert any("by, of bucket: no series of took_bucket has the label path" in each for each in refused)
    await gate.source.close()
    await wrong.source.close()
