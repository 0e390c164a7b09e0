"""Whatever the source, its counts are those of the load generator's own log: to the last request, through a restart of
the target and a reset of its counters.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import aiohttp

from healthd_gates.sources.contract import Arm
from tests.fakes.sources import Desk, desk
from tests.integration.gates.sources import shop
from tests.integration.gates.sources.shop import Load, Shop
from tests.servers import prometheus
from tests.servers.waiting import until

COUNTED = {
    "requests": 'shop_requests_total{version="$version"}',
    "errors": 'shop_requests_total{version="$version",status=~"5.."}',
    "latency": 'shop_seconds_bucket{version="$version"}',
}


def matches(gate: Desk, arm: str, load: Load) -> bool:
    """Whether what the gate saw is what the load generator sent."""
    total = gate.total(arm)
    if total is None or total.latency is None:
        return False
    quick, late = load.requests - load.slow, load.slow
    return (total.requests, total.errors) == (load.requests, load.log[500]) and total.latency.counts == (quick, late, 0)


async def agree(gates: Sequence[Desk], candidate: Load, baseline: Load) -> None:
    """Let every gate look until it has seen all that was sent, and once more to see that it counts nothing twice."""
    for gate in gates:

        async def looked(gate: Desk = gate) -> bool:
            await gate.look()
            return matches(gate, "candidate", candidate) and matches(gate, "baseline", baseline)

        def seen(gate: Desk = gate) -> str:
            return f"{candidate.log}, {baseline.log} in {gate.total()}, {gate.total('baseline')}"

        await until(looked, seen)
        await gate.look()
        assert matches(gate, "candidate", candidate)
        assert matches(gate, "baseline", baseline)


async def test_prometheus_and_scrape_count_what_was_sent() -> None:
    """Two versions side by side, good, bad and slow answers; errors that after a restart overtake what they were."""
    with shop.running("v2") as new, shop.running("v1") as old:
        scraped = {"v1": [old.address], "v2": [new.address]}
        with prometheus.running(scraped) as server:
            arms: dict[str, Any] = {"candidate": Arm("v2", urls=(new.url,)), "baseline": Arm("v1", urls=(old.url,))}
            through: dict[str, Any] = {"kind": "prometheus", "url": server.url, "up": 'up{job="$version"}'}
            started = {"started": 'process_start_time_seconds{job="$version"}', "lookback": "5s"}
            gates = [
                desk({**through, **started, **COUNTED}, **arms),
                desk({"kind": "scrape", **COUNTED}, **arms),
            ]
            candidate, baseline = Load(), Load()
            await asyncio.gather(
                Load().send(new, good=40, bad=2), Load().send(old, good=1)
            )  # before the gate: no evidence
            await up(server)
            for gate in gates:
                await gate.look()
            await asyncio.gather(candidate.send(new, good=100, bad=3, slow=2), baseline.send(old, good=50, slow=1))
            await agree(gates, candidate, baseline)
            new.stop()
            new.start()
            await candidate.send(new, good=200, bad=8, slow=1)
            await agree(gates, candidate, baseline)
            await reset(new)
            await asyncio.gather(candidate.send(new, good=20, bad=9), baseline.send(old, bad=1))
            await agree(gates, candidate, baseline)
            for gate in gates:
                await gate.source.close()
            # A look that the busy machine made too late is a gap: it may come, and must cost nothing.
            assert [gate.resets >= 1 for gate in gates] == [True, True]


async def up(server: prometheus.Prometheus) -> None:
    """Wait until it has seen all that was sent before."""

    async def seen() -> bool:
        found = await server.query("shop_requests_total")
        return sum(float(series["value"][1]) for series in found) == 43

    await until(seen, "the first scrapes")


async def reset(target: Shop) -> None:
    async with aiohttp.ClientSession(target.url, raise_for_status=True) as client, client.post("/reset"):
        pass
