"""Connections that cost a descriptor and ask nothing, and bytes that are no request."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import structlog
from aiohttp import web

from healthd.web import connections as web_connections
from healthd.web import server
from healthd.web.connections import Connections, accept
from healthd.web.refusals import Refusals
from tests.servers.ports import free_port
from tests.servers.waiting import HANGS, until

HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
Peer = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Stand:
    """A server with a few places, and a head that may take 0.2 s."""

    def __init__(self) -> None:
        self.refused: Counter[str] = Counter()
        self.release = asyncio.Event()
        self.port = 0

    @asynccontextmanager
    async def serving(self, at_most: int) -> AsyncIterator["Stand"]:
        async def health(_request: web.Request) -> web.Response:
            return web.Response(text="fine")

        async def slow(_request: web.Request) -> web.Response:
            await self.release.wait()
            return web.Response(text="at last")

        async def broken(_request: web.Request) -> web.Response:
            raise RuntimeError("a fault of ours")

        async def upload(request: web.Request) -> web.Response:
            await asyncio.sleep(0.1)
            return web.Response(text=str(len(await request.read())))

        app = web.Application()
        app.add_routes([web.get("/health", health), web.get("/slow", slow), web.get("/broken", broken)])
        app.add_routes([web.post("/upload", upload)])
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        assert runner.server is not None
        refusals = Refusals(lambda reason: self.refused.update([reason]))
        connections = Connections(runner.server, refusals, at_most, head_seconds=0.2)
        listening = await accept(connections, "127.0.0.1", free_port())
        self.port = listening.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            listening.close()
            await runner.cleanup()
            connections.close()

    async def connect(self, first: bytes = b"") -> Peer:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(first)
        return reader, writer

    async def ask(self, request: bytes = HEALTH) -> bytes:
        """The first line of the answer; empty where the connection is closed without one."""
        reader, writer = await self.connect(request)
        try:
            return await asyncio.wait_for(reader.readline(), HANGS)
        except ConnectionError:
            return b""
        finally:
            writer.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_connections, "_SWEEP", 0.05)


async def ended(peers: list[Peer], at_least: int) -> int:
    """How many of the connections the server has closed, once it has closed so many."""

    async def end(reader: asyncio.StreamReader) -> None:
        with suppress(ConnectionError):
            await reader.read()

    ends = [asyncio.create_task(end(reader)) for reader, _ in peers]
    await until(lambda: sum(each.done() for each in ends) >= at_least, "connections are closed")
    count = sum(each.done() for each in ends)
    for each in ends:
        each.cancel()
    return count


async def test_idle_connections_make_room() -> None:
    """Each has asked once and stays: health goes on being answered, and one line tells of them all."""
    with structlog.testing.capture_logs() as told:
        async with Stand().serving(at_most=8) as stand:
            idle = [await stand.connect(HEALTH) for _ in range(40)]
            assert [await stand.ask() for _ in range(20)] == [b"HTTP/1.1 200 OK\r\n"] * 20
            assert await ended(idle, 32) >= 32
            assert stand.refused["crowded"] >= 32
    assert [(line["event"], line["log_level"]) for line in told] == [
        ("idle connections were closed: there are too many", "warning")
    ]


async def test_who_is_being_answered_stays() -> None:
    """However many idle ones come, and however long it takes."""
    async with Stand().serving(at_most=3) as stand:
        asked = await stand.connect(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(0.05)
        idle = [await stand.connect(HEALTH) for _ in range(10)]
        assert await ended(idle, 8) >= 8
        stand.release.set()
        assert await asyncio.wait_for(asked[0].readline(), HANGS) == b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("start", [b"GET /health HTTP/1.1\r\nHost: x\r\nX-a: ", b"G", b"\x16\x03\x01"])
async def test_half_a_request_ends(start: bytes) -> None:
    """Trickled or not at all: a head has its seconds, whatever the caller goes on sending."""
    async with Stand().serving(at_most=100) as stand:
        half = [await stand.connect(start) for _ in range(5)]

        async def trickle() -> None:
            while True:
                await asyncio.sleep(0.05)
                for _, writer in half:
                    writer.write(b"a")

        trickling = asyncio.create_task(trickle())
        assert await ended(half, 5) == 5
        trickling.cancel()
        assert await stand.ask() == b"HTTP/1.1 200 OK\r\n"


async def test_a_second_request_has_its_seconds_too() -> None:
    """On a connection that is kept; and one that is only kept is not cut off by them."""
    async with Stand().serving(at_most=100) as stand:
        kept, half = await stand.connect(HEALTH), await stand.connect(HEALTH + b"GET /he")
        await asyncio.sleep(0.1)
        half[1].write(b"a")
        await asyncio.sleep(0.5)
        assert await ended([kept, half], 1) == 1
        assert stand.refused["slow_head"] == 1


async def test_a_head_has_an_end() -> None:
    """A hundred long lines would be kept in memory, for every connection."""
    async with Stand().serving(at_most=100) as stand:
        lines = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 7000) for number in range(10))
        assert b" 431 " in await stand.ask(b"GET /health HTTP/1.1\r\nHost: x\r\n" + lines)
        assert stand.refused["long_head"] == 1


@pytest.mark.parametrize(
    ("request_", "status", "said"),
    [
        (b"GET /health?" + b"a" * 30_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 200, b"fine"),
        (b"GET /health HTTP/1.1\r\nHost: x\r\nCookie: " + b"a" * 30_000 + b"\r\n\r\n", 200, b"fine"),
        (b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 120 + b"\r\n", 200, b"fine"),
        (b"GET /health?" + b"a" * 33_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, b"may have 32 KiB, and its address"),
        (b"GET /health HTTP/1.1\r\nHost: x\r\nCookie: " + b"a" * 33_000 + b"\r\n\r\n", 431, b"may have 32 KiB"),
        (
            b"GET /health?" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\nCookie: " + b"a" * 20_000 + b"\r\n\r\n",
            431,
            b"with all headers, may have 32 KiB",
        ),
        (b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431, b"may have 128 headers"),
        (b"GET /health HTTP/1.1\r\n\r\n", 400, b"no request of HTTP/1.1"),
    ],
    ids=[
        "30k target",
        "30k header",
        "120 headers",
        "33k target",
        "33k header",
        "40k together",
        "200 headers",
        "no Host",
    ],
)
@pytest.mark.parametrize("piece", [100_000, 5_000], ids=["at once", "in pieces"])
async def test_the_limit_of_a_head_is_the_promised_one(request_: bytes, status: int, said: bytes, piece: int) -> None:
    """And told: cookies of a company's proxies make long heads."""
    async with Stand().serving(at_most=100) as stand:
        reader, writer = await stand.connect()
        for start in range(0, len(request_), piece):
            writer.write(request_[start : start + piece])
            await asyncio.sleep(0)
        async with asyncio.timeout(HANGS):
            assert b" %d " % status in await reader.readline()
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length")
            )
            assert said in await reader.readexactly(length)
        assert stand.refused["long_head"] == (status in (414, 431))
        writer.close()


