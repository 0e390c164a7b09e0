"""Reads the bodies of requests, with limits on the bytes in memory, on the time, and on the unpacked size."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import hdrs, web

from healthd.web.problems import Problem

LARGEST_BODY = 64 * 1024
_BODY: web.RequestKey[bytes] = web.RequestKey("body", bytes)
_LEAST = 64 * 1024  # bytes that every body counts for, so that the number of small bodies is bounded
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # of zlib: with gzip's header, with its own


class Bodies:
    """The bodies that are being read for one kind of caller. Callers that are not authenticated yet must not use up the
    place, or the memory, of those that are: each kind has its own.
    """

    def __init__(self, *, at_once: int, seconds: float) -> None:
        """Allow `at_once` bytes in all bodies together; each body has `seconds`."""
        self._left, self._seconds = at_once, seconds

    async def read(self, request: web.Request, largest: int = LARGEST_BODY) -> bytes:
        """Return the body, unpacked; it is kept with the request until `taken` from it. Raises Problem 400, 408, 413,
        415, 503."""
        if (known := body_of(request)) is not None:
            return known
        encoding = request.headers.get(hdrs.CONTENT_ENCODING, "identity").strip().lower()
        if encoding not in ("", "identity", *_WINDOW_BITS):
            raise Problem(415, "Unknown encoding", "send the body as it is, or as gzip", {"Accept-Encoding": "gzip"})
        said = request.content_length
        if said is not None and said > largest:
            raise _too_large(largest)
        with self._place_for(said if said is not None and encoding in ("", "identity") else largest):
            try:
                async with asyncio.timeout(self._seconds):
                    raw = await _received(request, largest)
            except TimeoutError:
                raise Problem(408, "Too slow", f"the body did not arrive within {self._seconds:g} s") from None
            except web.RequestPayloadError:
                raise Problem(400, "Not HTTP", "the body is not encoded as its headers say") from None
            request[_BODY] = body = _unpacked(raw, encoding, largest)
        return body

    @contextmanager
    def _place_for(self, size: int) -> Iterator[None]:
        size = max(size, _LEAST)
        if size > self._left:
            raise Problem(503, "Too many bodies", "others are being read: send it again", {"Retry-After": "1"})
        self._left -= size
        try:
            yield
        finally:
            self._left += size


def taken(request: web.Request) -> bytes:
    """Return the body that was read and remove it from the request: a caller may wait for hours."""
    body = body_of(request) or b""
    request.pop(_BODY, None)
    return body


def body_of(request: web.Request) -> bytes | None:
    """Return the body, if it was read: some tools authenticate by it."""
    body: bytes | None = request.get(_BODY)
    return body


async def _received(request: web.Request, largest: int) -> bytes:
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > largest:
            raise _too_large(largest)
    return bytes(body)


def _unpacked(raw: bytes, encoding: str, largest: int) -> bytes:
    """Unpack a body, no further than the limit: it could be a thousand times as large."""
    if encoding in ("", "identity") or not raw:
        return raw
    unpacking = zlib.decompressobj(_WINDOW_BITS[encoding])
    try:
        body = unpacking.decompress(raw, largest + 1)
    except zlib.error:
        raise Problem(400, "Not unpackable", f"the body is not {encoding}") from None
    if len(body) > largest:
        raise _too_large(largest)
    if not unpacking.eof or unpacking.unused_data:
        raise Problem(400, "Not unpackable", f"the body is not one whole piece of {encoding}")
    return body


def _too_large(largest: int) -> Problem:
    return Problem(413, "Too large", f"send {largest} bytes at most")
