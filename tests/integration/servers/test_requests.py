"""Whose fault a closed connection is: the server's where it was new, nobody's where it was kept."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.servers.ports import HOST, free_port
from tests.servers.requests import Client, Load, connections

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_KEPT = 3


class Closing:
    """A server that is about to go: it answers the first request of a connection, and closes at the second."""

    url = ""
    answers = True
    met = 0
    """Connections."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.met += 1
        await reader.readuntil(b"\r\n\r\n")
        if self.answers:
            await asyncio.sleep(0.1)  # so that the others come with connections of their own
            writer.write(_ANSWER)
            await reader.readuntil(b"\r\n\r\n")
        writer.close()


@asynccontextmanager
async def closing() -> AsyncIterator[Closing]:
    server = Closing()
    async with await asyncio.start_server(server.serve, HOST, free_port()) as listening:
        server.url = f"http://{HOST}:{listening.sockets[0].getsockname()[1]}/"
        yield server


async def test_a_kept_connection_that_is_closed_loses_no_request() -> None:
    """However many of them there are."""
    async with closing() as server:
        with connections() as client:
            load = Load(server.url)
            await asyncio.gather(*(load.send_one(client) for _ in range(_KEPT)))
            await load.send_one(client)  # meets them all
            await asyncio.gather(*(load.send_one(client) for _ in range(_KEPT)))
        assert server.met == 2 * _KEPT + 1
    assert load.seen == [("ok", 200)] * (2 * _KEPT + 1)


async def test_a_new_connection_that_is_closed_loses_its_request() -> None:
    """It is the server that did not answer."""
    async with closing() as server:
        server.answers = False
        load = Load(server.url)
        with connections() as client:
            await load.send_one(client)
    assert load.seen == [("UnansweredError", 0)]


async def test_a_server_that_is_not_there_loses_the_request() -> None:
    """Nobody listens."""
    async with closing() as server:
        load = Load(server.url)
    with connections() as client:
        await load.send_one(client)
    assert load.seen == [("ConnectionRefusedError", 0)]


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        ("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\ngone", ("gone", 503)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nti\r\nA\r\nme and aga\r\n0\r\n\r\n",
         ("time and aga", 200)),
        ("HTTP/1.0 200 OK\r\n\r\nuntil the end", ("until the end", 200)),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal", ("CutOffError", 0)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal", ("CutOffError", 0)),
        ("HTTP/1.1 200 OK\r\nContent-", ("CutOffError", 0)),
        ("HTTP/1.1\r\nContent-Length: 2\r\n\r\nok", ("MalformedError", 0)),
        ("HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok", ("MalformedError", 0)),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokXX0\r\n\r\n", ("MalformedError", 0)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("pieces", [1, 1000], ids=["whole", "in bytes"])
async def test_what_came_back(answer: str, seen: tuple[str, int], pieces: int) -> None:
    """The body and the status of a whole answer, however it comes; half of one is lost, also on a kept connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_ANSWER)
        await reader.readuntil(b"\r\n\r\n")
        size = max(1, len(answer) // pieces)
        for start in range(0, len(answer), size):
            writer.write(answer[start : start + size].encode())
            await asyncio.sleep(0)
        writer.close()

    async with await asyncio.start_server(serve, HOST, free_port()) as listening:
        load = Load(f"http://{HOST}:{listening.sockets[0].getsockname()[1]}/")
        with connections() as client:
            await load.send_one(client)
            await load.send_one(client)
    assert load.seen == [("ok", 200), seen]


async def test_a_load_that_breaks_off_is_no_good_end() -> None:
    """What is counted until then would look as if nothing had been lost."""

    class Broken(Load):
        async def send_one(self, client: Client) -> None:
            raise RuntimeError("a fault of the load itself")

    with pytest.raises(ExceptionGroup) as broken:
        async with Broken("").running():
            await asyncio.sleep(0.05)
    assert broken.group_contains(RuntimeError)
