"""Client credentials of OAuth 2.0, against a strict token server."""

import asyncio
from typing import Any

import pytest
from pydantic import ValidationError

from healthd.checks.http import HttpConfig
from healthd.checks.oauth2 import OAuth2, Tokens
from healthd.config.outgoing import Outgoing
from healthd.http.outgoing import Way, put_in_force
from healthd.model import FailureKind, Status
from tests.integration.healthd.checks.probing import watched
from tests.servers import proxy
from tests.servers.oauth2 import TokenServer
from tests.servers.peers import Answer, Peer, Received
from tests.servers.ports import free_port

ID, SECRET = "shop:1", "s3cr3t %+&MARK"


@pytest.fixture
def server(peer: Peer) -> TokenServer:
    """A token server, and `/orders`, which takes the last token alone."""
    server = TokenServer(ID, SECRET, frozenset({"read", "write"}))
    server.serve(peer)
    peer.answer("GET", "/orders", lambda asked: Answer(200 if _has_last(asked, server) else 401))
    return server


def _has_last(asked: Received, server: TokenServer) -> bool:
    return bool(server.given) and asked.headers.get("Authorization") == f"Bearer {server.given[-1]}"


def options(peer: Peer, **changes: Any) -> dict[str, Any]:
    oauth2 = {"token_url": f"{peer.url}/token", "client_id": ID, "client_secret": SECRET, **changes}
    return {"url": f"{peer.url}/orders", "oauth2": oauth2}


@pytest.mark.parametrize("authentication", ["basic", "post"])
async def test_a_token_is_kept(peer: Peer, server: TokenServer, authentication: str) -> None:
    changes = {"scopes": ["read", "write"], "audience": "orders", "authentication": authentication}
    async with watched("http", **options(peer, **changes)) as check:
        for _ in range(3):
            await check.finds(Status.HEALTHY)
    assert len(server.given) == 1
    assert (server.forms[0]["scope"], server.forms[0]["audience"]) == ("read write", "orders")


async def test_a_kept_token_that_is_refused(peer: Peer, server: TokenServer) -> None:
    """Another one is asked for at once; a new one that is refused is not asked for again."""
    async with watched("http", **options(peer)) as check:
        await check.finds(Status.HEALTHY)
        server.given.append("of somebody else")
        await check.finds(Status.HEALTHY)
        assert len(server.given) == 3
        peer.answer("GET", "/orders", Answer(401))
        await check.finds(Status.UNHEALTHY, FailureKind.AUTH)
        assert len(server.given) == 4


@pytest.mark.parametrize(("lasts", "given"), [(0, 2), (None, 1), (30, 1)])
async def test_the_end_of_a_token(peer: Peer, server: TokenServer, lasts: int | None, given: int) -> None:
    server.lasts = lasts
    async with watched("http", **options(peer)) as check:
        for _ in range(2):
            await check.finds(Status.HEALTHY)
    assert len(server.given) == given


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"client_secret": "another-MARK"}, "answered 401: invalid_client"),
        ({"scopes": ["admin"]}, "answered 400: invalid_scope"),
        ({"client_id": "x", "authentication": "post"}, "answered 400: invalid_client"),
    ],
)
async def test_a_client_that_is_refused(peer: Peer, server: TokenServer, changes: dict[str, Any], words: str) -> None:
    async with watched("http", **options(peer, **changes)) as check:
        message = (await check.finds(Status.UNHEALTHY, FailureKind.AUTH)).message
    assert message == f"the token server {peer.host}:{peer.port} {words}"
    assert [asked.path for asked in peer.received] == ["/token"]


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (Answer(503), FailureKind.UNEXPECTED_RESPONSE, "answered 503"),
        (Answer(429), FailureKind.RATE_LIMITED, "answered 429"),
        (Answer(400, json={"error": ["MARK"]}), FailureKind.AUTH, "answered 400"),
        (Answer(400, json={"error": "MARK"}), FailureKind.AUTH, "answered 400"),
        (Answer(json={"access_token": "MARK", "token_type": "mac"}), FailureKind.UNEXPECTED_RESPONSE, "of type Bearer"),
        (Answer(json={"access_token": "MA\r\nRK", "token_type": "Bearer"}), FailureKind.UNEXPECTED_RESPONSE, "Bearer"),
        (Answer(body="<html>"), FailureKind.UNEXPECTED_RESPONSE, "something else than JSON"),
        (Answer(hang_up=True), FailureKind.CONNECT, "closed the connection"),
    ],
)
async def test_a_token_server_that_gives_none(peer: Peer, answer: Answer, kind: FailureKind, words: str) -> None:
    peer.answer("POST", "/token", answer)
    async with watched("http", **options(peer)) as check:
        message = (await check.finds(Status.UNHEALTHY, kind)).message
    assert message.startswith("the token server ")
    assert message.endswith(words) or words in message
    assert "MARK" not in message


