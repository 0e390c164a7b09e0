"""The tcp check against listeners, refusals and silence."""

import asyncio

import pytest

from healthd.model import FailureKind, Status
from tests.integration.healthd.checks.probing import watched
from tests.servers import ports, streams, tcp


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says hello in two pieces, then repeats the first line it is sent."""
    writer.write(b"220 mail.exam")
    await writer.drain()
    await asyncio.sleep(0.02)
    writer.write(b"ple ready\r\n")
    writer.write(await reader.readline())
    await reader.read()


async def test_open_port_is_healthy() -> None:
    """A connection is all that is asked for, and it is gone afterwards."""
    with tcp.silent() as listener:
        async with watched("tcp", host=listener.host, port=listener.port) as check:
            result = await check.finds(Status.HEALTHY)
            assert result.latency is not None
            assert 0 < result.latency < 1


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"expect": "mail.example ready"}, Status.HEALTHY),
        ({"send": "PING\r\n", "expect": "PING"}, Status.HEALTHY),
        ({"expect": "SSH-2.0", "timeout": "2s"}, Status.UNHEALTHY),
    ],
)
async def test_banner(options: dict[str, str], status: Status) -> None:
    """The expected text may come in pieces, and after something was sent."""
    async with streams.listening(greet) as port, watched("tcp", host="localhost", port=port, **options) as check:
        if status is Status.HEALTHY:
            await check.finds(status)
        else:
            result = await check.finds(status, FailureKind.TIMEOUT)
            assert "accepts connections but did not say" in result.message


async def test_other_banner_is_unexpected() -> None:
    """A peer that says something else and ends is no timeout."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"421 too busy\r\n")

    async with streams.listening(refuse) as port, watched("tcp", host="localhost", port=port, expect="220") as check:
        await check.finds(Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)


async def test_closed_port_is_refused() -> None:
    """Nobody listens."""
    async with watched("tcp", host="localhost", port=ports.free_port()) as check:
        result = await check.finds(Status.UNHEALTHY, FailureKind.CONNECT)
        assert "refused" in result.message


async def test_silence_is_a_timeout_within_the_deadline() -> None:
    """A connection that hangs is given up by the check itself, which can say what it waited for."""
    with tcp.unconnectable() as listener:
        async with watched("tcp", host=listener.host, port=listener.port, timeout="1s") as check:
            assert "no connection to" in (await check.gives_up()).message


async def test_no_route_is_unreachable() -> None:
    """What the kernel has no way to is told apart from a host that refuses."""
    async with watched("tcp", host="255.255.255.255", port=80) as check:
        result = await check.finds(Status.UNHEALTHY, FailureKind.CONNECT)
        assert "unreachable" in result.message


async def test_unknown_name_is_dns() -> None:
    """The reserved name that never exists."""
    async with watched("tcp", host="nowhere.invalid", port=80, timeout="5s") as check:
        await check.finds(Status.UNHEALTHY, FailureKind.DNS)
