"""The grpc check, against a server of gRPC's own."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import StreamEnded
from pydantic import ValidationError

from healthd.checks.grpc import GRPC, GRPCConfig
from healthd.checks.grpc_call import Reply
from healthd.model import FailureKind, Result, Status
from tests.integration.healthd.checks.probing import watched
from tests.servers import grpc_health, ports, streams, tcp
from tests.servers.process import Server
from tests.servers.tls import Authority, self_signed

SERVICES = {"": "SERVING", "shop.v1.Orders": "SERVING", "shop.v1.Mails": "NOT_SERVING", "shop.v1.New": "UNKNOWN"}
PLAIN: dict[str, Any] = {"security": "none", "timeout": "20s", "interval": "20s"}
UNEXPECTED = FailureKind.UNEXPECTED_RESPONSE


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with grpc_health.running(SERVICES) as running:
        yield running


async def look(port: int, **options: Any) -> Result:
    async with watched("grpc", host="localhost", port=port, **{**PLAIN, **options}) as check:
        return await check.look()


@pytest.mark.parametrize(
    ("service", "status", "kind", "said"),
    [
        ("", Status.HEALTHY, None, ""),
        ("shop.v1.Orders", Status.HEALTHY, None, ""),
        ("shop.v1.Mails", Status.UNHEALTHY, UNEXPECTED, "says of the service shop.v1.Mails: NOT_SERVING"),
        ("shop.v1.New", Status.UNHEALTHY, UNEXPECTED, "says of the service shop.v1.New: UNKNOWN"),
        ("shop.v1.Carts", Status.UNHEALTHY, FailureKind.MISCONFIGURED, "knows no service 'shop.v1.Carts'"),
    ],
)
async def test_what_a_server_says(
    server: Server, service: str, status: Status, kind: FailureKind | None, said: str
) -> None:
    """Green is SERVING alone, of the service that is asked for; a server that serves says nothing of each service."""
    result = await look(server.port, service=service)
    assert (result.status, result.kind) == (status, kind), result
    assert result.message == (f"localhost:{server.port} {said}" if said else "")
    assert result.observed.get("servingStatus") == (None if kind is FailureKind.MISCONFIGURED else SERVICES[service])


async def test_a_server_without_the_health_service() -> None:
    with grpc_health.running({}) as bare:
        result = await look(bare.port)
    assert (result.status, result.kind) == (Status.UNHEALTHY, FailureKind.MISCONFIGURED)
    assert result.message.endswith("does not offer the health service, grpc.health.v1.Health")


async def test_one_that_hangs_dies_and_comes_back() -> None:
    with grpc_health.running(SERVICES) as mine:
        async with watched("grpc", host="localhost", port=mine.port, security="none", timeout="3s") as check:
            mine.pause()
            result = await check.gives_up()
            assert result.message.endswith("did not answer within 2.9 s")
            mine.kill()
            await check.finds(Status.UNHEALTHY, FailureKind.CONNECT)
        mine.start()
        assert (await look(mine.port)).status is Status.HEALTHY


async def test_tls(authority: Authority) -> None:
    """Verified, with the dates of the chain; a stranger, another's name and what has expired are not trusted."""
    trusted: dict[str, Any] = {"security": "tls", "ca_file": authority.trust}
    with grpc_health.running(SERVICES, tls=authority.good()) as secure:
        result = await look(secure.port, **trusted)
        assert result.status is Status.HEALTHY, result
        assert result.observed["certificateDaysLeft"] == pytest.approx(365, abs=0.1)
        stranger = await look(secure.port, security="tls")
        assert (stranger.status, stranger.kind) == (Status.UNHEALTHY, FailureKind.TLS)
        other = await look(secure.port, **trusted, server_name="elsewhere.example")
        assert (other.kind, "is for another host" in other.message) == (FailureKind.TLS, True)
        plain = await look(secure.port)
        assert (plain.kind, plain.message) == (
            FailureKind.CONNECT,
            f"localhost:{secure.port} {HUNG_UP}; security: tls?",
        )
    with grpc_health.running(SERVICES, tls=authority.expired()) as ended:
        assert (await look(ended.port, **trusted)).kind is FailureKind.EXPIRED


