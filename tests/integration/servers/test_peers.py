"""The HTTP peer answers as told and remembers what it was sent."""

import ssl
from pathlib import Path

import aiohttp
import pytest

from tests.servers import peers, third_parties, tls


async def test_answers_and_remembers(peer: peers.Peer) -> None:
    """Answers for once come first and in order; the request is kept as it was sent."""
    peer.answer("GET", third_parties.STRIPE_BALANCE, third_parties.stripe_balance())
    peer.answer_once("GET", third_parties.STRIPE_BALANCE, third_parties.stripe_rate_limited(retry_after=7))
    async with aiohttp.ClientSession(peer.url, headers={"Authorization": "Bearer key"}) as client:
        async with client.get(third_parties.STRIPE_BALANCE) as response:
            assert (response.status, response.headers["Retry-After"]) == (429, "7")
        async with client.get(third_parties.STRIPE_BALANCE) as response:
            assert (await response.json())["livemode"] is False
        async with client.post("/elsewhere?a=b", json={"c": 1}) as response:
            assert response.status == 404
        peer.fallback = lambda received: peers.Answer(body=received.path)
        async with client.get("/elsewhere") as response:
            assert await response.text() == "/elsewhere"
    assert peer.received[0].headers["authorization"] == "Bearer key"
    assert (peer.received[2].query, peer.received[2].json()) == ({"a": "b"}, {"c": 1})


async def test_is_slow_malformed_or_gone(peer: peers.Peer) -> None:
    """An answer can be late, not what it says it is, or none at all."""
    peer.answer("GET", "/slow", peers.Answer(delay=5))
    peer.answer("GET", "/malformed", peers.Answer(body="{", headers={"Content-Type": "application/json"}))
    peer.answer("GET", "/gone", peers.Answer(hang_up=True))
    async with aiohttp.ClientSession(peer.url, timeout=aiohttp.ClientTimeout(0.1)) as client:
        with pytest.raises(TimeoutError):
            await client.get("/slow")
        async with client.get("/malformed") as response:
            with pytest.raises(ValueError, match="Expecting"):
                await response.json()
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.get("/gone")


async def test_speaks_tls(authority: tls.Authority, tmp_path: Path) -> None:
    """Given a certificate, the peer serves HTTPS."""
    trusting = ssl.create_default_context(cafile=authority.trust)
    async with peers.peer(authority.good().context(tmp_path)) as peer, aiohttp.ClientSession() as client:
        peer.answer("GET", "/", peers.Answer(body="hello"))
        async with client.get(peer.url, ssl=trusting) as response:
            assert await response.text() == "hello"
