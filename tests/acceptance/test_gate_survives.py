"""The gate of the installed daemon: killed, without its journal, and switched off."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.servers.daemon import AUTHORIZED, Daemon, running
from tests.servers.peers import Answer, Peer
from tests.servers.waiting import until

ASKED = {"service": "api", "candidate": {"version": "2.0"}}


def configuration(peer: Peer, journal: Path, **more: Any) -> dict[str, Any]:
    smoke = {"kind": "smoke", "requests": [{"get": "/health"}], "failures": 2}
    policy = {"initial_delay": "0s", "interval": "1s", "observe": {"min": "6s", "max": "60s"}, "criteria": [smoke]}
    return {
        "journal": f"sqlite:///{journal}",
        "http": {"drain": "100ms"},
        "services": {"api": {"targets": {"only": peer.url}, "policy": "quick"}},
        "policies": {"quick": policy},
        "gates": {"lease_duration": "2s"},
        **more,
    }


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers=AUTHORIZED) as session:
        yield session


async def verify(session: aiohttp.ClientSession, daemon: Daemon, wait: str = "") -> tuple[int, dict[str, Any]]:
    async with session.post(f"{daemon.url}/gates/verify{wait}", json=ASKED) as answer:
        return answer.status, json.loads(await answer.text())


async def test_a_gate_outlives_kill_9(peer: Peer, session: aiohttp.ClientSession, tmp_path: Path) -> None:
    """Acknowledged before the kill, decided after the restart."""
    peer.answer("GET", "/health", Answer())
    async with running(configuration(peer, tmp_path / "journal.db")) as daemon:
        status, gate = await verify(session, daemon)
        assert (status, gate["verdict"]) == (202, "running")
        await peer.received_at_least(2)
        await daemon.kill()
        await daemon.start()
        for _ in range(100):
            async with session.get(f"{daemon.url}/gates/{gate['id']}") as answer:
                gate = await answer.json()
            if gate["verdict"] == "pass":
                break
            await asyncio.sleep(0.2)
        assert (gate["verdict"], gate["state"]) == ("pass", "finished")


async def test_without_a_journal_gates_are_refused_and_health_is_served(
    peer: Peer, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """503, nothing is asked of the candidate; and once the journal can be written, gates are taken."""
    peer.answer("GET", "/health", Answer())
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    async with running(configuration(peer, blocked / "journal.db")) as daemon:
        status, problem = await verify(session, daemon)
        assert status == 503
        assert "nothing was started" in problem["detail"]
        assert not peer.received
        async with session.get(f"{daemon.url}/health/ready") as answer:
            assert answer.status == 200
        blocked.unlink()

        async def starts_again() -> bool:
            return (await verify(session, daemon))[0] == 202

        await until(starts_again, "gates start again")


async def test_health_without_gates(peer: Peer, session: aiohttp.ClientSession, tmp_path: Path) -> None:
    """Switched off, the gate's calls are not there, and the daemon is whole."""
    off = configuration(peer, tmp_path / "journal.db", gates={"enabled": False})
    async with running(off) as daemon:
        async with session.post(f"{daemon.url}/gates/verify", json=ASKED) as answer:
            assert answer.status == 404
        async with session.get(f"{daemon.url}/health/ready") as answer:
            assert answer.status == 200
        assert await daemon.stop() == 0
