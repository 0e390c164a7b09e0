"""The API of a daemon that starts, stops, has no tokens, or has lost its journal."""

import asyncio
import sqlite3
from pathlib import Path

import aiohttp
import psutil

from tests.servers.gating import gating
from tests.servers.waiting import until


async def test_without_tokens_direct_callers_on_this_host_read_where_it_is_asked_for(tmp_path: Path) -> None:
    """The daemon says so when it starts; what came through a proxy or a browser is refused, and so is every change."""
    async with gating(tmp_path, auth={"trust_loopback": True}) as api:
        assert "nobody may ask a gate" in api.daemon.log()
        assert (await api.call("GET", "/gates", token=None)).status == 200
        asked = {"service": api.service(), "candidate": {"version": "2"}}
        assert (await api.call("POST", "/gates/verify", asked, token=None)).status == 401
        for header in ({"X_Forwarded_For": "203.0.113.7"}, {"Origin": "https://example.org"}):
            assert (await api.call("GET", "/gates", token=None, **header)).status == 401


async def test_a_daemon_that_stops_lets_go_of_those_who_wait(tmp_path: Path) -> None:
    """202 to who waited a while, 503 to who waited for the verdict; the gate goes on after the restart."""
    async with gating(tmp_path) as api:
        service = api.service()
        gate = (await api.verify(service, "endless", idempotency_key=service)).body["id"]
        waiting = [
            asyncio.create_task(api.verify(service, "endless", idempotency_key=service, wait=wait))
            for wait in ("60s", "verdict")
        ]
        process = psutil.Process(api.daemon.pid)
        await until(lambda: len(process.net_connections("tcp")) >= 1 + len(waiting), "both callers are let in")
        await asyncio.sleep(0.3)
        assert await api.daemon.stop() == 0
        assert [(await task).status for task in waiting] == [202, 503]
        await api.daemon.start()
        async with api.client() as client:
            assert (await client.gate(gate)).verdict == "running"
        assert (await api.verify(service, "endless", idempotency_key=service)).body["id"] == gate


async def test_a_journal_that_cannot_be_written_is_503(tmp_path: Path) -> None:
    """Nothing is started, and health is served all the same."""
    async with gating(tmp_path) as api:
        service = api.service()
        other = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        refused = await api.verify(service, "endless")
        assert (refused.status, refused.is_problem) == (503, True)
        assert int(refused.headers["Retry-After"]) >= 1
        async with aiohttp.ClientSession() as session, session.get(f"{api.daemon.url}/health/live") as response:
            assert response.status == 200
        other.close()
        async with api.client() as client:
            assert (await client.gates(service=service)).gates == []
        assert (await api.verify(service, "endless")).status == 202
