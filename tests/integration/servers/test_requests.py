"""Whose fault a closed connection is: the server's where it was new, nobody's where it was kept."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import aiohttp
import pytest

from tests.servers.ports import HOST
from tests.servers.requests import Load, session

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_KEPT = 3


class Closing:
    """A server that is about to go: it answers the first request of a connection, and closes at the second."""

    url = ""
    answers = True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if self.answers:
            await asyncio.sleep(0.1)  # so that the others come with connections of their own
            writer.write(_ANSWER)
            await reader.readuntil(b"\r\n\r\n")
        writer.close()


@asynccontextmanager
async def closing() -> AsyncIterator[Closing]:
    server = Closing()
    async with await asyncio.start_server(server.serve, HOST, 0) as listening:
        server.url = f"http://{HOST}:{listening.sockets[0].getsockname()[1]}/"
        yield server


async def test_a_kept_connection_that_is_closed_loses_no_request() -> None:
    """However many of them there are; a client that gives up after one repetition loses it."""
    async with closing() as server, session() as client:
        load = Load(server.url)
        await asyncio.gather(*(load.send_one(client) for _ in range(_KEPT)))
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await client.get(server.url, trace_request_ctx=SimpleNamespace())
        await asyncio.gather(*(load.send_one(client) for _ in range(_KEPT)))
        await load.send_one(client)
    assert load.seen == [("ok", 200)] * (2 * _KEPT + 1)


async def test_a_new_connection_that_is_closed_loses_its_request() -> None:
    """It is the server that did not answer."""
    async with closing() as server, session() as client:
        server.answers = False
        load = Load(server.url)
        await load.send_one(client)
    assert load.seen == [("ServerDisconnectedError", 0)]
