"""Parse the bytes of one HTTP/1 response to status, headers and decoded body.

The parser is aiohttp's own (llhttp, in C), as its client uses it: the framing of a message is not parsed here. The
difference is around it: no streams, no timers, no waiting.
"""

from __future__ import annotations

import asyncio
import zlib
from typing import Any, cast

from aiohttp.http import HttpProcessingError, HttpResponseParser, RawResponseMessage

_LONGEST_LINE = 64 * 1024  # bytes of one header: twice curl's limit of all headers
_MOST_INTERIM = 50  # responses such as 103, of which one or two are usual
_WINDOW = 15
_GZIP = _WINDOW + 16  # zlib's way to ask for the gzip format


class ExchangeError(Exception):
    """No response came, or none that can be read."""


class HungUpError(ExchangeError):
    """The peer closed before it sent a response."""


class BrokenOffError(ExchangeError):
    """The peer closed in the middle of the response."""


class NotHTTPError(ExchangeError):
    """The bytes are no HTTP/1 response."""


class OtherHTTPError(NotHTTPError):
    """The bytes are HTTP/2."""


class EncodingError(ExchangeError):
    """The body has a content encoding that was not asked for, or is not valid in the encoding that it names."""

    def __init__(self, asked_for: bool) -> None:
        self.asked_for = asked_for


class Response:
    """Response that is fed bytes until it `is_over`. `body` is decoded and has at most `limit` bytes; `whole` is false
    where it was longer."""

    def __init__(self, method: str, limit: int, loop: asyncio.AbstractEventLoop) -> None:
        self._parser = HttpResponseParser(
            cast(Any, _NO_PROTOCOL),
            loop,
            _LONGEST_LINE,
            max_line_size=_LONGEST_LINE,
            max_field_size=_LONGEST_LINE,
            response_with_body=method != "HEAD",
            read_until_eof=True,
            auto_decompress=False,
        )
        self._limit, self._interim = limit, 0
        self._payload: Any = None
        self._decoder: _Decoder | None = None
        self._message: RawResponseMessage | None = None
        self._is_alone = True
        self.body = bytearray()
        self.whole = True
        self.is_over = False

    @property
    def has_begun(self) -> bool:
        return self._message is not None

    @property
    def message(self) -> RawResponseMessage:
        """Status and headers."""
        assert self._message is not None
        return self._message

    @property
    def keeps_alive(self) -> bool:
        """True if the connection can carry another exchange, by the peer's headers and by the bytes left unread."""
        return self.whole and self._is_alone and not self.message.should_close

    def feed(self, data: bytes) -> None:
        """Parse received bytes; an empty value means that the peer has closed. Raises HungUpError, BrokenOffError,
        NotHTTPError and EncodingError."""
        if not data:
            self._end()
            return
        try:
            messages, upgraded, rest = self._parser.feed_data(data)
        except HttpProcessingError as error:
            raise (OtherHTTPError if self._message is None and is_http2(data) else NotHTTPError) from error
        for message, payload in messages:
            self._begin(message, payload)
        if upgraded or rest:
            self._is_alone = False
        if self._message is not None:
            self._take()

    def _begin(self, message: RawResponseMessage, payload: Any) -> None:
        if self._message is not None:
            self._is_alone = False  # unexpected bytes are ignored, and the connection is not used again
        elif 100 <= message.code < 200 and message.code != 101:
            self._interim += 1
            if self._interim > _MOST_INTERIM:
                raise NotHTTPError
        else:
            self._message, self._payload = message, payload

    def _take(self) -> None:
        """Move the parser's data into the body."""
        data = self._payload.read_nowait(-1)
        if data:
            if not self.body and self._decoder is None:
                self._decoder = _decoder(self.message.headers.get("Content-Encoding", "").strip().lower())
            self.body += self._decoder.decode(data, self._limit + 1 - len(self.body)) if self._decoder else data
        if len(self.body) > self._limit:
            del self.body[self._limit :]
            self.whole, self.is_over = False, True
        elif self._payload.is_eof():
            if self._decoder is not None:
                self._decoder.end()
            self.is_over = True

    def _end(self) -> None:
        if self._message is None:
            raise HungUpError
        try:
            self._parser.feed_eof()  # which marks the end of a body without a length
        except HttpProcessingError as error:
            raise BrokenOffError from error
        self._take()
        if not self.is_over:
            raise BrokenOffError


def is_http2(data: bytes) -> bool:
    """True if bytes begin as a server of HTTP/2 does: with a frame of settings, or one that ends the connection, of the
    stream 0 (RFC 9113, 3.4)."""
    return len(data) >= 9 and data[3] in (4, 7) and data[5:9] == bytes(4)


class _Decoder:
    """Decompresses gzip and deflate, never more bytes than are asked for."""

    def __init__(self, encoding: str) -> None:
        self._is_gzip = encoding != "deflate"
        self._zlib: Any = zlib.decompressobj(_GZIP) if self._is_gzip else None

    def decode(self, data: bytes, most: int) -> bytes:
        """Return at most `most` more bytes. Raises EncodingError."""
        if self._zlib is None:  # as in RFC 1950, or raw deflate, as some servers send it
            self._zlib = zlib.decompressobj(_WINDOW if data[0] & 0x0F == 8 else -_WINDOW)
        found = b""
        try:
            while data and len(found) < most:
                if self._zlib.eof and self._is_gzip:
                    self._zlib = zlib.decompressobj(_GZIP)  # several gzip members may follow each other
                elif self._zlib.eof:
                    break
                found += self._zlib.decompress(data, most - len(found))
                data = self._zlib.unused_data
        except zlib.error:
            raise EncodingError(asked_for=True) from None
        return found

    def end(self) -> None:
        """Raise EncodingError if the data ends too early."""
        if not self._zlib.eof:
            raise EncodingError(asked_for=True)


def _decoder(encoding: str) -> _Decoder | None:
    """Return a decoder; None for a body without an encoding. Raises EncodingError for one that was not asked for."""
    if encoding in ("br", "zstd", "compress", "x-compress"):
        raise EncodingError(asked_for=False)
    return _Decoder(encoding) if encoding in ("gzip", "x-gzip", "deflate") else None


class _NoProtocol:
    """Protocol for aiohttp's streams, which report a slow reader to it. This reader takes everything at once."""

    connected = True

    def pause_reading(self, *_: Any, **__: Any) -> None:
        pass

    def resume_reading(self, *_: Any, **__: Any) -> None:
        pass


_NO_PROTOCOL = _NoProtocol()
