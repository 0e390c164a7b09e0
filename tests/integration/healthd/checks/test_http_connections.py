"""How the http check connects, sends and follows: over real sockets, with peers that close, stall and redirect."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from healthd.model import FailureKind, Status
from tests.integration.healthd.checks.probing import watched
from tests.servers import peers as http_peers
from tests.servers import streams, tls
from tests.servers.peers import Answer, Peer

SECRET = "s3cr3t-MARK"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (b"", FailureKind.CONNECT, "closed the connection"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", FailureKind.TLS, "completes no TLS handshake"),
        (b"\x15\x03\x03\x00\x02\x02\x28", FailureKind.TLS, "completes no TLS handshake"),
    ],
)
async def test_no_handshake(reply: bytes, kind: FailureKind, words: str) -> None:
    """A peer that hangs up amid TLS, does not speak it, or wants no part in it."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(reply)
        await writer.drain()

    async with streams.listening(answer) as port, watched("http", url=f"https://localhost:{port}/") as check:
        assert words in (await check.finds(Status.UNHEALTHY, kind)).message


async def test_an_answer_before_the_body_was_read() -> None:
    """A server may refuse a large body by its head; its answer counts, whether or not it hangs up then."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.3)

    async with streams.listening(refuse) as port:
        options = {"method": "POST", "body": 20_000_000 * "x", "expect": {"status": 413}}
        async with watched("http", url=f"http://localhost:{port}/", timeout="10s", **options) as check:
            await check.finds(Status.HEALTHY)


@pytest.mark.parametrize("is_tls", [False, True])
async def test_a_kept_connection_that_was_closed_meanwhile(
    is_tls: bool, authority: tls.Authority, tmp_path: Path
) -> None:
    """Its time was up, or something came over it that nobody asked for: the next probe opens another."""
    connections: list[int] = []
    rest = [b"", b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"]

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(0)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(rest[len(connections) % 2])

    context = authority.good().context(tmp_path) if is_tls else None
    async with streams.listening(once, context) as port:
        url = f"{'https' if is_tls else 'http'}://localhost:{port}/"
        async with watched("http", url=url, keep_alive=True, timeout="10s", ca_file=authority.trust) as check:
            for _ in range(4):
                await check.finds(Status.HEALTHY)
                await asyncio.sleep(0.2)
    assert len(connections) == 4


async def test_a_kept_connection_that_closes_as_it_is_used() -> None:
    """What may be repeated is asked once more; a POST is not, since nobody knows what became of it."""

    def second_is_refused() -> tuple[list[int], Any]:
        seen: list[int] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for _ in range(2):
                await reader.readuntil(b"\r\n\r\n")
                seen.append(0)
                if len(seen) == 2:
                    return
                writer.write(OK)

        return seen, serve

    for method, status, requests in (("GET", Status.HEALTHY, 3), ("POST", Status.UNHEALTHY, 2)):
        seen, serve = second_is_refused()
        async with streams.listening(serve) as port:
            url = f"http://localhost:{port}/"
            async with watched("http", url=url, method=method, keep_alive=True, timeout="10s") as check:
                await check.finds(Status.HEALTHY)
                await check.finds(status, None if status is Status.HEALTHY else FailureKind.CONNECT)
                assert len(seen) == requests


async def test_redirects_are_followed_when_asked(peer: Peer) -> None:
    """As often as asked, over the same host with the headers; a POST becomes a GET as browsers have it."""
    peer.answer("POST", "/", Answer(302, headers={"Location": "/a?b=1"}))
    peer.answer("GET", "/a", Answer(307, headers={"Location": f"{peer.url}/b"}))
    peer.answer("GET", "/b", Answer(200))
    options = {"method": "POST", "body": "a body", "headers": {"X-Token": SECRET}}
    async with watched("http", url=peer.url + "/", follow_redirects=2, **options) as check:
        await check.finds(Status.HEALTHY)
        assert [request.headers.get("X-Token") for request in peer.received] == 3 * [SECRET]
        assert [request.body for request in peer.received] == [b"a body", b"", b""]
    async with watched("http", url=peer.url + "/", follow_redirects=1, **options) as check:
        result = await check.finds(Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)
        assert "redirects more than 1 times" in result.message


async def test_another_host_learns_nothing(peer: Peer) -> None:
    """Neither a header nor a password of the URL nor a body; and not what the answer says of itself."""
    async with http_peers.peer() as other:
        other.fallback = Answer(200)
        peer.answer("GET", "/", Answer(302, headers={"Location": f"http://{SECRET}:x@127.0.0.1:{other.port}/"}))
        peer.answer("PUT", "/", Answer(308, headers={"Location": other.url}))
        options: dict[str, Any] = {"headers": {"X-Token": SECRET}, "follow_redirects": 3}
        url = f"http://user:{SECRET}@127.0.0.1:{peer.port}/"
        async with watched("http", url=url, **options) as check:
            await check.finds(Status.HEALTHY)
        async with watched("http", url=url, method="PUT", body=SECRET, **options) as check:
            result = await check.finds(Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)
            assert "is not sent the body" in result.message
        (received,) = other.received
        assert SECRET not in repr(received)
        assert not {"X-Token", "Authorization"} & set(received.headers)


@pytest.mark.parametrize("location", ["ftp://localhost/", "javascript:alert(1)", "http://[::1"])
async def test_redirects_to_nowhere(peer: Peer, location: str) -> None:
    peer.answer("GET", "/", Answer(302, headers={"Location": location}))
    async with watched("http", url=peer.url + "/", follow_redirects=3) as check:
        result = await check.finds(Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)
        assert "redirects to what is no http:// or https:// URL" in result.message


async def test_the_name_for_tls_is_of_the_first_host_alone(
    authority: tls.Authority, tmp_path: Path, peer: Peer
) -> None:
    """`server_name` makes no certificate of another host right."""
    async with http_peers.peer(authority.wrong_host().context(tmp_path)) as other:
        other.fallback = Answer(200)
        peer.answer("GET", "/", Answer(302, headers={"Location": f"https://localhost:{other.port}/"}))
        options = {"ca_file": authority.trust, "server_name": "elsewhere.example", "follow_redirects": 1}
        async with watched("http", url=peer.url + "/", **options) as check:
            await check.finds(Status.UNHEALTHY, FailureKind.TLS)
