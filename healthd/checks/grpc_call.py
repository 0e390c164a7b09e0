"""One unary call of gRPC over HTTP/2 (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md), on an open connection."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import unquote

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import ProtocolError

from healthd import __version__
from healthd.checks.http_connection import Connection
from healthd.checks.http_response import is_http2
from healthd.checks.tls_failures import client_refused
from healthd.model import FailureKind

_MOST_BYTES = 2**20  # that a server may send: an answer has a few hundred
_HEAD = 9  # bytes of the head of an HTTP/2 frame
_PREFIX = 5  # bytes of the head of a message: compressed or not, and its length
_TLS_ALERT = b"\x15\x03"


class CallError(Exception):
    """Call that got no answer; the text says why, to be put after the server's name."""

    def __init__(self, kind: FailureKind, text: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(slots=True)
class Reply:
    """Reply to a call: the status by HTTP, headers and trailers together, and the bytes of the body."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def code(self) -> int | None:
        """Status by gRPC; None where the answer is not gRPC's."""
        text = self.headers.get("grpc-status", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else None

    @property
    def text(self) -> str:
        """The server's words about a status that is not OK."""
        return unquote(self.headers.get("grpc-message", ""))

    @property
    def message(self) -> bytes:
        """The one message of the body. Raises CallError."""
        length = int.from_bytes(self.body[1:_PREFIX])
        if len(self.body) != _PREFIX + length or self.body[0] != 0:
            raise CallError(FailureKind.UNEXPECTED_RESPONSE, "answers with what is no message of gRPC")
        return self.body[_PREFIX:]


@dataclass(frozen=True, slots=True)
class Call:
    """Call of a method (`/package.Service/Method`) with one message, as the server is asked for it."""

    method: str
    authority: str
    message: bytes
    metadata: Mapping[str, str]
    is_tls: bool

    def headers(self, seconds: float) -> list[tuple[str, str]]:
        return [
            (":method", "POST"),
            (":scheme", "https" if self.is_tls else "http"),
            (":path", self.method),
            (":authority", self.authority),
            ("te", "trailers"),
            ("grpc-timeout", f"{max(1, int(seconds * 1000))}m"),
            ("content-type", "application/grpc"),
            ("user-agent", f"healthd/{__version__}"),
            *self.metadata.items(),
        ]

    async def over(self, connection: Connection, seconds: float) -> Reply:
        """Send the call, which the server may give up after so many seconds, and return the reply. Raises
        CallError."""
        http2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        http2.initiate_connection()
        stream = http2.get_next_available_stream_id()
        http2.send_headers(stream, self.headers(seconds))
        http2.send_data(stream, bytes(1) + len(self.message).to_bytes(4) + self.message, end_stream=True)
        reply, heard = Reply(), b""
        size, is_over = 0, False
        while not is_over:
            with suppress(OSError):  # it may have said why before it closed the connection
                await connection.send(http2.data_to_send())
            try:
                data = await connection.receive()
            except OSError as error:
                raise self._hung_up(heard, error) from error
            heard, size = (heard + data[:_HEAD])[:_HEAD], size + len(data)
            if not data:
                raise self._hung_up(heard, None)
            if heard.startswith(_TLS_ALERT) or (len(heard) == _HEAD and not is_http2(heard)):
                raise self._no_http2(heard)
            if size > _MOST_BYTES:
                raise CallError(FailureKind.UNEXPECTED_RESPONSE, f"sends more than {_MOST_BYTES} bytes")
            try:
                is_over = any(_take(event, reply, http2) for event in http2.receive_data(data))  # none after the last
            except (ProtocolError, ValueError) as error:  # the latter of a status that is no number
                raise self._no_http2(heard) from error
        return reply

    def _hung_up(self, heard: bytes, error: OSError | None) -> CallError:
        if isinstance(error, ssl.SSLError) and (refused := client_refused(error)) is not None:
            return CallError(FailureKind.TLS, refused)
        if heard and not is_http2(heard):
            return self._no_http2(heard)
        hint = "" if heard else "; client_certificate?" if self.is_tls else "; security: tls?"
        return CallError(FailureKind.CONNECT, f"closed the connection before it answered{hint}")

    def _no_http2(self, heard: bytes) -> CallError:
        if heard.startswith(_TLS_ALERT) and not self.is_tls:
            return CallError(FailureKind.UNEXPECTED_RESPONSE, "speaks TLS; security: tls?")
        is_broken = is_http2(heard)
        what = "breaks the rules of HTTP/2" if is_broken else "does not speak HTTP/2, as gRPC does"
        return CallError(FailureKind.UNEXPECTED_RESPONSE, what)


def _take(event: events.Event, reply: Reply, http2: H2Connection) -> bool:
    """Add an event to the reply. Return true if it was the last. Raises CallError."""
    match event:
        case events.ResponseReceived() | events.TrailersReceived():
            told = {str(name): str(value) for name, value in event.headers or ()}
            reply.status = int(told.pop(":status", reply.status))
            reply.headers |= told
        case events.DataReceived():
            reply.body += event.data or b""
            http2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
        case events.StreamEnded():
            return True
        case events.StreamReset():
            raise CallError(FailureKind.UNEXPECTED_RESPONSE, f"gives the call up: {_code(event.error_code)}")
        case events.ConnectionTerminated() if not event.last_stream_id:
            raise CallError(FailureKind.UNEXPECTED_RESPONSE, f"takes no calls: {_code(event.error_code)}")
    return False


def _code(code: object) -> str:
    """Return an error code of HTTP/2 by its name, where it has one."""
    return str(getattr(code, "name", code))
