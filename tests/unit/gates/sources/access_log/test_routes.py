"""Requests of a log by route: exact for each, identifiers are one, and their number is bounded."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import timedelta
from math import inf
from pathlib import Path
from typing import Any

import pytest

from healthd_gates.domain.evidence import Histogram
from healthd_gates.domain.strata import MOST, OTHER
from healthd_gates.sources.access_log.config import AccessLogConfig
from healthd_gates.sources.access_log.routes import route_of
from healthd_gates.sources.access_log.tally import _MOST_STRATA, Tally
from healthd_gates.sources.contract import Arm, HistoricalSource
from healthd_gates.sources.inspection import InspectableSource
from tests.fakes.sources import Desk
from tests.unit.gates.sources.access_log.test_source import BLUE, START, Written, line


class Split(Written):
    """A log, and gates that count it by route."""

    def gate(
        self, edges: tuple[float, ...] = (0.5,), baseline: Arm | None = BLUE, *, by: str | None = "path", **more: Any
    ) -> Desk:
        return super().gate(edges, baseline, by=by, **more)


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Split]:
    written = Split(tmp_path)
    yield written
    for gate in written.desks:
        await gate.source.close()


def sums(gate: Desk, arm: str = "candidate") -> dict[str, tuple[float, float]]:
    found: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
    for look in gate.looks:
        counts = getattr(look.evidence, arm) if look.evidence else None
        for name, (requests, errors) in counts.strata.items() if counts else ():
            found[name] = (found[name][0] + requests, found[name][1] + errors)
    return dict(found)


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/", "/"),
        ("/orders/4711/items/12", "/orders/*/items/*"),
        ("/u/5f0c1a2e-7b1d-4c55-9a34-0123456789ab", "/u/*"),
        ("/static/app.3f2a9c81d0e7.js", "/static/app.3f2a9c81d0e7.js"),
        ("/reset/dGhpc2lzYXRva2VuMTIz", "/reset/*"),
        ("/internationalisation", "/internationalisation"),
        ("/v2/users", "/v2/users"),
        ("/2026-11-26/report", "/*/report"),
        ("/" + "x" * 5000, "/*"),
        ("/a\x1b[31m", "/a?[31m"),
    ],
)
def test_identifiers_are_one(path: str, route: str) -> None:
    assert route_of(path) == route


async def test_each_route_of_each_version_is_counted(log: Split) -> None:
    """Also of the server that NGINX asked first; queries and own health checks play no part."""
    gate = log.gate()
    await gate.look()
    log.write(*[line(request_uri=f"/orders/{n}?page=2") for n in range(20)])
    log.write(*[line(500, request_uri="/pay") for _ in range(3)], line(request_uri="/pay"), line(499))
    log.write(line(request_uri="/health"), line(to="10.0.0.1:3000", request_uri="/pay"))
    retried: dict[str, Any] = {"upstream_addr": "10.0.0.2:3000, 10.0.0.1:3000", "upstream_status": "502, 200"}
    log.write(line(request_uri="/retried", upstream_response_time="0.1, 0.1", **retried))
    evidence = await gate.seen(after=5)
    assert evidence.candidate is not None
    assert evidence.baseline is not None
    assert evidence.candidate.strata == {"/orders/*": (20, 0), "/pay": (4, 3), "/retried": (1, 1)}
    assert evidence.baseline.strata == {"/pay": (1, 0), "/retried": (1, 0)}
    assert evidence.candidate.requests == 25


async def test_the_latencies_of_each_route_are_counted(log: Split) -> None:
    """In the buckets of all, at the limits of the policy too; of what counts, by the version that answered."""
    gate, plain = log.gate(latency_by="path"), log.gate()
    await gate.look()
    await plain.look()
    log.write(*[line(request_uri=f"/orders/{n}", seconds=0.02) for n in range(20)])
    log.write(*[line(500, request_uri="/pay", seconds=2.0) for _ in range(3)], line(request_uri="/pay", seconds=0.3))
    log.write(line(499, request_uri="/pay"), line(to="10.0.0.1:3000", request_uri="/pay", seconds=0.3))
    evidence, unasked = await gate.seen(after=5), await plain.seen()
    assert evidence.candidate is not None
    assert evidence.baseline is not None
    apart = evidence.candidate.strata_latency
    assert apart.keys() == {"/orders/*", "/pay"}
    assert apart["/pay"].edges == (0.1, 0.5, inf)
    assert (apart["/orders/*"].counts, apart["/pay"].counts) == ((20, 0, 0), (0, 1, 3))
    assert evidence.baseline.strata_latency["/pay"].counts == (0, 1, 0)
    assert evidence.candidate.latency is not None
    assert Histogram.together(tuple(apart.values())).counts == evidence.candidate.latency.counts
    assert unasked.candidate is not None
    assert unasked.candidate.strata_latency == {}


async def test_a_gate_that_does_not_ask_shares_the_log(log: Split) -> None:
    """Two gates of one file: one is split by another field, one not at all."""
    by_host, plain = log.gate(by="server_name"), log.gate(by="")
    await by_host.look()
    await plain.look()
    log.write(line(server_name="shop"), line(503, server_name="api"), line())
    log.clock.forward(5)
    await by_host.look()
    await plain.look()
    assert sums(by_host) == {"shop": (1, 0), "api": (1, 1), OTHER: (1, 0)}
    assert sums(plain) == {}


async def test_a_killed_gate_goes_on_with_the_same_routes(log: Split) -> None:
    first = log.gate()
    await first.look()
    log.write(*[line(request_uri=f"/r/x{n % 60}") for n in range(600)])
    await first.look(after=5)
    second = log.gate()
    second.cursor, second.looks = json.loads(json.dumps(first.cursor)), first.looks
    await first.source.close()
    log.write(*[line(500, request_uri=f"/r/x{n % 60}") for n in range(60)])
    await second.look(after=5)
    found = sums(second)
    chosen = found.keys() - {OTHER}
    assert len(chosen) == MOST
    assert sum(errors for _, errors in found.values()) == 60
    assert all(found[name][1] == 1 for name in chosen)


@pytest.mark.proof
async def test_ten_thousand_paths_cost_a_bound(log: Split) -> None:
    """Whoever asks for made-up paths fills one stratum; the total is exact."""
    gate = log.gate()
    await gate.look()
    for _ in range(3):
        log.write(*[line(request_uri=f"/{'abcdefghij'[n % 10]}/scan-{n}x") for n in range(10_000)])
        evidence = await gate.seen(after=5)
        assert evidence.candidate is not None
        assert len(evidence.candidate.strata) <= MOST + 1
        assert sum(n for n, _ in evidence.candidate.strata.values()) == evidence.candidate.requests == 10_000
    assert len(json.dumps(gate.cursor)) < 3000


def test_a_stratum_beyond_the_most_is_left_out_whole() -> None:
    """Requests without their errors, or errors without their requests, would be evidence of nothing."""
    tally = Tally(())
    for n in range(2 * _MOST_STRATA):
        tally.add("green", 200, None, f"/{n}")
    for n in range(2 * _MOST_STRATA):
        tally.add("green", 500, None, f"/{n}")
    assert len(tally.strata) == _MOST_STRATA + 1
    assert {tuple(sorted(statuses)) for statuses in tally.strata.values()} == {(200, 500)}


async def test_the_past_is_split(log: Split) -> None:
    for n in range(60):
        log.write(line(500 if n % 10 == 0 else 200, request_uri=f"/c/{n}", at=START - timedelta(seconds=60 - n)))
    gate = log.gate()
    assert isinstance(gate.source, HistoricalSource)
    past = await gate.source.history(START - timedelta(seconds=60), START, 30)
    assert [each.candidate.strata for each in past if each.candidate] == [{"/c/*": (30, 3)}, {"/c/*": (30, 3)}]


async def test_a_field_that_no_line_has_is_refused(log: Split) -> None:
    log.write(*[line() for _ in range(20)])
    gate = log.gate(by="request_ury")
    assert isinstance(gate.source, InspectableSource)
    (refused,) = (await gate.source.inspect()).refused
    assert "no line has the field request_ury (by); there are: " in refused
    assert "Did you mean request_uri?" in refused


def test_a_field_that_the_format_cannot_have_is_refused() -> None:
    """When the configuration is read."""
    config = AccessLogConfig.model_validate({"kind": "access_log", "file": "/a.log"})
    config.check_split("path")
    with pytest.raises(ValueError, match=r"by: route is no field of nginx_combined; there are: .*path"):
        config.check_split("route")
    bare = AccessLogConfig.model_validate({"kind": "access_log", "file": "/a.log", "format": "$status $upstream_addr"})
    with pytest.raises(ValueError, match="by: path needs the request in the line"):
        bare.check_split("path")
