"""Failed HTTP calls in words: host and port, and none of the codes of aiohttp, the system and OpenSSL."""

import asyncio
import re
import ssl

import aiohttp
import pytest

from healthd.checks.unreachable import brief, brief_of_any
from tests.servers.ports import HOST, free_port

RAW = re.compile(r"ssl:|_ssl\.c|\[Errno|\[SSL|WRONG_VERSION|Connect call")


async def failed(url: str) -> str:
    async with aiohttp.ClientSession() as session:
        with pytest.raises((aiohttp.ClientError, OSError)) as caught:
            await session.get(url)
    said = brief(caught.value, url)
    assert not RAW.search(brief_of_any(caught.value))
    assert not RAW.search(said), said
    assert "secret" not in said
    return said


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_nobody_listens(scheme: str) -> None:
    port = free_port()
    assert await failed(f"{scheme}://{HOST}:{port}/secret") == f"{HOST}:{port} refused the connection"


async def test_an_answer_that_is_no_tls() -> None:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, HOST, free_port()) as server:
        port = server.sockets[0].getsockname()[1]
        assert await failed(f"https://{HOST}:{port}/secret") == f"{HOST}:{port} does not speak TLS"


async def test_an_address_that_is_none() -> None:
    assert await failed("http:///secret") == "its address is not one"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TimeoutError(), "no answer of h:80 in time"),
        (aiohttp.ServerDisconnectedError(), "h:80 closed the connection"),
        (ssl.SSLError(1, "[SSL: TLSV1_ALERT_INTERNAL_ERROR] (_ssl.c:1006)"), "TLS with h:80 failed: no handshake"),
        (aiohttp.ClientPayloadError("not enough data"), "ClientPayloadError: not enough data"),
    ],
    ids=["timeout", "hung up", "alert", "payload"],
)
def test_other_errors(error: Exception, said: str) -> None:
    assert brief(error, "http://h/secret") == said