async def test_a_refusal_that_may_be_the_proxys(peer: Peer) -> None:
    """Nobody was told that the client is not known: what is not done for that is tried again."""
    async with proxy.running({}) as way:
        way.refuses = 403
        put_in_force(Outgoing.model_validate({"proxy": way.url}).way)
        given = options(peer, token_url="http://auth.test/token", proxy=way.url)
        async with watched("http", **given) as check:
            message = (await check.finds(Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)).message
        assert message == f"the token server auth.test:80 answered 403, through the proxy 127.0.0.1:{way.port}"


async def test_a_token_server_that_is_away(peer: Peer) -> None:
    port = free_port()
    async with watched("http", **options(peer, token_url=f"http://127.0.0.1:{port}/token")) as check:
        message = (await check.finds(Status.UNHEALTHY, FailureKind.CONNECT)).message
    assert message == f"the token server gives no answer: 127.0.0.1:{port} refused the connection"


async def test_a_token_server_that_is_slow(peer: Peer) -> None:
    peer.answer("POST", "/token", Answer(delay=30))
    async with watched("http", **options(peer), timeout="400ms") as check:
        message = (await check.gives_up()).message
    assert message.startswith(f"the token server gives no answer: {peer.host}:{peer.port} did not answer within ")


@pytest.mark.parametrize("status", [429, 503])
async def test_a_token_server_that_asks_to_be_left_alone(peer: Peer, status: int) -> None:
    """It is not asked again before its time, nor is the target without a token."""
    peer.answer("POST", "/token", Answer(status, headers={"Retry-After": "600"}))
    async with watched("http", **options(peer)) as check:
        for _ in range(2):
            result = await check.look()
            assert result.message == f"the token server {peer.host}:{peer.port} answered {status}"
            assert 590 < (result.retry_after or 0) <= 600
    assert len(peer.received) == 1


async def test_many_who_ask_at_once(peer: Peer, server: TokenServer) -> None:
    """They wait for one token, or hear of one refusal."""
    tokens = Tokens(OAuth2.model_validate(options(peer)["oauth2"]), 5.0)

    async def send(_authorization: str) -> int:
        return 200

    async def all_at_once() -> list[int | BaseException]:
        asking = (tokens.authorized(send, lambda status: status) for _ in range(5))
        return await asyncio.gather(*asking, return_exceptions=True)

    peer.answer("POST", "/token", Answer(503))
    told = await all_at_once()
    assert [str(each) for each in told] == [f"the token server {peer.host}:{peer.port} answered 503"] * 5
    assert len(peer.received) == 1
    server.serve(peer)
    assert await all_at_once() == [200] * 5
    assert len(server.given) == 1
    await tokens.close()


async def test_the_way_to_the_token_server_is_its_own(peer: Peer, server: TokenServer) -> None:
    """A check past the proxy may have a token server behind it, and the other way round."""
    async with proxy.running({"auth.test": peer.port}) as way:
        put_in_force(Outgoing.model_validate({"proxy": way.url}).way)
        there = options(peer, token_url="http://auth.test/token")
        async with watched("http", **there, proxy="none") as check:
            await check.finds(Status.HEALTHY)
        assert way.asked == [("POST", "http://auth.test/token")]
        put_in_force(Way())
        there["oauth2"]["proxy"] = way.url
        async with watched("http", **there) as check:
            await check.finds(Status.HEALTHY)
        assert len(way.asked) == 2


@pytest.mark.parametrize("given", [{"headers": {"authorization": "x"}}, {"url": "http://a:b@shop.test/"}])
def test_two_ways_to_say_who_asks(given: dict[str, Any]) -> None:
    oauth2 = {"token_url": "https://auth.test/", "client_id": "a", "client_secret": "b"}
    with pytest.raises(ValidationError, match="oauth2 sends Authorization"):
        HttpConfig.model_validate({"url": "http://shop.test/", "oauth2": oauth2, **given})
