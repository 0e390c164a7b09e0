"""Connections to the HTTP server: limits their number and the duration of a request, and handles bytes that are no
request.

A connection is *waiting* while no whole request of it is being answered. Those use a descriptor and are worth nothing:
when there are too many, the one that has waited longest is closed.
"""

from __future__ import annotations

import asyncio
import socket
from http import HTTPStatus
from typing import Any

import aiohttp
import structlog
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong

from healthd.runtime.repeats import Repeats
from healthd.web.problems import Problem
from healthd.web.refusals import Reason, Refusals

_log = structlog.get_logger(__name__)
IDLE = 75.0  # seconds without a request after which a connection is closed; proxies keep theirs for 60 or less
_HEAD_SECONDS, _LARGEST_HEAD = 10.0, 32 * 1024
_MOST_HEADERS = 128
_LONG_TARGET = Problem(414, "URI too long", "the head of a request may have 32 KiB, and its address alone has more")
_LONG_HEAD = Problem(431, "Request header fields too large", "the head of a request, with all headers, may have 32 KiB")
_SLOW_HEAD = Problem(
    408, "Request timeout", f"the head of a request, with all headers, must arrive within {_HEAD_SECONDS:g} s"
)
_MANY_HEADERS = Problem(431, "Request header fields too large", f"a request may have {_MOST_HEADERS} headers")
_LINGERING = 5.0  # seconds in which the rest of a refused body is read and discarded
_AFTER_END = 5.0  # seconds for the answer to a caller who has ended its side, or who has gone: both look alike
_SWEEP = 1.0  # seconds between two searches for connections that took too long
_ACCEPTED_IN_ONE_GO, _BACKLOG = 32, 1024


class Connections:
    """Creates the protocol of every new connection to one server."""

    def __init__(
        self, server: web.Server, refusals: Refusals, at_most: int, *, head_seconds: float = _HEAD_SECONDS
    ) -> None:
        self._server, self.refused, self._at_most, self._head_seconds = server, refusals, at_most, head_seconds
        self.answer, server.request_handler = server.request_handler, self._in_hand
        self._loop = asyncio.get_running_loop()
        self._open: set[Connection] = set()
        # Start of the wait; in order, as new ones are added at the end.
        self._waiting: dict[Connection, float] = {}
        self._heads: dict[Connection, float] = {}
        self._sweeping = self._loop.call_later(_SWEEP, self._sweep)
        self.faults = Repeats()

    def __call__(self) -> Connection:
        return Connection(
            self,
            self._server,
            loop=self._loop,
            access_log=None,
            keepalive_timeout=IDLE,
            lingering_time=_LINGERING,
            max_line_size=_LARGEST_HEAD,
            max_field_size=_LARGEST_HEAD - 1,  # another number, by which an error of the parser tells what was too long
            max_headers=_MOST_HEADERS,
            auto_decompress=False,  # a body is decompressed only on demand, up to a limit
        )

    def close(self) -> None:
        self._sweeping.cancel()

    def made(self, connection: Connection) -> None:
        self._open.add(connection)
        if len(self._open) > self._at_most:
            self.refused(Reason.CROWDED)
            self._end(next(iter(self._waiting), connection))
        if connection in self._open:
            self._waiting[connection] = self._loop.time()

    def heard(self, connection: Connection) -> bool:
        """Record received bytes. Return true if no request is being answered, so that they belong to the head of
        one."""
        if connection not in self._waiting:
            return False
        self._heads.setdefault(connection, self._loop.time())
        return True

    def lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._waiting.pop(connection, None)
        self._heads.pop(connection, None)

    async def _in_hand(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, Connection)
        self._waiting.pop(connection, None)
        self._heads.pop(connection, None)
        connection.head_is_whole(request)
        try:
            if _length(request) > _LARGEST_HEAD:
                self.refused(Reason.LONG_HEAD)
                return _last_word(_LONG_HEAD)
            return await self.answer(request)
        except web.HTTPError as error:
            return _problem_of_aiohttp(error, request).response()
        finally:
            if connection in self._open:
                self._waiting[connection] = self._loop.time()

    def _sweep(self) -> None:
        self._sweeping = self._loop.call_later(_SWEEP, self._sweep)
        for connection in self._since(self._heads, self._head_seconds):
            self.refused(Reason.SLOW_HEAD)
            connection.say(HTTPStatus.REQUEST_TIMEOUT, _SLOW_HEAD)
            self._end(connection)
        for connection in self._since(self._waiting, IDLE + _LINGERING):  # it does not read its answer
            self._end(connection)

    def _since(self, begun: dict[Connection, float], seconds: float) -> list[Connection]:
        found, now = [], self._loop.time()
        for connection, moment in begun.items():
            if now - moment < seconds:
                break
            found.append(connection)
        return found

    def _end(self, connection: Connection) -> None:
        self.lost(connection)
        if connection.transport is not None:
            connection.transport.abort()


