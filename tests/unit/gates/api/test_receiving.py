"""How much of a body is taken: so much at once, in time, and no more of what is packed than of what is not."""

import asyncio
import gzip
import json
import time
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from healthd.web.auth import hash_token
from healthd.web.parsing import read_body
from healthd.web.problems import Problem, answering_problems
from healthd_gates.api.bodies import Bodies, taken
from healthd_gates.api.requests import ReasonBody, VerifyBody
from healthd_gates.domain.request import PushedEvidence
from tests.servers.waiting import until

LARGEST = 100_000
PLAIN = b'{"reason": "x"}'


@asynccontextmanager
async def receiving(seconds: float) -> AsyncIterator[tuple[str, Bodies]]:
    """A server that takes two bodies of the largest size at once, each within so many seconds."""
    bodies = Bodies(at_once=2 * LARGEST, seconds=seconds)

    async def size(request: web.Request) -> web.Response:
        await bodies.read(request, LARGEST)
        return web.Response(text=str(len(taken(request))))

    app = web.Application()
    app.add_routes([web.post("/", answering_problems(size))])
    server = TestServer(app)
    await server.start_server(auto_decompress=False, lingering_time=0)
    yield str(server.make_url("/")), bodies
    await server.close()


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """One that waits for half a second."""
    async with receiving(0.5) as (url, _):
        yield url


async def post(url: str, body: object, **headers: str) -> tuple[int, str]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=body, headers=named, skip_auto_headers=["Content-Encoding"]) as response,
    ):
        return response.status, await response.text()


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        ("gzip", gzip.compress(PLAIN, mtime=0), 200),
        ("GZIP", gzip.compress(PLAIN, mtime=0), 200),
        ("deflate", zlib.compress(PLAIN), 200),
        ("identity", PLAIN, 200),
        ("gzip", PLAIN, 400),
        ("gzip", gzip.compress(PLAIN, mtime=0)[:-4], 400),
        ("gzip", gzip.compress(PLAIN, mtime=0) * 2, 400),
        ("gzip", gzip.compress(b"x" * LARGEST, mtime=0), 200),
        ("gzip", gzip.compress(b"x" * (LARGEST + 1), mtime=0), 413),
        ("gzip", gzip.compress(b"x" * 50_000_000, mtime=0), 413),
        ("br", PLAIN, 415),
        ("zstd", PLAIN, 415),
        ("gzip, gzip", PLAIN, 415),
        ("identity", b"x" * (LARGEST + 1), 413),
    ],
    ids=range(14),
)
async def test_packed_bodies(url: str, encoding: str, body: bytes, status: int) -> None:
    """What cannot be unpacked is the caller's error; what would be too much is not unpacked."""
    began = time.process_time()
    answered, text = await post(url, body, Content_Encoding=encoding)
    assert answered == status
    assert status != 200 or int(text) in (len(PLAIN), LARGEST)
    assert time.process_time() - began < 1


async def test_only_so_much_at_once() -> None:
    """Whoever comes beyond that is asked to come again; what never arrives makes room when its time is over."""
    never = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"x"
        await never.wait()

    async with receiving(2.0) as (url, bodies):
        stalled = [asyncio.create_task(post(url, slow())) for _ in range(2)]
        await until(lambda: bodies._left == 0, "both have begun")
        assert (await post(url, PLAIN))[0] == 503
        assert [status for status, _ in await asyncio.gather(*stalled)] == [408, 408]
        never.set()
        assert (await post(url, PLAIN))[0] == 200


async def test_a_body_that_is_not_as_it_says(url: str) -> None:
    """Broken chunks are 400."""
    host = URL(url)
    reader, writer = await asyncio.open_connection(host.host, host.port)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n")
    assert b" 400 " in await reader.readline()
    writer.close()


def keys(size: int, last: str = "") -> bytes:
    """An object of as many short keys as fit, the last one perhaps a repetition."""
    found, length, number = [], 2, 0
    while length < size - 16:
        found.append(f'"{number:x}":0')
        length += len(found[-1]) + 1
        number += 1
    return ("{" + ",".join([*found, *([last] if last else [])]) + "}").encode()


WORST: dict[str, Callable[[int], bytes]] = {
    "unknown keys": keys,
    "one double key": lambda size: keys(size, '"0":0'),
    "many double keys": lambda size: b"{" + b",".join([b'"a":0'] * (size // 6)) + b"}",
    "objects": lambda size: b'{"reason":[' + b",".join([b"{}"] * (size // 3)) + b"]}",
    "wrong values": lambda size: b'{"override":{"of":[' + b",".join([b'""'] * (size // 3)) + b"]}}",
    "wrong labels": lambda size: b'{"candidate":{"version":"1","labels":' + keys(size) + b"}}",
    "wrong counts": lambda size: b'{"id":"1","candidate":{"latency":{"edges":[' + b"-1," * (size // 3) + b"0]}}}",
    "a long number": lambda size: b'{"reason":' + b"9" * size + b"}",
    "a long version": lambda size: b'{"candidate":{"version":"' + b"a." * (size // 2) + b'"}}',
    "a long text": lambda size: b'{"reason":"' + b"\\\\u00e9" * (size // 7) + b'"}',
    "deep": lambda size: b"[" * size,
    "deep objects": lambda size: b'{"a":' * (size // 5),
}


@pytest.mark.parametrize("size", [1024, 8192, 64 * 1024])
@pytest.mark.parametrize("worst", WORST)
def test_the_worst_body_costs_little(worst: str, size: int) -> None:
    """Linear in its length, and the answer names a few of its faults: what was quadratic took seconds."""
    body = WORST[worst](size)
    for model in (VerifyBody, PushedEvidence, ReasonBody):
        costs = []
        for _ in range(3):
            began = time.thread_time()
            with pytest.raises(Problem) as refused:
                read_body(body, model)
            answer = json.dumps(refused.value.extra) + refused.value.detail
            costs.append(time.thread_time() - began)
        assert min(costs) < 0.02 + size * 2e-6
        assert len(answer) < 4096


def test_many_faults_are_counted() -> None:
    """The first ten by name."""
    with pytest.raises(Problem) as refused:
        read_body(keys(8192), ReasonBody)
    assert len(refused.value.extra["errors"]) == 10
    assert "more" in refused.value.detail


@pytest.mark.parametrize("token", ["\ud800", "é", "\0", ""])
def test_any_text_may_be_presented_as_a_token(token: str) -> None:
    """It is no token, and no fault of the daemon's either."""
    assert hash_token(token).startswith("sha256:")
