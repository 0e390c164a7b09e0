"""The http check against real HTTP and HTTPS servers, good, odd and silent."""

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from healthd.model import FailureKind, Status
from tests.integration.healthd.checks.probing import watched
from tests.servers import peers as http_peers
from tests.servers import ports, streams, tcp, tls
from tests.servers.peers import Answer, Peer

SECRET = "s3cr3t-MARK"


async def test_expected_answer_is_healthy(peer: Peer) -> None:
    """Method, header and body arrive as configured; the status and the answer time are reported."""
    peer.answer("POST", "/health", Answer(201, json={"status": "ok", "db": {"lag": 0.5}}))
    async with watched(
        "http",
        url=f"http://user:{SECRET}@127.0.0.1:{peer.port}/health?full=1",
        method="POST",
        headers={"X-Token": SECRET},
        body='{"ping": true}',
        expect={"status": [201], "json": [{"path": "status", "equals": "ok"}, {"path": "db.lag"}]},
    ) as check:
        result = await check.finds(Status.HEALTHY)
    assert result.latency is not None
    assert result.observed == {"statusCode": 201}
    (request,) = peer.received
    assert (request.body, dict(request.query)) == (b'{"ping": true}', {"full": "1"})
    assert request.headers["X-Token"] == SECRET
    assert request.headers["Authorization"].startswith("Basic ")
    assert request.headers["User-Agent"].startswith("healthd/")


@pytest.mark.parametrize(
    ("answer", "expect", "kind", "words"),
    [
        (Answer(503), {}, FailureKind.UNEXPECTED_RESPONSE, "answered 503, not 2xx"),
        (Answer(302, headers={"Location": "/ok"}), {}, FailureKind.UNEXPECTED_RESPONSE, "answered 302"),
        (Answer(401), {}, FailureKind.AUTH, "401"),
        (Answer(403), {}, FailureKind.PERMISSION, "403"),
        (Answer(200), {"status": ["401", "500-599"]}, FailureKind.UNEXPECTED_RESPONSE, "not 401 or 500-599"),
        (Answer(body="down"), {"contains": "up"}, FailureKind.UNEXPECTED_RESPONSE, "body"),
        (Answer(body="{"), {"json": [{"path": "a"}]}, FailureKind.UNEXPECTED_RESPONSE, "not JSON"),
        (Answer(json={"a": SECRET}), {"json": [{"path": "a", "equals": 1}]}, FailureKind.UNEXPECTED_RESPONSE, "'a'"),
        (Answer(body="x" * 3000), {"contains": "y"}, FailureKind.UNEXPECTED_RESPONSE, "longer than 2000 bytes"),
        (Answer(), {"headers": [{"name": "X-Env"}]}, FailureKind.UNEXPECTED_RESPONSE, "header X-Env is missing"),
    ],
)
async def test_unexpected_answer(
    peer: Peer, answer: Answer, expect: dict[str, Any], kind: FailureKind, words: str
) -> None:
    """Each thing that can be wrong with an answer, by kind and in words."""
    peer.answer("GET", "/", answer)
    options = {"headers": {"Authorization": f"Bearer {SECRET}"}, "expect": expect, "body_limit": 2000}
    async with watched("http", url=peer.url + "/", **options) as check:
        result = await check.finds(Status.UNHEALTHY, kind)
        assert words in result.message


async def test_slow_answer_is_degraded(peer: Peer) -> None:
    """Slower than the latency that is expected, though within the timeout."""
    peer.answer("GET", "/", Answer(delay=0.1))
    async with watched("http", url=peer.url + "/", expect={"latency": "50ms"}) as check:
        await check.finds(Status.DEGRADED, FailureKind.THRESHOLD)


async def test_rate_limit_is_honoured(peer: Peer) -> None:
    """Whoever asks to be left alone is left alone for so long."""
    peer.answer("GET", "/", Answer(429, headers={"Retry-After": "120"}))
    async with watched("http", url=peer.url + "/") as check:
        assert (await check.finds(Status.UNHEALTHY, FailureKind.RATE_LIMITED)).retry_after == 120


