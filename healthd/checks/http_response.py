"""The bytes of one HTTP/1 response → its status, its headers, and its body as it was meant.

The parser is aiohttp's own (llhttp, in C), as it reads for aiohttp's client: the framing of a message is not ours to
interpret. What differs is around it: no streams, no timers, nothing that waits.
"""

from __future__ import annotations

import asyncio
import zlib
from typing import Any, cast

from aiohttp.http import HttpProcessingError, HttpResponseParser, RawResponseMessage

_LONGEST_LINE = 64 * 1024  # bytes of one header: twice what curl takes of all of them in a line
_MOST_INTERIM = 50  # responses such as 103, of which one or two are usual
_WINDOW = 15
_GZIP = _WINDOW + 16  # zlib's way to ask for gzip's frame


class ExchangeError(Exception):
    """No response came, or none that can be read."""


class HungUpError(ExchangeError):
    """The peer closed before there was a response."""


class BrokenOffError(ExchangeError):
    """The peer closed amid the response."""


class NotHTTPError(ExchangeError):
    """The bytes are no HTTP/1 response."""


class EncodingError(ExchangeError):
    """The body is in a content encoding that was not asked for, or not in the one that it names."""

    def __init__(self, asked_for: bool) -> None:
        self.asked_for = asked_for


class Response:
    """Is fed until it `is_over`. `body` is decoded and has at most `limit` bytes; `whole` is false where it went on."""

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
        """The status and the headers."""
        assert self._message is not None
        return self._message

    @property
    def keeps_alive(self) -> bool:
        """Whether the connection can carry another exchange, by what the peer says and by what is left unread."""
        return self.whole and self._is_alone and not self.message.should_close

    def feed(self, data: bytes) -> None:
        """Take what came; nothing means that the peer has closed. Raises HungUpError, BrokenOffError, NotHTTPError and
        EncodingError."""
        if not data:
            self._end()
            return
        try:
            messages, upgraded, rest = self._parser.feed_data(data)
        except HttpProcessingError as error:
            raise NotHTTPError from error
        for message, payload in messages:
            self._begin(message, payload)
        if upgraded or rest:
            self._is_alone = False
        if self._message is not None:
            self._take()

    def _begin(self, message: RawResponseMessage, payload: Any) -> None:
        if self._message is not None:
            self._is_alone = False  # what nobody asked for is not looked at, and the connection not used again
        elif 100 <= message.code < 200 and message.code != 101:
            self._interim += 1
            if self._interim > _MOST_INTERIM:
                raise NotHTTPError
        else:
            self._message, self._payload = message, payload

    def _take(self) -> None:
        """Move what the parser has of the body into ours."""
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
            self._parser.feed_eof()  # which is the end of a body without a length
        except HttpProcessingError as error:
            raise BrokenOffError from error
        self._take()
        if not self.is_over:
            raise BrokenOffError


class _Decoder:
    """Undoes gzip and deflate, never by more than is asked for."""

    def __init__(self, encoding: str) -> None:
        self._is_gzip = encoding != "deflate"
        self._zlib: Any = zlib.decompressobj(_GZIP) if self._is_gzip else None

    def decode(self, data: bytes, most: int) -> bytes:
        """At most so many bytes more. Raises EncodingError."""
        if self._zlib is None:  # as RFC 1950 has it, or without that frame, as some servers send it
            self._zlib = zlib.decompressobj(_WINDOW if data[0] & 0x0F == 8 else -_WINDOW)
        found = b""
        try:
            while data and len(found) < most:
                if self._zlib.eof and self._is_gzip:
                    self._zlib = zlib.decompressobj(_GZIP)  # several may come, one after the other
                elif self._zlib.eof:
                    break
                found += self._zlib.decompress(data, most - len(found))
                data = self._zlib.unused_data
        except zlib.error:
            raise EncodingError(asked_for=True) from None
        return found

    def end(self) -> None:
        """Raises EncodingError where it ends too early."""
        if not self._zlib.eof:
            raise EncodingError(asked_for=True)


def _decoder(encoding: str) -> _Decoder | None:
    """None for a body that is as it is. Raises EncodingError for what was not asked for."""
    if encoding in ("br", "zstd", "compress", "x-compress"):
        raise EncodingError(asked_for=False)
    return _Decoder(encoding) if encoding in ("gzip", "x-gzip", "deflate") else None


class _NoProtocol:
    """What aiohttp's streams tell of a reader that is too slow. Ours takes everything at once."""

    connected = True

    def pause_reading(self, *_: Any, **__: Any) -> None:
        pass

    def resume_reading(self, *_: Any, **__: Any) -> None:
        pass


_NO_PROTOCOL = _NoProtocol()
