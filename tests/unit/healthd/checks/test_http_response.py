"""What bytes of a stranger mean as an HTTP response: each case whole, and byte by byte."""

import asyncio
import gzip
import zlib

import pytest

from healthd.checks.http_response import (
    BrokenOffError,
    EncodingError,
    ExchangeError,
    HungUpError,
    NotHTTPError,
    OtherHTTPError,
    Response,
)

LOOP = asyncio.new_event_loop()  # never run
LOOP.close()
LIMIT = 2000
OK = b"HTTP/1.1 200 OK\r\n"
PACKED, SQUEEZED = gzip.compress(b"x" * 100), zlib.compress(b"ok" * 9)


def sized(body: bytes, *headers: bytes, status: bytes = OK) -> bytes:
    return b"".join(
        (status, *(header + b"\r\n" for header in headers), b"Content-Length: %d\r\n\r\n" % len(body), body)
    )


def chunked(*lines: bytes) -> bytes:
    return OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(line + b"\r\n" for line in lines)


TAKEN = {
    "with a length": (sized(b"ok"), 200, b"ok"),
    "line feeds alone": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 200, b"ok"),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
    "HTTP/1.0 to its end": (b"HTTP/1.0 200 OK\r\n\r\nto the end", 200, b"to the end"),
    "HTTP/1.1 to its end": (OK + b"\r\nto the end", 200, b"to the end"),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "304 with a length": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, b""),
    "100 before": (b"HTTP/1.1 100 Continue\r\n\r\n" + sized(b"ok"), 200, b"ok"),
    "103 before": (b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + sized(b"ok"), 200, b"ok"),
    "another protocol": (b"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nraw", 101, b""),
    "chunks": (chunked(b"2;a=b", b"ok", b"3", b"ay!", b"0", b""), 200, b"okay!"),
    "trailers": (chunked(b"2", b"ok", b"0", b"X-Sum: 1", b""), 200, b"ok"),
    "gzip": (sized(PACKED, b"Content-Encoding: GZIP"), 200, b"x" * 100),
    "gzip twice": (sized(2 * PACKED, b"Content-Encoding: x-gzip"), 200, b"x" * 200),
    "deflate": (sized(SQUEEZED, b"Content-Encoding: deflate"), 200, b"ok" * 9),
    "deflate without its frame": (sized(SQUEEZED[2:-4], b"Content-Encoding: deflate"), 200, b"ok" * 9),
    "an encoding of nothing": (sized(b"", b"Content-Encoding: br"), 200, b""),
    "odd bytes": (sized(b"ok", b"X-A: caf\xe9 \xff"), 200, b"ok"),
    "a long header": (sized(b"ok", b"X-A: " + 30_000 * b"a"), 200, b"ok"),
}
REFUSED = {
    "nothing": (b"", HungUpError),
    "half a head": (OK + b"X-A: b\r\n", HungUpError),
    "only interim": (b"HTTP/1.1 100 Continue\r\n\r\n", HungUpError),
    "interim for ever": (100 * b"HTTP/1.1 103 Early Hints\r\n\r\n", NotHTTPError),
    "half a body": (OK + b"Content-Length: 100\r\n\r\nhalf", BrokenOffError),
    "half a chunk": (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nok", BrokenOffError),
    "no last chunk": (chunked(b"2", b"ok"), BrokenOffError),
    "no chunk": (chunked(b"zz", b"ok"), NotHTTPError),
    "another protocol": (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", NotHTTPError),
    "TLS": (b"\x15\x03\x01\x00\x02\x02\x46", NotHTTPError),
    "HTTP/0.9": (b"<html>hi</html>", NotHTTPError),
    "length and chunks": (OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", NotHTTPError),
    "two lengths": (OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nokk", NotHTTPError),
    "a list of lengths": (OK + b"Content-Length: 2, 2\r\n\r\nok", NotHTTPError),
    "a signed length": (OK + b"Content-Length: +2\r\n\r\nok", NotHTTPError),
    "a length beyond measure": (OK + b"Content-Length: 99999999999999999999999\r\n\r\nok", NotHTTPError),
    "a NUL": (sized(b"ok", b"X-A: a\x00b"), NotHTTPError),
    "a name with a blank": (sized(b"ok", b"X A: a"), NotHTTPError),
    "a header without a colon": (sized(b"ok", b"XA"), NotHTTPError),
    "a header beyond measure": (OK + b"X-A: " + 70_000 * b"a", NotHTTPError),
    "too many headers": (OK + 300 * b"X: a\r\n", NotHTTPError),
    "a status in words": (b"HTTP/1.1 abc x\r\n\r\n", NotHTTPError),
    "bad gzip": (sized(b"half", b"Content-Encoding: gzip"), EncodingError),
    "half of gzip": (sized(PACKED[:-6], b"Content-Encoding: gzip"), EncodingError),
    "gzip and more": (sized(PACKED + b"abc", b"Content-Encoding: gzip"), EncodingError),
    "an encoding that was not asked for": (sized(b"half", b"Content-Encoding: zstd"), EncodingError),
}


def read(reply: bytes, step: int, method: str = "GET", limit: int = LIMIT) -> Response:
    """The response, fed in pieces and then ended as by a peer that closes."""
    response = Response(method, limit, LOOP)
    for at in range(0, len(reply), step):
        response.feed(reply[at : at + step])
        if response.is_over:
            return response
    response.feed(b"")
    return response


@pytest.mark.parametrize("step", [1 << 20, 1])
@pytest.mark.parametrize("name", TAKEN)
def test_taken(name: str, step: int) -> None:
    reply, status, body = TAKEN[name]
    response = read(reply, step)
    assert (response.message.code, bytes(response.body), response.whole) == (status, body, True)


@pytest.mark.parametrize("step", [1 << 20, 1])
@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, step: int) -> None:
    reply, error = REFUSED[name]
    with pytest.raises(ExchangeError) as refusal:
        read(reply, step)
    assert type(refusal.value) is error


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (b"\0\0\x12\4\0\0\0\0\0" + 18 * b"\0", OtherHTTPError),
        (b"\0\0\x08\7\0\0\0\0\0" + 8 * b"\0", OtherHTTPError),
        (b"\0\0\x08\1\0\0\0\0\1", NotHTTPError),
    ],
    ids=["its settings", "its farewell", "other bytes"],
)
def test_http_2_is_told_as_such(frame: bytes, error: type[ExchangeError]) -> None:
    """By the first frame of a server that speaks nothing else."""
    with pytest.raises(NotHTTPError) as refusal:
        Response("GET", LIMIT, LOOP).feed(frame)
    assert type(refusal.value) is error


def test_no_body_after_head() -> None:
    """Whatever length and encoding the headers name."""
    assert read(OK + b"Content-Length: 100\r\nContent-Encoding: br\r\n\r\n", 1, "HEAD").body == b""


def test_a_body_ends_at_the_limit() -> None:
    """Before it is unpacked any further: a few bytes of gzip may be gigabytes."""
    bomb = sized(gzip.compress(bytes(5_000_000)), b"Content-Encoding: gzip")
    for reply in (sized(bytes(5000)), OK + b"\r\n" + bytes(5000), bomb):
        response = read(reply, 700)
        assert (len(response.body), response.whole) == (LIMIT, False)
    response = read(sized(bytes(LIMIT)), 700)
    assert (len(response.body), response.whole) == (LIMIT, True)


@pytest.mark.parametrize(
    ("reply", "keeps"),
    [
        (sized(b"ok"), True),
        (chunked(b"2", b"ok", b"0", b""), True),
        (sized(b"ok", b"Connection: close"), False),
        (sized(b"ok", status=b"HTTP/1.0 200 OK\r\n"), False),
        (OK + b"\r\nto the end", False),
        (sized(bytes(5000)), False),
        (sized(b"ok") + sized(b"smuggled"), False),
    ],
)
def test_what_may_carry_another_exchange(reply: bytes, keeps: bool) -> None:
    """Nothing is left over of this one, and the peer goes on as well."""
    assert read(reply, 1 << 20).keeps_alive is keeps
