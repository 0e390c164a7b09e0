"""Smoke requests against a real HTTP service."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from healthd.monitoring.board import Board
from healthd.runtime.clock import SystemClock
from healthd_gates.criteria.contract import CriterionContext
from healthd_gates.criteria.smoke import Smoke
from healthd_gates.domain.evidence import Observation
from healthd_gates.sources.contract import Arm, Arms
from tests.servers.peers import Answer, Peer
from tests.servers.ports import free_port

GUIDE: list[dict[str, Any]] = [
    {"get": "/health", "status": 200},
    {"get": "/api/v1/users/me", "status": 401},
    {"post": "/api/v1/auth/login", "json": {}, "status": 400},
]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def smoke(
    session: aiohttp.ClientSession, requests: list[dict[str, Any]], *urls: str, secrets: bool = True
) -> Observation:
    criterion = Smoke.model_validate({"kind": "smoke", "requests": requests, "timeout": "3s"})
    arms = Arms("api", Arm("2.0.0", urls=urls))
    return await criterion.observe(CriterionContext(arms, Board(SystemClock()), session, without_secrets=not secrets))


async def test_every_answer_as_it_must_be(peer: Peer, session: aiohttp.ClientSession) -> None:
    """Method, body and headers are sent as they are configured; a redirect is an answer like any other."""
    peer.answer("GET", "/health", Answer())
    peer.answer("GET", "/api/v1/users/me", Answer(401))
    peer.answer("POST", "/api/v1/auth/login", Answer(400))
    peer.answer("GET", "/old", Answer(301, headers={"Location": "/health"}))
    moved = {"get": "/old", "status": 301, "headers": {"x-probe": "hush-hush"}}
    assert (await smoke(session, [*GUIDE, moved], peer.url)).ok is True
    by_path = {received.path: received for received in peer.received}
    assert by_path["/api/v1/auth/login"].json() == {}
    assert by_path["/old"].headers["X-Probe"] == "hush-hush"


async def test_what_is_wrong_is_named(peer: Peer, session: aiohttp.ClientSession) -> None:
    """Which request, which status; a late answer and a hang-up are the candidate's own fault."""
    peer.answer("GET", "/health", Answer(503))
    peer.answer("GET", "/slow", Answer(delay=60))
    peer.answer("GET", "/gone", Answer(hang_up=True))
    seen = await smoke(session, [{"get": "/health"}, {"get": "/slow"}, {"get": "/gone"}], peer.url)
    assert seen.ok is False
    assert seen.detail == (
        "GET /health gave 503, must be 200; GET /slow gave no answer within 3 s; "
        "GET /gone failed: ServerDisconnectedError"
    )


async def test_every_instance_is_asked(peer: Peer, session: aiohttp.ClientSession) -> None:
    """One that is down among several is enough."""
    peer.answer("GET", "/health", Answer())
    down = f"http://127.0.0.1:{free_port()}"
    seen = await smoke(session, [{"get": "/health"}], peer.url, down)
    assert (seen.ok, seen.detail) == (False, "GET /health failed: ClientConnectorError")


async def test_headers_that_are_not_known_any_more_give_no_answer(peer: Peer, session: aiohttp.ClientSession) -> None:
    """Masked ones would be refused, and the candidate would be blamed."""
    request = {"get": "/health", "headers": {"authorization": "**********"}}
    assert (await smoke(session, [request], peer.url, secrets=False)).ok is None
    assert not peer.received
