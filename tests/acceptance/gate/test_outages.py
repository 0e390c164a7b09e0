"""What goes wrong around a gate is not the version's fault: its telemetry goes dark, or healthd itself is killed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

import pytest
import pytest_asyncio

from tests.acceptance.gate.desk import NEW, PATIENCE, Case, Desk, desk, scraping_now
from tests.servers.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

SLACK = 3.5  # seconds by which the ends of the evidence and of the log may differ
CASES = {
    "frozen": Case("shop", policy="patient"),
    "dead": Case("shop", policy="patient"),
    "dark": Case("shop", policy="brief"),
    "killed": Case("shop", policy="patient"),
    "killed-by-scrape": Case("shop", "scrape", policy="patient"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def table(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with desk(tmp_path_factory.mktemp("desk"), CASES, flaws={}, old_flaws={}, rates={"shop": 200}) as everything:
        await everything.switch({"shop": 100})
        yield everything


async def test_frozen_telemetry_is_caught_up_with(table: Desk) -> None:
    """Prometheus hangs in the middle and comes back: the gate passes, and no request is lost or counted twice."""
    assert table.prometheus is not None
    call = asyncio.create_task(table.verify("frozen"))
    await _becomes(table, "frozen", _has_counted)
    table.prometheus.pause()
    try:
        await _becomes(table, "frozen", lambda gate: "did not answer within" in " ".join(gate["notes"]))
    finally:
        table.prometheus.resume()
    assert (await call).code == 0
    _agrees(table, await table.gate_of("frozen"))


async def test_dead_telemetry_fails_nobody(table: Desk) -> None:
    """Prometheus dies in the middle: what was proven counts, and who began after that is inconclusive."""
    assert table.prometheus is not None
    call = asyncio.create_task(table.verify("dead"))
    await _becomes(table, "dead", _has_counted)
    table.prometheus.kill()
    try:
        dark = await table.verify("dark")
        await call
    finally:
        table.prometheus.start()
        await scraping_now(table.prometheus)
    decisions = {name: (await table.gate_of(name))["decision"] for name in ("dead", "dark")}
    assert decisions["dead"]["verdict"] in ("pass", "inconclusive")
    assert (dark.code, decisions["dark"]["verdict"], decisions["dark"]["reason"]) == (
        22,
        "inconclusive",
        "source_unavailable",
    )


async def test_gates_outlive_kill_9(table: Desk) -> None:
    """healthd is killed while it observes: the same key leads to the same gates, which go on counting and pass."""
    services = ("killed", "killed-by-scrape")
    first = [asyncio.create_task(_keyed(table, service)) for service in services]
    before = [await _becomes(table, service, _has_counted) for service in services]
    assert [gate["verdict"] for gate in before] == ["running", "running"]
    await table.healthd.kill()
    assert all(ended.code not in (0, 22) for ended in await asyncio.gather(*first))
    await table.healthd.start()
    again = await asyncio.gather(*(_keyed(table, service) for service in services))
    assert [ended.code for ended in again] == [0, 0], again
    assert [ended.body["id"] for ended in again] == [gate["id"] for gate in before]
    for ended in again:
        _agrees(table, ended.body)


async def _keyed(on: Desk, service: str) -> Any:
    key = ("-H", f"Idempotency-Key: job-{service}")
    return await on.verify(service, *key, "--retry", "20", "--retry-delay", "1", "--retry-connrefused")


async def _becomes(on: Desk, service: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The gate of a service once it is as wanted."""
    gate = await on.gate_of(service)

    async def is_so() -> bool:
        gate.update((await on.curl(f"/gates/{gate['id']}", "-f")).body)
        return wanted(gate)

    await until(is_so, lambda: f"another state of {gate}", PATIENCE)
    return gate


def _has_counted(gate: dict[str, Any]) -> bool:
    return gate["standing"] is not None and gate["standing"]["criteria"][0]["requests"] > 400


def _agrees(on: Desk, gate: dict[str, Any]) -> None:
    """Passed, with the counts of the load generator's log."""
    assert gate["verdict"] == "pass"
    (seen,) = gate["standing"]["criteria"]
    since, until = (datetime.fromisoformat(at).timestamp() for at in (gate["created_at"], gate["decision"]["at"]))
    fewest, _ = on.log.count("shop", NEW, since + 2 + SLACK, until - SLACK)
    most, _ = on.log.count("shop", NEW, since, until)
    assert fewest <= seen["requests"] <= most
    assert seen["bad"] == 0