HUNG_UP = "closed the connection before it answered"


async def test_a_clients_certificate(authority: Authority, tmp_path: Path) -> None:
    """Shown to a server that asks for one; which of them is missing is told."""
    mine, key = authority.good().save(tmp_path, "client")
    foreign, foreign_key = self_signed().save(tmp_path, "foreign")
    trusted: dict[str, Any] = {"security": "tls", "ca_file": authority.trust}
    with grpc_health.running(SERVICES, tls=authority.good(), client_ca=authority.trust.read_bytes()) as strict:
        assert (await look(strict.port, **trusted, client_certificate=mine, client_key=key)).status is Status.HEALTHY
        none = await look(strict.port, **trusted)
        assert none.kind is FailureKind.CONNECT  # it hangs up without a word
        assert none.message.endswith("; client_certificate?")
        wrong = await look(strict.port, **trusted, client_certificate=foreign, client_key=foreign_key)
        assert wrong.kind is FailureKind.CONNECT


async def test_plain_server_where_tls_is_spoken(server: Server) -> None:
    result = await look(server.port, security="tls")
    assert result.kind in (FailureKind.TLS, FailureKind.CONNECT), result
    assert "; security: none" in result.message


def _answer(data: bytes) -> streams.Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(data)
        await writer.drain()
        await reader.read()

    return handle


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", UNEXPECTED, "does not speak HTTP/2, as gRPC does"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", UNEXPECTED, "does not speak HTTP/2, as gRPC does"),
        (b"\x15\x03\x01\x00\x02\x02\x46", UNEXPECTED, "speaks TLS; security: tls?"),
    ],
)
async def test_other_protocols(said: bytes, kind: FailureKind, message: str) -> None:
    async with streams.listening(_answer(said)) as port:
        result = await look(port)
    assert (result.status, result.kind) == (Status.UNHEALTHY, kind)
    assert result.message.partition(" ")[2] == message


async def test_a_flood_is_left() -> None:
    """An answer without end does not fill the memory."""
    settings, headers = b"\0\0\0\4\0\0\0\0\0", b"\0\0\1\1\4\0\0\0\1\x88"  # :status 200
    frame = b"\0\x40\0\0\0\0\0\0\1" + b"\0\x7f\xff\xff\xff" + b"x" * (0x4000 - 5)

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(settings + headers)
        while True:
            writer.write(frame)
            await writer.drain()

    async with streams.listening(flood) as port:
        result = await look(port)
    assert (result.status, result.kind) == (Status.UNHEALTHY, UNEXPECTED), result


async def test_nobody_and_silence() -> None:
    nobody = await look(ports.free_port())
    assert nobody.kind is FailureKind.CONNECT
    with tcp.silent() as listener:
        async with watched("grpc", host="localhost", port=listener.port, security="none", timeout="2s") as check:
            assert (await check.gives_up()).message.endswith("did not answer within 1.9 s")
    with tcp.unconnectable() as listener:
        async with watched("grpc", host=listener.host, port=listener.port, timeout="2s") as check:
            assert (await check.gives_up()).message.endswith("accepted no connection within 1.9 s")


