"""The faulty TCP path fails in each of its ways, and recovers."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.servers import streams, tcp
from tests.servers.waiting import until


@pytest.fixture
async def proxy() -> AsyncIterator[tcp.Proxy]:
    """A proxy before a server that sends everything back."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()

    async with streams.listening(echo) as port, tcp.proxy(port) as proxy:
        yield proxy


async def _echo(port: int, data: bytes = b"hello", timeout: float = 2.0) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        return await asyncio.wait_for(reader.readexactly(len(data)), timeout)
    finally:
        writer.close()


async def test_passes_and_counts(proxy: tcp.Proxy) -> None:
    """Bytes pass unchanged, connections are counted and end."""
    assert await _echo(proxy.port, b"x" * 1_000_000) == b"x" * 1_000_000
    assert proxy.accepted == 1
    await until(lambda: proxy.connections == 0, "the connection has ended")


async def test_black_hole_is_silent_until_lifted(proxy: tcp.Proxy) -> None:
    """A black hole accepts and says nothing, and what it held passes afterwards."""
    proxy.black_hole()
    with pytest.raises(TimeoutError):
        await _echo(proxy.port, timeout=0.1)
    held = asyncio.create_task(_echo(proxy.port))
    await asyncio.sleep(0.02)
    await proxy.pass_through()
    assert await held == b"hello"


async def test_refuses_and_comes_back_on_its_port(proxy: tcp.Proxy) -> None:
    """Refusing resets what is open and closes the port; passing through opens the same port again."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    await until(lambda: proxy.connections == 1, "the connection is accepted")
    await proxy.refuse()
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await _echo(proxy.port)
    await proxy.pass_through()
    assert await _echo(proxy.port) == b"hello"


async def test_resets_in_mid_stream(proxy: tcp.Proxy) -> None:
    """The connection is reset once so many bytes came through."""
    proxy.reset_after(3)
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"hello")
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(5)
    writer.close()


async def test_delays_and_limits(proxy: tcp.Proxy) -> None:
    """A delay and a bandwidth both show in how long an answer takes."""
    proxy.delay(0.05)
    began = time.monotonic()
    assert await _echo(proxy.port) == b"hello"
    assert time.monotonic() - began >= 0.1
    await proxy.pass_through()
    proxy.limit(20_000)
    began = time.monotonic()
    await _echo(proxy.port, b"x" * 4_000)
    assert time.monotonic() - began >= 0.2


async def test_listeners_that_never_answer() -> None:
    """One accepts and stays silent, the other cannot even be connected to."""
    with tcp.silent() as listener, pytest.raises(TimeoutError):
        await _echo(listener.port, timeout=0.1)
    with tcp.unconnectable() as listener, pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.open_connection(listener.host, listener.port), 0.2)
