"""How a client reaches a daemon that is not always there."""

import asyncio

import pytest

from healthd_gates.client.credentials import FixedToken
from healthd_gates.client.transport import Refused, Transport, Unreachable
from tests.servers.peers import Answer, Peer
from tests.servers.ports import free_port

BUSY = Answer(503, headers={"Retry-After": "0"})


async def send(url: str, *, retry_for: float = 5.0, token: str | None = None) -> int:
    transport = Transport(url, FixedToken(token), retry_for=retry_for, timeout=2.0)
    try:
        return (await transport.send("POST", "/gates/verify", body={"a": 1}, headers={"Idempotency-Key": "k"})).status
    finally:
        await transport.close()


async def test_what_fails_on_the_way_is_sent_again(peer: Peer) -> None:
    """The same call with the same key, so that it is the same gate."""
    peer.answer_once("POST", "/gates/verify", Answer(hang_up=True), BUSY, Answer(202))
    assert await send(peer.url) == 202
    assert [received.headers["Idempotency-Key"] for received in peer.received] == ["k", "k", "k"]
    assert {received.body for received in peer.received} == {b'{"a": 1}'}


@pytest.mark.parametrize("status", [400, 401, 404, 409, 412, 422, 500])
async def test_an_answer_is_not_asked_for_twice(peer: Peer, status: int) -> None:
    """No means no."""
    peer.answer("POST", "/gates/verify", Answer(status))
    assert await send(peer.url) == status
    assert len(peer.received) == 1


async def test_a_daemon_is_given_the_time_that_it_asks_for(peer: Peer) -> None:
    """`Retry-After` counts more than the client's own pauses."""
    peer.answer_once("POST", "/gates/verify", Answer(429, headers={"Retry-After": "1"}), Answer(202))
    start = asyncio.get_running_loop().time()
    assert await send(peer.url) == 202
    assert asyncio.get_running_loop().time() - start >= 1.0


async def test_patience_ends() -> None:
    """The message says who was not there, and for how long."""
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(Unreachable, match=rf"{url} could not be asked for 0\.1 s: "):
        await send(url, retry_for=0.1)


async def test_a_token_goes_to_nobody_else(peer: Peer) -> None:
    """A redirect is an answer, not a way."""
    peer.answer("POST", "/gates/verify", Answer(307, headers={"Location": f"{peer.url}/elsewhere"}))
    assert await send(peer.url, token="secret") == 307
    assert [received.path for received in peer.received] == ["/gates/verify"]
    assert peer.received[0].headers["Authorization"] == "Bearer secret"


def test_a_refusal_says_why() -> None:
    """In the daemon's own words, and at least its status where there are none."""
    assert str(Refused(409, {"title": "Locked", "detail": "until noon"})) == "Locked: until noon"
    assert str(Refused(502, {})) == "status 502"