@pytest.mark.parametrize(("keep_alive", "connections"), [(False, 3), (True, 1)])
async def test_connections(peer: Peer, keep_alive: bool, connections: int) -> None:
    """A fresh connection for each probe, or one for all of them."""
    peer.answer("GET", "/", Answer())
    async with (
        tcp.proxy(peer.port) as proxy,
        watched("http", url=f"http://localhost:{proxy.port}/", keep_alive=keep_alive) as check,
    ):
        for _ in range(3):
            await check.finds(Status.HEALTHY)
        assert proxy.accepted == connections


@pytest.mark.parametrize("keep_alive", [False, True])
async def test_silent_server_leaves_nothing_behind(peer: Peer, keep_alive: bool) -> None:
    """Probe after probe into silence: each ends before its deadline, with no socket and no task more than before."""
    peer.answer("GET", "/", Answer())
    async with (
        tcp.proxy(peer.port) as proxy,
        watched("http", url=f"http://localhost:{proxy.port}/", timeout="2s", keep_alive=keep_alive) as check,
    ):
        await check.finds(Status.HEALTHY)
        proxy.black_hole()
        ours, tasks = len(psutil.Process().net_connections()), len(asyncio.all_tasks())
        for _ in range(3):
            result = await check.finds(Status.UNHEALTHY, FailureKind.TIMEOUT)
            assert "did not answer" in result.message
        await proxy.reset()
        assert len(psutil.Process().net_connections()) <= ours
        assert len(asyncio.all_tasks()) <= tasks
        await proxy.pass_through()
        await check.finds(Status.HEALTHY)


async def test_unconnectable_is_a_timeout() -> None:
    """Nothing answers the handshake of TCP, or of TLS: the message tells a connection from an answer."""
    with tcp.unconnectable() as listener:
        async with watched("http", url=f"http://127.0.0.1:{listener.port}/", timeout="1s") as check:
            assert "accepted no connection" in (await check.gives_up()).message
    with tcp.silent() as listener:
        async with watched("http", url=f"https://127.0.0.1:{listener.port}/", timeout="1s") as check:
            assert "accepted no connection" in (await check.gives_up()).message


async def test_trickling_answer_is_a_timeout(peer: Peer) -> None:
    """A server that sends a byte now and then cannot hold a probe beyond its deadline."""
    peer.answer("GET", "/", Answer(body="x" * 5000))
    async with (
        tcp.proxy(peer.port) as proxy,
        watched("http", url=f"http://localhost:{proxy.port}/", timeout="300ms") as check,
    ):
        proxy.limit(1000)
        await check.finds(Status.UNHEALTHY, FailureKind.TIMEOUT)


async def test_refused_and_unknown() -> None:
    """A closed port is `connect`, a name that does not exist is `dns`."""
    async with watched("http", url=f"http://user:{SECRET}@localhost:{ports.free_port()}/") as check:
        assert "refused" in (await check.finds(Status.UNHEALTHY, FailureKind.CONNECT)).message
    async with watched("http", url=f"http://user:{SECRET}@nowhere.invalid/") as check:
        await check.finds(Status.UNHEALTHY, FailureKind.DNS)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (b"", FailureKind.CONNECT),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", FailureKind.UNEXPECTED_RESPONSE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", FailureKind.UNEXPECTED_RESPONSE),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nhalf",
            FailureKind.UNEXPECTED_RESPONSE,
        ),
    ],
)
async def test_no_http(reply: bytes, kind: FailureKind) -> None:
    """A peer that hangs up, speaks another protocol or breaks off in the middle."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        await writer.drain()

    async with streams.listening(answer) as port, watched("http", url=f"http://localhost:{port}/") as check:
        await check.finds(Status.UNHEALTHY, kind)


@pytest.mark.parametrize(
    ("reply", "status", "message"),
    [
        (b"HTTP/1.1 200 OK\r\nX-Policy: " + 30_000 * b"a" + b"\r\nContent-Length: 0\r\n\r\n", Status.HEALTHY, ""),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\nContent-Length: 4\r\n\r\nhalf",
            Status.UNHEALTHY,
            "in a content encoding that was not asked for",
        ),
    ],
)
async def test_what_other_clients_take(reply: bytes, status: Status, message: str) -> None:
    """A long header is one; a content encoding that nobody asked for is said to be that."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        await writer.drain()

    async with streams.listening(answer) as port, watched("http", url=f"http://localhost:{port}/") as check:
        result = await check.finds(status, FailureKind.UNEXPECTED_RESPONSE if message else None)
        assert message in result.message


