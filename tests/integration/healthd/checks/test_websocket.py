"""The websocket check, against a server by another library than the one that the check uses."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from healthd.checks.websocket import WebSocketConfig
from healthd.model import FailureKind, Result, Status
from tests.integration.healthd.checks.probing import watched
from tests.servers import ports, streams, tcp
from tests.servers.peers import Answer, Peer
from tests.servers.ports import HOST
from tests.servers.tls import Authority

UNEXPECTED = FailureKind.UNEXPECTED_RESPONSE
LONG: dict[str, Any] = {"timeout": "20s", "interval": "20s"}
Handler = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler, **options: Any) -> AsyncIterator[int]:
    async with serve(handler, HOST, 0, **options) as server:
        yield next(iter(server.sockets)).getsockname()[1]


async def idle(socket: ServerConnection) -> None:
    await socket.wait_closed()


async def echo(socket: ServerConnection) -> None:
    await socket.send("welcome")
    async for message in socket:
        await socket.send(json.dumps({"echo": message, "count": 3}))


def closing(code: int) -> Handler:
    async def close(socket: ServerConnection) -> None:
        await socket.close(code, "for a reason with geheim")

    return close


async def look(port: int, **options: Any) -> Result:
    async with watched("websocket", **{"url": f"ws://localhost:{port}/live", **LONG, **options}) as check:
        return await check.look()


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({}, None, ""),
        ({"expect": {"contains": "welcome"}}, None, ""),
        ({"send": "hello-17", "expect": {"matches": "ec.o.*hello"}}, None, ""),
        ({"send": "hello-17", "expect": {"json": [{"path": "count", "at_least": 3}]}}, None, ""),
        (
            {"send": "hello-17", "expect": {"contains": "never"}, "timeout": "2s"},
            FailureKind.TIMEOUT,
            "shook hands, and did not send what is expected within 1.9 s",
        ),
    ],
)
async def test_messages(options: dict[str, Any], kind: FailureKind | None, said: str) -> None:
    """The answer to a ping, the server's own message, and the answer to one of ours, behind others."""
    async with serving(echo) as port:
        result = await look(port, **options)
    assert (result.status, result.kind) == (Status.UNHEALTHY if kind else Status.HEALTHY, kind), result
    assert result.message.partition(" ")[2] == said


@pytest.mark.parametrize("options", [{}, {"send": "hello-17", "expect": {"contains": "x"}}], ids=["ping", "message"])
@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        (1000, UNEXPECTED, "closed with 1000 (normal closure)"),
        (1008, FailureKind.PERMISSION, "closed with 1008 (policy violation)"),
        (1011, UNEXPECTED, "closed with 1011 (internal error)"),
        (1013, FailureKind.EXHAUSTED, "closed with 1013 (try again later)"),
        (3000, FailureKind.AUTH, "closed with 3000 (unauthorized)"),
        (4321, UNEXPECTED, "closed with 4321"),
    ],
)
async def test_a_server_that_closes_behind_the_handshake(
    options: dict[str, Any], code: int, kind: FailureKind, said: str
) -> None:
    """Which is how most refuse a client. The code is told, and the reason is not: it may repeat what it was sent."""
    async with serving(closing(code)) as port:
        result = await look(port, **options)
    assert (result.status, result.kind, result.message) == (
        Status.UNHEALTHY,
        kind,
        f"localhost:{port} shook hands, and {said}",
    )


async def test_subprotocols() -> None:
    """The server's choice among those that are offered; one that chooses none speaks something else."""
    async with serving(idle, subprotocols=["mqtt", "v2"]) as port:
        chosen = await look(port, subprotocols=["v1", "v2"])
        assert (chosen.status, chosen.observed["subprotocol"]) == (Status.HEALTHY, "v2")
    async with serving(idle, select_subprotocol=lambda *_: None) as port:
        none = await look(port, subprotocols=["v1"])
    assert (none.kind, none.message) == (UNEXPECTED, f"localhost:{port} chooses none of the subprotocols v1")


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, FailureKind.AUTH), (403, FailureKind.PERMISSION), (429, FailureKind.RATE_LIMITED), (503, UNEXPECTED)],
)
async def test_a_handshake_that_is_refused(status: int, kind: FailureKind) -> None:
    def refuse(socket: ServerConnection, _request: Request) -> Response:
        response = socket.respond(HTTPStatus(status), "no")
        response.headers["Retry-After"] = "90"
        return response

    async with serving(idle, process_request=refuse) as port:
        result = await look(port)
    assert (result.status, result.kind) == (Status.UNHEALTHY, kind)
    assert result.message == f"localhost:{port} answers the handshake with {status}, not 101"
    assert result.retry_after == (90 if status == 429 else None)


