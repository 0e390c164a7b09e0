"""Client credentials of OAuth 2.0, against a strict token server."""

from typing import Any

import pytest
from pydantic import ValidationError

from healthd.checks.http import HttpConfig
from healthd.model import FailureKind, Status
from tests.integration.healthd.checks.probing import watched
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
        (Answer(body="<html>"), FailureKind.UNEXPECTED_RESPONSE, "answered with none"),
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


async def test_a_token_server_that_is_away(peer: Peer) -> None:
    port = free_port()
    async with watched("http", **options(peer, token_url=f"http://127.0.0.1:{port}/token")) as check:
        message = (await check.finds(Status.UNHEALTHY, FailureKind.CONNECT)).message
    assert message == f"the token server gives no answer: 127.0.0.1:{port} refused the connection"


@pytest.mark.parametrize("given", [{"headers": {"authorization": "x"}}, {"url": "http://a:b@shop.test/"}])
def test_two_ways_to_say_who_asks(given: dict[str, Any]) -> None:
    oauth2 = {"token_url": "https://auth.test/", "client_id": "a", "client_secret": "b"}
    with pytest.raises(ValidationError, match="oauth2 sends Authorization"):
        HttpConfig.model_validate({"url": "http://shop.test/", "oauth2": oauth2, **given})
