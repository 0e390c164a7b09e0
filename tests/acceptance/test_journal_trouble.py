"""The installed daemon and a journal that fails it: health is served, one sentence says why, and SIGTERM ends it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.servers import postgresql
from tests.servers.daemon import AUTHORIZED, Daemon, running
from tests.servers.peers import Answer, Peer
from tests.servers.waiting import until

ASKED = {"service": "api", "candidate": {"version": "2.0"}}


def configuration(peer: Peer, journal: str) -> dict[str, Any]:
    smoke = {"kind": "smoke", "requests": [{"get": "/health"}], "failures": 2}
    policy = {"initial_delay": "0s", "interval": "1s", "observe": {"min": "6s", "max": "60s"}, "criteria": [smoke]}
    return {
        "journal": journal,
        "http": {"drain": "100ms"},
        "checks": {"memory": {"kind": "memory", "critical": True, "interval": "1s", "timeout": "500ms"}},
        "services": {"api": {"targets": {"only": peer.url}, "policy": "quick"}},
        "policies": {"quick": policy},
        "gates": {"lease_duration": "2s"},
    }


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers=AUTHORIZED) as session:
        yield session


async def up(session: aiohttp.ClientSession, daemon: Daemon) -> bool:
    """Whether the metric says that the journal can be used."""
    async with session.get(f"{daemon.url}/metrics") as answer:
        return "healthd_journal_up 1.0" in await answer.text()


async def verify(session: aiohttp.ClientSession, daemon: Daemon) -> tuple[int, str]:
    async with session.post(f"{daemon.url}/gates/verify", json=ASKED) as answer:
        return answer.status, str((await answer.json()).get("detail"))


async def is_served(session: aiohttp.ClientSession, daemon: Daemon) -> None:
    for group in ("live", "ready"):
        async with session.get(f"{daemon.url}/health/{group}") as answer:
            assert answer.status == 200


def errors(daemon: Daemon) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in daemon.log().splitlines() if line.startswith("{")]
    return [line for line in lines if line["level"] == "error"]


async def test_a_role_without_rights(
    peer: Peer, session: aiohttp.ClientSession, postgresql_server: postgresql.PostgreSQL, postgresql_dsn: str
) -> None:
    """At the start and later; words of other drivers in the address are no concern of it."""
    peer.answer("GET", "/health", Answer())
    role = urlsplit(postgresql_dsn).path.strip("/")
    await postgresql_server.execute("ALTER SCHEMA public OWNER TO postgres", role)
    await postgresql_server.execute(f"REVOKE ALL ON SCHEMA public FROM {role}", role)
    words = "?application_name=x&connect_timeout=10&channel_binding=prefer&schema=public&connection_limit=1"
    async with running(configuration(peer, postgresql_dsn + words)) as daemon:
        await until(lambda: bool(errors(daemon)), "it is told")
        status, detail = await verify(session, daemon)
        assert status == 503
        assert "GRANT USAGE, CREATE ON SCHEMA public" in detail
        await is_served(session, daemon)
        assert not await up(session, daemon)
        await postgresql_server.execute(f"GRANT USAGE, CREATE ON SCHEMA public TO {role}", role)
        await until(_answers(session, daemon, 202), "gates are taken")
        await postgresql_server.execute("ALTER TABLE healthd_gates OWNER TO postgres", role)
        status, detail = await verify(session, daemon)
        assert status == 503
        assert "GRANT" in detail
        await asyncio.sleep(3)
        await is_served(session, daemon)
        assert await daemon.stop() == 0
        assert "Traceback" not in daemon.log()


async def test_a_file_that_is_taken_away(peer: Peer, session: aiohttp.ClientSession, tmp_path: Path) -> None:
    """Nothing is acknowledged any more, and it is told once."""
    peer.answer("GET", "/health", Answer())
    file = tmp_path / "journal.db"
    async with running(configuration(peer, f"sqlite:///{file}")) as daemon:
        await until(_answers(session, daemon, 202), "gates are taken")
        for suffix in ("", "-wal", "-shm"):
            Path(f"{file}{suffix}").unlink()
        status, detail = await verify(session, daemon)
        assert status == 503
        assert "was taken away while it was open" in detail
        await asyncio.sleep(3)
        assert not await up(session, daemon)
        await is_served(session, daemon)
        assert [line["event"] for line in errors(daemon)] == ["journal file removed or replaced"]
        assert not file.exists()
        assert await daemon.stop() == 0


def _answers(session: aiohttp.ClientSession, daemon: Daemon, status: int) -> Callable[[], Awaitable[bool]]:
    async def answers() -> bool:
        return (await verify(session, daemon))[0] == status

    return answers
