"""Streams that are silent for long, and callers who hang up: the API over the real gate service, in this process."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from healthd.config.in_force import InForce
from healthd.runtime.clock import SystemClock
from healthd.web.auth import Guard, hash_token
from healthd_gates.api import events
from healthd_gates.api import long_poll as waiting
from healthd_gates.api.bodies import Bodies
from healthd_gates.config.settings import Config
from healthd_gates.router import GateApi
from tests.fakes.gates import start_replica
from tests.servers.gating import POLICIES
from tests.servers.waiting import HANGS

TOKEN = "a token of the tests alone"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
BODY = {"service": "api", "policy": "endless", "candidate": {"version": "2"}}


@pytest.fixture
async def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[GateApi, str]]:
    """The API where seconds are tenths."""
    monkeypatch.setattr(events, "_HEARTBEAT_SECONDS", 0.2)
    monkeypatch.setattr(events, "_LOOK_SECONDS", 0.1)
    monkeypatch.setattr(waiting, "_SLICE", 0.1)
    config = Config.model_validate(
        {
            "services": {"api": {"source": {"kind": "push"}, "policy": "endless"}},
            "policies": {"endless": {**POLICIES["endless"], "interval": "1h"}},
            "checks": {"fine": {"kind": "process"}},
            "auth": {"tokens": [{"name": "tests", "hash": hash_token(TOKEN), "scopes": ["admin"]}]},
        }
    )
    replica = await start_replica(tmp_path / "journal.db", config, SystemClock())
    app = web.Application()
    api = GateApi(replica.keeper, replica.gates.runs, Guard(replica.in_force), SystemClock())
    api._door.callers = Bodies(at_once=2**20, seconds=0.2)
    app.add_routes(api.routes())
    async with TestServer(app) as server:
        yield api, str(server.make_url("")).rstrip("/")
    await replica.stop()


@pytest.fixture
def url(served: tuple[GateApi, str]) -> str:
    return served[1]


def serving() -> list[str]:
    """Tasks that serve someone who waits or follows."""
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith(("events of", "wait:"))]


async def are_served(number: int = 1) -> None:
    """Wait until so many are: each has no task for a moment, before the first and between any two."""
    async with asyncio.timeout(HANGS):
        while len(serving()) < number:
            await asyncio.sleep(0.01)


async def test_a_silent_stream_has_a_heartbeat(url: str) -> None:
    """So that no proxy takes it for dead; comments are no events."""
    async with aiohttp.ClientSession(headers=HEADERS) as session:
        async with session.post(f"{url}/gates/verify", json=BODY) as response:
            gate = (await response.json())["id"]
        seen = b""
        async with asyncio.timeout(HANGS), session.get(f"{url}/gates/{gate}/events") as stream:
            while seen.count(b": heartbeat\n\n") < 2:
                seen += await stream.content.readany()


async def test_who_hangs_up_leaves_nothing_behind(url: str) -> None:
    """Neither a stream nor a long poll holds on to a caller who has gone."""
    async with aiohttp.ClientSession(headers=HEADERS) as session:
        async with session.post(f"{url}/gates/verify", json=BODY) as response:
            gate = (await response.json())["id"]
        with pytest.raises(TimeoutError):
            await read_briefly(session, f"{url}/gates/{gate}/events")
        with pytest.raises(TimeoutError):
            await read_briefly(session, f"{url}/gates/{gate}?wait=1h")
    async with asyncio.timeout(HANGS):
        while serving():
            await asyncio.sleep(0.05)


async def read_briefly(session: aiohttp.ClientSession, url: str) -> None:
    """Hang up after some tenths of a second. Raises TimeoutError."""
    async with session.get(url, timeout=aiohttp.ClientTimeout(total=0.3)) as response:
        await are_served()
        await response.read()


async def test_a_body_that_does_not_come_is_408(url: str) -> None:
    """A caller who says nothing holds no one up."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /gates/verify HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
    writer.write(head.encode() + b"Content-Length: 100\r\n\r\n{")
    async with asyncio.timeout(HANGS):
        assert b" 408 " in await reader.readline()
    writer.close()


READER = {"Authorization": "Bearer reader-token"}


def reading(hashed: str) -> Guard:
    """A guard that lets one token read."""
    token = {"name": "reader", "hash": hashed, "scopes": ["gates:read"]}
    return Guard(InForce(Config.model_validate({"auth": {"tokens": [token]}})))


@pytest.mark.parametrize("path", ["/events", "/events?until=over", "?wait=1h", "?wait=verdict"])
async def test_a_token_that_is_taken_away_is_let_go(served: tuple[GateApi, str], path: str) -> None:
    """What is held open ends with the token that opened it, and tells nothing of what came after."""
    api, url = served
    async with aiohttp.ClientSession(headers=HEADERS) as session, asyncio.timeout(HANGS):
        async with session.post(f"{url}/gates/verify", json=BODY) as response:
            gate = (await response.json())["id"]
        api._door.guard = reading(hash_token("reader-token"))
        held = asyncio.create_task(session.get(f"{url}/gates/{gate}{path}", headers=READER))
        await are_served()
        await asyncio.sleep(0.3)
        await are_served()
        api._door.guard = reading(hash_token("another"))
        async with await held as response:
            await response.read()
            assert response.status == (401 if "wait" in path else 200)
    assert not serving()


async def test_calls_that_are_held_open_have_an_end(served: tuple[GateApi, str]) -> None:
    """One caller takes half of the places, and is told to ask without waiting; that needs none."""
    api, url = served
    api._patience._at_most = 4
    async with aiohttp.ClientSession(headers=HEADERS) as session, asyncio.timeout(HANGS):
        async with session.post(f"{url}/gates/verify", json=BODY) as response:
            gate = (await response.json())["id"]
        held = [
            asyncio.create_task(session.get(f"{url}/gates/{gate}{path}")) for path in ("?wait=1h", "/events?until=over")
        ]
        await are_served(2)
        for path, status in (("?wait=1h", 429), ("/events", 429), ("", 200)):
            async with session.get(f"{url}/gates/{gate}{path}") as response:
                assert response.status == status
                assert ("Retry-After" in response.headers) == (status == 429)
        api.drain()
        for response in await asyncio.gather(*held):
            await response.read()
        assert api._patience._held.total() == 0