class Connection(web.RequestHandler):
    """One connection."""

    def __init__(self, connections: Connections, server: web.Server, **options: Any) -> None:
        super().__init__(server, **options)
        self._connections = connections
        self._head, self._whole = 0, 0  # bytes of the head so far; requests before it
        self._body: aiohttp.StreamReader | None = None  # of the request before it
        self._newest_body: aiohttp.StreamReader = aiohttp.streams.EMPTY_PAYLOAD
        self._peer_ended: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connections.made(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connections.lost(self)
        if self._peer_ended is not None:
            self._peer_ended.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        of_body = self._body is not None and not self._body.is_eof()  # perhaps of a request that was refused before
        of_head = not of_body and self._connections.heard(self)
        super().data_received(data)
        if self._messages:
            self._newest_body = self._messages[-1][1]
        if not of_head or self._request_count > self._whole:  # a request was parsed, and this may be its body
            return
        self._head += len(data)
        if self._head > _LARGEST_HEAD:  # the parser bounds a line and their number: together they are a megabyte
            self._connections.refused(Reason.LONG_HEAD)
            self.say(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, _LONG_HEAD)
            self.force_close()

    def eof_received(self) -> bool:  # type: ignore[override]  # as asyncio has it; aiohttp's never keeps a connection
        """Keep the connection for the answers to whole requests: `nc -N` and simple probes end their side once they
        have asked, and aiohttp would drop the answer. A stream under way, or half a request, ends at once."""
        waits = self._waiter is not None and not self._waiter.done()
        if waits or not self._request_count or self._is_streaming() or not self._newest_body.is_eof():
            return False
        self._peer_ended = self._loop.call_later(_AFTER_END, self.force_close)
        self._close_after_the_last()
        return True

    def _is_streaming(self) -> bool:
        return self._current_request is not None and self._current_request.writer.output_size > 0

    def _close_after_the_last(self) -> None:
        if self._peer_ended is not None and not self._messages:
            self.close()

    def head_is_whole(self, request: web.BaseRequest) -> None:
        self._head, self._whole, self._body = 0, self._request_count, request.content
        self._close_after_the_last()

    def say(self, status: HTTPStatus, problem: Problem) -> None:
        """Answer bytes that are no whole request, as far as the peer reads it."""
        if self.transport is not None:
            body = str(problem.response().text)
            kind = "Content-Type: application/problem+json"
            head = (
                f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\n{kind}\r\nContent-Length: {len(body)}"
            )
            self.transport.write(f"{head}\r\n\r\n{body}".encode("ascii"))

    def log_exception(self, *args: Any, **options: Any) -> None:
        """Log an exception, except when a caller disconnects in the middle of an unwanted body, which is no fault of
        the daemon."""
        if self.transport is not None and not self.transport.is_closing():
            super().log_exception(*args, **options)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer an error: one of the parser is the caller's fault, and counted; one of a handler is a fault of the
        daemon."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        if status < 500:
            problem = _problem_of(exc, status)
            self._connections.refused(Reason.NOT_HTTP if problem.status == status else Reason.LONG_HEAD)
        else:
            place = request.match_info.handler if isinstance(request, web.Request) else None
            if times := self._connections.faults.count((type(exc), place)):
                _log.error(
                    "request failed with an internal error",
                    request=f"{request.method} {request.path[:200]}",
                    times=times,
                    exc_info=exc,
                )
            problem = Problem(status, HTTPStatus(status).phrase, "the log says why")
        return _last_word(problem)


def _problem_of(error: BaseException | None, status: int) -> Problem:
    """Return the problem with what the parser refused."""
    if isinstance(error, LineTooLong):
        return _LONG_TARGET if str(error.args[1]) == str(_LARGEST_HEAD) else _LONG_HEAD
    if isinstance(error, BadHttpMessage) and "Too many headers" in error.message:
        return _MANY_HEADERS
    return Problem(status, "Not HTTP", "this is no request of HTTP/1.1, which has a Host header")


def _problem_of_aiohttp(error: web.HTTPError, request: web.BaseRequest) -> Problem:
    """Return the problem with what aiohttp refuses by itself, in plain text: a body that is too large, an expectation
    that nobody meets."""
    if error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return Problem(error.status, "Too large", f"a body may have {request.client_max_size // 1024} KiB")
    return Problem(error.status, error.reason, error.text or "")


def _last_word(problem: Problem) -> web.Response:
    response = problem.response()
    response.force_close()
    return response


def _length(request: web.BaseRequest) -> int:
    """Return the bytes of the head, all but exactly: a head that came in one piece was not counted before."""
    return len(request.path_qs) + sum(len(name) + len(value) + 4 for name, value in request.raw_headers)


async def accept(connections: Connections, host: str, port: int) -> asyncio.Server:
    """Listen until closed. Raises OSError."""
    # asyncio's backlog is also the number of times it tries to accept in one go, with an error for each try while no
    # descriptor is left; how many callers the kernel lets wait is set after that.
    listening = await asyncio.get_running_loop().create_server(connections, host, port, backlog=_ACCEPTED_IN_ONE_GO)
    for known in listening.sockets:
        with socket.fromfd(known.fileno(), known.family, known.type) as same:
            same.listen(_BACKLOG)
    return listening