async def test_a_body_is_no_head() -> None:
    """Nor is the request after it."""
    async with Stand().serving(at_most=100) as stand:
        body = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n" + b"x" * 500_000
        reader, _ = await stand.connect(body + HEALTH)
        assert b"200 OK" in await reader.readuntil(b"500000")
        assert b"fine" in await reader.readuntil(b"fine")


async def test_a_body_that_nobody_wants() -> None:
    """It is thrown away for some seconds, so that its sender gets to read why."""
    async with Stand().serving(at_most=100) as stand:
        reader, writer = await stand.connect(b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n")
        assert b"200 OK" in await reader.readline()
        for _ in range(10):
            writer.write(b"x" * 50_000)
            await asyncio.sleep(0.05)
        writer.write(HEALTH)
        assert b"200 OK" in await reader.readuntil(b"200 OK")
        assert not stand.refused


SLOW = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("requests", "answers"),
    [
        (HEALTH, 1),
        (b"GET /health HTTP/1.0\r\n\r\n", 1),
        (HEALTH * 30, 30),  # more than aiohttp takes in at once
        (SLOW + HEALTH, 2),
        (b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 1),
        (HEALTH + b"GET /hea", 1),
        (b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel", 0),
        (b"GET /hea", 0),
        (b"", 0),
    ],
)
@pytest.mark.parametrize("later", [False, True])
async def test_a_caller_that_ends_its_side_is_answered(requests: bytes, answers: int, later: bool) -> None:
    """As `nc -N` does, at once or after a while: every whole request has its answer, then the connection is closed."""
    async with Stand().serving(at_most=100) as stand:
        for _ in range(5):
            reader, writer = await stand.connect(requests)
            if later:
                await asyncio.sleep(0.05)
            writer.write_eof()
            asyncio.get_running_loop().call_later(0.1, stand.release.set)
            whole = await asyncio.wait_for(reader.read(), HANGS)
            assert whole.count(b" 200 OK\r\n") == answers
            writer.close()
            stand.release.clear()


async def test_a_caller_that_has_gone_holds_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the server that looks like one that has ended its side: an answer that takes long is not waited for."""
    monkeypatch.setattr(web_connections, "_AFTER_END", 0.1)
    async with Stand().serving(at_most=100) as stand:
        reader, writer = await stand.connect(SLOW)
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), HANGS) == b""
        stand.release.set()
        assert await stand.ask() == b"HTTP/1.1 200 OK\r\n"


async def test_what_was_asked_before_the_stop_is_answered() -> None:
    """A probe that comes as the daemon ends is told how things stand, rather than nothing."""

    async def health(_request: web.Request) -> web.Response:
        return web.Response(text="fine")

    app = web.Application()
    app.add_routes([web.get("/health", health)])
    serving = await server.listen(app, "127.0.0.1:0", Refusals())
    reader, writer = await asyncio.open_connection("127.0.0.1", serving.port)
    await asyncio.sleep(0.05)
    writer.write(HEALTH)
    await serving.close()
    assert b" 200 OK" in await asyncio.wait_for(reader.read(), HANGS)
    writer.close()


WORST = [
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /" + b"a-" * 15_000 + b" HTTP/9.9\r\nHost: x\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"a-" * 15_000 + b"\x01\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: x\r\nX: password=" + b"password=" * 3_400 + b"\x01\r\n\r\n",
    b"POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"a-" * 15_000 + b"\r\n",
    b"GET /health HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x00" * 500 + b"\r\n\r\n",
    b"\xff\xfe\r\n\r\n",
    b"a-" * 15_000 + b"\r\n\r\n",
]


@pytest.mark.parametrize("request_", WORST, ids=lambda request: repr(request[:40]))
async def test_what_is_no_request_is_400_and_nothing_else(request_: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """No trace, no event, next to no time: counted."""
    async with Stand().serving(at_most=100) as stand:
        began = time.thread_time()
        answers = [await stand.ask(request_) for _ in range(5)]
        spent = (time.thread_time() - began) / 5
        assert {answer.split(b" ")[1] for answer in answers} == {b"400"}
        assert spent < 0.05
        assert stand.refused["not_http"] == 5
    assert not [record for record in caplog.records if record.levelno >= logging.INFO]


async def test_a_fault_of_the_daemon_is_told_once() -> None:
    """With its trace; the callers get a problem document."""
    with structlog.testing.capture_logs() as told:
        async with Stand().serving(at_most=100) as stand:
            for _ in range(5):
                reader, _ = await stand.connect(b"GET /broken HTTP/1.1\r\nHost: x\r\n\r\n")
                answer = await reader.read()
                assert b"HTTP/1.1 500 " in answer
                assert b"application/problem+json" in answer
                assert b"a fault of ours" not in answer
    (line,) = told
    assert (line["log_level"], line["request"]) == ("error", "GET /broken")
    assert isinstance(line["exc_info"], RuntimeError)