async def test_what_is_sent_along(peer: Peer) -> None:
    """Headers and the login go to the server that is named, and to no other: a redirect is not followed."""
    seen: list[Any] = []

    def note(_socket: ServerConnection, request: Request) -> None:
        seen.append((request.path, request.headers["Authorization"], request.headers["Origin"]))

    async with serving(idle, process_request=note) as port:
        headers = {"Origin": "https://shop.example"}
        result = await look(port, url=f"ws://app:geheim@localhost:{port}/live?x=%2F", headers=headers)
        assert result.status is Status.HEALTHY, result
        assert seen == [("/live?x=%2F", "Basic YXBwOmdlaGVpbQ==", "https://shop.example")]
        peer.answer("GET", "/live", Answer(302, headers={"Location": f"http://localhost:{port}/live"}))
        moved = await look(peer.port, headers=headers)
    assert (moved.kind, moved.message) == (UNEXPECTED, f"localhost:{peer.port} redirects (302)")
    assert len(seen) == 1


async def test_tls(authority: Authority, tmp_path: Path) -> None:
    context = authority.good().context(tmp_path)
    async with serving(idle, ssl=context) as port:
        url = f"wss://localhost:{port}/live"
        result = await look(port, url=url, ca_file=authority.trust)
        assert result.status is Status.HEALTHY, result
        assert result.observed["certificateDaysLeft"] == pytest.approx(365, abs=0.1)
        stranger = await look(port, url=url)
        assert (stranger.status, stranger.kind) == (Status.UNHEALTHY, FailureKind.TLS)
        other = await look(port, url=url, ca_file=authority.trust, server_name="elsewhere.example")
        assert (other.kind, "is for another host" in other.message) == (FailureKind.TLS, True), other
        plain = await look(port)
        assert plain.kind in (UNEXPECTED, FailureKind.CONNECT), plain


async def test_what_does_not_speak_it() -> None:
    """HTTP alone, something else, silence before and after the handshake, and nobody."""
    with tcp.silent() as listener:
        async with watched("websocket", url=f"ws://localhost:{listener.port}", timeout="2s") as check:
            assert (await check.gives_up()).message.endswith("did not shake hands within 1.9 s")
    assert (await look(ports.free_port())).kind is FailureKind.CONNECT

    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        await reader.read()

    async with streams.listening(other) as port:
        result = await look(port)
        assert (result.status, result.kind) == (Status.UNHEALTHY, UNEXPECTED), result

    async def forge(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n")
        await reader.read()

    async with streams.listening(forge) as port:
        result = await look(port)
    assert result.message.startswith(f"localhost:{port} breaks the rules of the handshake")


async def test_a_proxy_alone_is_not_green() -> None:
    """One that shakes hands by itself, with nothing behind it that would answer."""

    over = asyncio.Event()

    async def hold(socket: ServerConnection) -> None:
        socket.transport.pause_reading()
        await over.wait()

    async with (
        serving(hold, close_timeout=0.1) as port,
        watched("websocket", url=f"ws://localhost:{port}", timeout="2s") as check,
    ):
        try:
            assert "shook hands, and did not answer a ping" in (await check.gives_up()).message
        finally:
            over.set()  # the server waits for it


async def test_a_server_that_dies_and_a_flood() -> None:
    async def die(socket: ServerConnection) -> None:
        await socket.recv()
        socket.transport.abort()

    async def flood(socket: ServerConnection) -> None:
        while True:
            await socket.send("x")
            await asyncio.sleep(0)  # the check shares the loop

    async def swell(socket: ServerConnection) -> None:
        await socket.send("x" * (2**20 + 1))
        await socket.wait_closed()

    asking: dict[str, Any] = {"send": "hello-17", "expect": {"contains": "y"}}
    async with serving(die) as port:
        assert (await look(port, **asking)).kind is FailureKind.CONNECT
    async with serving(flood) as port:
        result = await look(port, **asking)
        assert (result.kind, result.message.endswith("sent 1000 messages, none as expected")) == (UNEXPECTED, True)
    async with serving(swell) as port:
        assert (await look(port, **asking)).kind is UNEXPECTED


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"url": "http://shop/live"}, "write ws://host/path or wss://host/path"),
        ({"url": "ws://shop/live#x"}, "has no fragment"),
        ({"send": "hello-17"}, "send without expect"),
        ({"expect": {}}, "any message would do"),
        ({"headers": {"Sec-WebSocket-Protocol": "v1"}}, "subprotocols are an option"),
        ({"url": "ws://a:b@shop/", "headers": {"authorization": "x"}}, "leave one of them out"),
        ({"subprotocols": ["a b"]}, "String should match pattern"),
    ],
)
def test_refused_options(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        WebSocketConfig.model_validate({"url": "wss://shop/live", **options})