@pytest.mark.parametrize(
    ("headers", "trailers", "message", "kind", "said"),
    [
        ("200", {"grpc-status": "0"}, b"\x10\x07\x08\x01", None, ""),
        ("200", {"grpc-status": "0"}, b"\x08\x09", UNEXPECTED, "says of itself: 9"),
        ("200", {"grpc-status": "0"}, b"", UNEXPECTED, "says of itself: UNKNOWN"),
        ("200", {"grpc-status": "0"}, b"\x08", UNEXPECTED, "answers with what is no message of grpc.health.v1"),
        ("200", {"grpc-status": "0"}, b"\x0f\x01", UNEXPECTED, "answers with what is no message of grpc.health.v1"),
        ("200", {"grpc-status": "14", "grpc-message": "no%20upstream"}, None, UNEXPECTED, "UNAVAILABLE: no upstream"),
        ("200", {"grpc-status": "16"}, None, FailureKind.AUTH, "answers UNAUTHENTICATED"),
        ("200", {"grpc-status": "7"}, None, FailureKind.PERMISSION, "answers PERMISSION_DENIED"),
        ("200", {"grpc-status": "99"}, None, UNEXPECTED, "answers 99"),
        ("200", {"content-type": "text/html"}, None, UNEXPECTED, "answers with HTTP 200, and not by gRPC"),
        ("503", {}, None, UNEXPECTED, "answers with HTTP 503, and not by gRPC"),
        ("403", {}, None, FailureKind.PERMISSION, "answers with HTTP 403, and not by gRPC"),
    ],
)
async def test_what_stands_in_between(
    headers: str, trailers: dict[str, str], message: bytes | None, kind: FailureKind | None, said: str
) -> None:
    """Proxies answer in ways of their own, and what is no message of the protocol is never green."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http2 = H2Connection(H2Configuration(client_side=False))
        http2.initiate_connection()
        writer.write(http2.data_to_send())
        while data := await reader.read(4096):
            for event in http2.receive_data(data):
                if isinstance(event, StreamEnded):
                    http2.send_headers(1, [(":status", headers)])
                    if message is not None:
                        http2.send_data(1, bytes(1) + len(message).to_bytes(4) + message)
                    http2.send_headers(1, [("x-more", "1"), *trailers.items()], end_stream=True)
            writer.write(http2.data_to_send())

    async with streams.listening(answer) as port:
        result = await look(port)
    assert (result.status, result.kind) == (Status.UNHEALTHY if kind else Status.HEALTHY, kind), result
    assert said in result.message


@pytest.mark.parametrize(
    ("status", "trailers", "then_reset", "kind", "said"),
    [
        ("200", {"grpc-status": "0"}, True, None, ""),
        ("200", None, False, UNEXPECTED, "answers with HTTP 200, and not by gRPC"),
        ("abc", {"grpc-status": "0"}, False, UNEXPECTED, "breaks the rules of HTTP/2"),
    ],
)
async def test_how_an_answer_ends(
    status: str, trailers: dict[str, str] | None, then_reset: bool, kind: FailureKind | None, said: str
) -> None:
    """A stream that is given up after its end has its answer; one without trailers, or a status, has none."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http2 = H2Connection(H2Configuration(client_side=False, validate_outbound_headers=False))
        http2.initiate_connection()
        said = http2.data_to_send()
        while data := await reader.read(4096):
            for event in http2.receive_data(data):
                if isinstance(event, StreamEnded):
                    http2.send_headers(1, [(":status", status)])
                    http2.send_data(1, b"\0\0\0\0\2\x08\x01", end_stream=trailers is None)
                    if trailers is not None:
                        http2.send_headers(1, list(trailers.items()), end_stream=True)
            said += http2.data_to_send()
            if then_reset and b"\x08\x01" in said:
                said += b"\0\0\4\3\0\0\0\0\1\0\0\0\0"  # RST_STREAM, NO_ERROR (RFC 9113, 8.1)
            writer.write(said)
            said = b""

    async with streams.listening(answer) as port:
        result = await look(port)
    assert (result.status, result.kind) == (Status.UNHEALTHY if kind else Status.HEALTHY, kind), result
    assert said in result.message


async def test_no_text_with_metadata() -> None:
    """A server may repeat what it was sent."""
    async with watched(
        "grpc", host="localhost", port=1, security="none", metadata={"authorization": "Bearer geheim"}
    ) as check:
        assert isinstance(check.check, GRPC)
        reply = Reply(200, {"grpc-status": "16", "grpc-message": "Bearer%20geheim is not it"})
        assert check.check._refusal(reply) == (FailureKind.AUTH, "answers UNAUTHENTICATED")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"host": "shop:50051"}, "the port goes into port"),
        ({"security": "none", "ca_file": "/ca.crt", "client_certificate": "/c.crt"}, "no use for ca_file, client_cert"),
        ({"client_key": "/c.key"}, "client_key needs the client_certificate"),
        ({"metadata": {"Authorization": "x"}}, "String should match pattern"),
        ({"metadata": {"grpc-timeout": "x"}}, "gRPC's own"),
        ({"metadata": {"token": "two\nlines"}}, "ASCII on one line"),
    ],
)
def test_refused_options(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        GRPCConfig.model_validate({"host": "shop", "port": 50051, **options})
