"""A real Prometheus that stores native histograms alone: requests, errors and latency of one selector."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import inf

import pytest

from healthd_gates.sources.contract import Arm, SourceUnavailable
from tests.fakes.sources import Desk, desk
from tests.servers import prometheus
from tests.servers.native_histogram import NativeTarget, exposing

WHOLE = 'http_server_seconds{version="$version"}'


async def test_requests_errors_and_latency_are_read_from_a_native_histogram() -> None:
    """Counts and buckets are the target's own, through a restart too."""
    target = NativeTarget("http_server_seconds", "2")
    target.observe(0.02, times=7)
    target.observe(0.02, status="503")
    with prometheus_of(target) as server:
        config = {
            "kind": "prometheus",
            "url": server.url,
            "requests": WHOLE,
            "errors": 'http_server_seconds{version="$version",status=~"5.."}',
            "latency": WHOLE,
            "up": "up",
        }
        gate = desk(config, candidate=Arm("2"))
        async with asyncio.timeout(60):
            while not await server.query('http_server_seconds{version="2"}'):
                await asyncio.sleep(0.1)
            await gate.look()
            target.observe(0.2, times=30)
            target.observe(0.9, times=6)
            target.observe(2.5, status="503", times=4)
            await counted(gate, 40, 4)
            target.seen.clear()
            target.observe(0.2, times=5)
            await counted(gate, 45, 4)
        total = gate.total()
        assert total is not None
        assert total.latency is not None
        below = dict(zip(total.latency.edges, total.latency.counts, strict=True))
        assert sum(count for edge, count in below.items() if edge <= 0.25) == 35
        assert sum(count for edge, count in below.items() if edge <= 1.0) == 41
        assert sum(count for edge, count in below.items() if edge <= inf) == 45
        assert total.latency.sum_seconds == pytest.approx(30 * 0.2 + 6 * 0.9 + 4 * 2.5 + 5 * 0.2)
        await gate.source.close()


async def counted(gate: Desk, requests: float, errors: float) -> None:
    """Look until so much is counted, and no more."""
    while (total := gate.total()) is None or (total.requests, total.errors) != (requests, errors):
        assert total is None or total.requests <= requests
        await asyncio.sleep(0.2)
        with suppress(SourceUnavailable):
            await gate.look()


@contextmanager
def prometheus_of(target: NativeTarget) -> Iterator[prometheus.Prometheus]:
    with exposing(target) as address, prometheus.running({"shop": [address]}, features=["native-histograms"]) as server:
        yield server