async def test_certificate_expiry_is_a_by_product(authority: tls.Authority, tmp_path: Path) -> None:
    """The earliest end of the chain is reported, also where the connection is kept."""
    certificate = authority.intermediate_expiring(timedelta(days=10))
    async with http_peers.peer(certificate.context(tmp_path)) as peer:
        peer.answer("GET", "/", Answer())
        url = f"https://localhost:{peer.port}/"
        async with watched("http", url=url, ca_file=authority.trust, keep_alive=True) as check:
            for _ in range(2):
                observed = (await check.finds(Status.HEALTHY)).observed
                assert observed["certificateDaysLeft"] == pytest.approx(10, abs=0.1)


async def test_distrust(authority: tls.Authority, tmp_path: Path) -> None:
    """An unknown authority, an expired certificate, and a name that a server name sets right."""
    cases: list[tuple[tls.Certificate, dict[str, Any], FailureKind | None]] = [
        (authority.good(), {}, FailureKind.TLS),
        (authority.good(), {"ca_file": authority.trust}, None),
        (authority.expired(), {"ca_file": authority.trust}, FailureKind.EXPIRED),
        (authority.wrong_host(), {"ca_file": authority.trust}, FailureKind.TLS),
        (authority.wrong_host(), {"ca_file": authority.trust, "server_name": "elsewhere.example"}, None),
        (authority.good(), {"ca_file": tmp_path / "absent.crt"}, FailureKind.MISCONFIGURED),
    ]
    for certificate, options, kind in cases:
        async with http_peers.peer(certificate.context(tmp_path)) as peer:
            peer.answer("GET", "/", Answer())
            async with watched("http", url=f"https://localhost:{peer.port}/", **options) as check:
                await check.finds(Status.UNHEALTHY if kind else Status.HEALTHY, kind)


async def test_a_client_certificate(authority: tls.Authority, tmp_path: Path) -> None:
    """It is shown to a server that asks for one; with a key beside it, or in the same file; a new one at once."""
    server = authority.good().context(tmp_path)
    server.load_verify_locations(authority.trust)
    server.verify_mode = ssl.CERT_REQUIRED
    server.maximum_version = ssl.TLSVersion.TLSv1_2  # with 1.3 it may send an alert or reset
    mine, key = authority.good().save(tmp_path, "client")
    both = tmp_path / "both.pem"
    both.write_bytes(mine.read_bytes() + key.read_bytes())
    cases: list[tuple[dict[str, Any], FailureKind | None, str]] = [
        ({"client_certificate": mine, "client_key": key}, None, ""),
        ({"client_certificate": both}, None, ""),
        ({"client_certificate": mine}, FailureKind.MISCONFIGURED, "client.crt and its key are no certificate and"),
        ({}, FailureKind.CONNECT, "closed the connection"),
        ({"client_certificate": tmp_path / "none"}, FailureKind.MISCONFIGURED, "none cannot be read: No such file"),
    ]
    async with http_peers.peer(server) as peer:
        peer.answer("GET", "/", Answer())
        for options, kind, said in cases:
            url = f"https://localhost:{peer.port}/"
            async with watched("http", url=url, ca_file=authority.trust, **options) as check:
                result = await check.finds(Status.UNHEALTHY if kind else Status.HEALTHY, kind)
                assert said in (result.message or "")


@pytest.mark.parametrize(
    ("headers", "status", "kind"),
    [
        ({"Strict-Transport-Security": "max-age=31536000; includeSubDomains"}, Status.HEALTHY, None),
        ({"Strict-Transport-Security": "max-age=86400"}, Status.UNHEALTHY, FailureKind.THRESHOLD),
        ({}, Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE),
    ],
)
async def test_headers(
    authority: tls.Authority, tmp_path: Path, headers: dict[str, str], status: Status, kind: FailureKind | None
) -> None:
    """HSTS for at least a year, whatever the status of the answer that carries it."""
    async with http_peers.peer(authority.good().context(tmp_path)) as peer:
        peer.answer("GET", "/health", Answer(503, headers=headers))
        url = f"https://localhost:{peer.port}/health"
        async with watched("headers", url=url, ca_file=authority.trust) as check:
            await check.finds(status, kind)
