"""The installed daemon and a journal that fails it: health is served, one sentence says why, and SIGTERM ends it."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.servers import forked, postgresql
from tests.servers.daemon import AUTHORIZED, TOKEN, Daemon, running
from tests.servers.peers import Answer, Peer
from tests.servers.waiting import until

PAGE = Path(__file__).parents[2] / "docs/journal.md"
ASKED = {"service": "api", "candidate": {"version": "2.0"}}


def configuration(peer: Peer, journal: str) -> dict[str, Any]:
    smoke = {"kind": "smoke", "requests": [{"get": "/health"}], "failures": 2}
    policy = {"initial_delay": "0s", "interval": "1s", "observe": {"min": "6s", "max": "60s"}, "criteria": [smoke]}
    return {
        "journal": journal,
        "http": {"drain": "100ms"},
        "checks": {"memory": {"kind": "memory", "critical": True, "interval": "1s", "timeout": "1s"}},
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


async def test_an_outage_is_told_at_the_command_line(peer: Peer) -> None:
    """By the gate that waits for it, by the status, and by what cannot be answered meanwhile; then the gate goes on."""
    peer.answer("GET", "/health", Answer())
    with postgresql.primary() as server:
        async with server.database() as dsn, running(configuration(peer, dsn)) as daemon:
            verify = await healthd(daemon, "gate", "verify", "api", "2.0")
            await line_with(verify, "gate ")
            await asyncio.to_thread(server.kill)
            told = await line_with(verify, "The journal is away since")
            assert told.endswith("nothing is decided or rolled back until it is back.")
            status, said, _ = await ended(await healthd(daemon, "status"))
            assert (status, said.splitlines()[0][:22]) == (0, "▲ JOURNAL AWAY since 2")
            status, _, said = await ended(await healthd(daemon, "gate", "list", "--retry-for", "3"))
            assert status == 3
            waits, because = said.splitlines()
            assert "; waiting for up to " in waits
            assert because.startswith("Journal unavailable: The journal cannot be read now: ")
            is_told_once_for_each(daemon)
            server.start()  # in this thread: the kernel ends a server when the thread that launched it goes away
            assert (await ended(verify))[0] == 0


def is_told_once_for_each(daemon: Daemon) -> None:
    """What waits for the journal says so in the words of the page, and not at every attempt."""
    lines = [json.loads(line) for line in daemon.log().splitlines() if line.startswith("{")]
    troubles = [{**line, "timestamp": ""} for line in lines if line["level"] in ("warning", "error")]
    named = set(re.findall(r"`([a-z ]+)`", PAGE.read_text(encoding="utf-8")))
    assert {"gate waiting for the journal"} <= {line["event"] for line in troubles} <= named
    assert [line for line in troubles if troubles.count(line) > 1] == []


async def healthd(daemon: Daemon, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        forked.program("healthd"),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "HEALTHD_URL": daemon.url, "HEALTHD_TOKEN": TOKEN, "COLUMNS": "160"},
    )


async def line_with(process: asyncio.subprocess.Process, words: str) -> str:
    """The next line on standard error that has these words."""
    assert process.stderr is not None
    while words not in (line := (await process.stderr.readline()).decode()):
        assert line, "it ended"
    return line.rstrip()


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str, str]:
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def _answers(session: aiohttp.ClientSession, daemon: Daemon, status: int) -> Callable[[], Awaitable[bool]]:
    async def answers() -> bool:
        return (await verify(session, daemon))[0] == status

    return answers
