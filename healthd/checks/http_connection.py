"""HTTP connection of a probe on a non-blocking socket: sends and receives bytes, with TLS where the URL asks for it.

asyncio's transports are not used. They would cost a probe more than its request does, and a probe waits for one thing
at a time.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from datetime import UTC, datetime

from healthd.checks.certificates import Expiry, expiries
from healthd.checks.connect import Endpoint, connect
from healthd.http.outgoing import Proxy
from healthd.runtime.hosts import ascii_name, tls_name

_PIECE = 64 * 1024  # bytes that are read at once
_LONGEST_HEAD = 64 * 1024  # bytes of a proxy's answer to CONNECT
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?= |\r\n)")
_READ_FIRST = (BlockingIOError, ssl.SSLWantReadError)
_WRITE_FIRST = (BlockingIOError, ssl.SSLWantWriteError)


class HandshakeError(Exception):
    """TCP was connected and the TLS handshake failed; its cause says why."""


class ProxyFailedError(Exception):
    """The proxy did not lead to the target: it was not reached, which its cause explains, or answered with the
    `status`, or with no HTTP."""

    def __init__(self, proxy: Proxy, status: int | None = None) -> None:
        super().__init__(f"the proxy {proxy} failed")
        self.proxy, self.status = proxy, status


class Connection:
    """Open connection, and the expiry of its peer's certificates."""

    def __init__(self, sock: socket.socket, expiry: Expiry | None) -> None:
        self.expiry = expiry
        self._socket, self._is_tls = sock, isinstance(sock, ssl.SSLSocket)
        self._early: bytes | None = None

    async def send(self, data: bytes) -> bool:
        """Return true if everything was sent: not, where the peer answers or closes before it has read to the end.
        Raises OSError."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except _WRITE_FIRST:
                await _ready(self._socket, reading=True, writing=True)
                self._early = self._receive_now()
                if self._early is not None:
                    return False
            except ssl.SSLWantReadError:
                await _ready(self._socket, reading=True)
        return True

    async def receive(self) -> bytes:
        """Return the next bytes; nothing when the peer has closed. Raises OSError."""
        if self._early is not None:
            early, self._early = self._early, None
            return early
        if self._is_tls and (waiting := self._receive_now()) is not None:  # OpenSSL may hold data that no select sees
            return waiting
        while True:
            await _ready(self._socket, reading=True)
            if (found := self._receive_now()) is not None:
                return found

    def is_idle(self) -> bool:
        """True if it can be used again: still open, and no unexpected bytes have arrived."""
        try:
            return self._receive_now() is None
        except OSError:
            return False

    def close(self) -> None:
        """Drop the connection at once, without a goodbye."""
        self._socket.close()

    def _receive_now(self) -> bytes | None:
        try:
            return self._socket.recv(_PIECE)
        except _READ_FIRST:
            return None
        except ssl.SSLWantWriteError:  # a change of keys, which the next call continues
            return None


async def open_connection(
    endpoint: Endpoint, tls: ssl.SSLContext | None, server_name: str | None, proxy: Proxy | None = None
) -> Connection:
    """Open a connection; with a `proxy` to the proxy, and with TLS through it. Raises OSError, which `connect.explain`
    puts into words, HandshakeError and ProxyFailedError."""
    sock = await (connect(endpoint) if proxy is None else _connect_to_proxy(proxy, endpoint, is_tunnel=tls is not None))
    if tls is None:
        return Connection(sock, None)
    try:
        secure = tls.wrap_socket(
            sock, server_hostname=tls_name(server_name or endpoint.host), do_handshake_on_connect=False
        )
    except BaseException:
        sock.close()
        raise
    try:
        await _shake_hands(secure)
        return Connection(secure, _expiry(secure))
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
        secure.close()
        raise ConnectionResetError from error
    except ssl.SSLError as error:
        secure.close()
        raise HandshakeError from error
    except BaseException:
        secure.close()
        raise


async def _connect_to_proxy(proxy: Proxy, target: Endpoint, *, is_tunnel: bool) -> socket.socket:
    try:
        sock = await connect(Endpoint(proxy.host, proxy.port))
    except OSError as error:
        raise ProxyFailedError(proxy) from error
    if is_tunnel:
        try:
            await _tunnel(sock, proxy, target)
        except BaseException:
            sock.close()
            raise
    return sock


async def _tunnel(sock: socket.socket, proxy: Proxy, target: Endpoint) -> None:
    """Have the proxy connect to the target (RFC 9110, 9.3.6). Raises ProxyFailedError."""
    place = str(Endpoint(ascii_name(target.host), target.port))
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
    lines += [f"{name}: {value}" for name, value in proxy.headers.items()]
    connection, head = Connection(sock, None), b""
    try:
        await connection.send("\r\n".join((*lines, "", "")).encode())
        while b"\r\n\r\n" not in head:
            piece = await connection.receive()
            head += piece
            if not piece or len(head) > _LONGEST_HEAD:
                break
    except OSError as error:
        raise ProxyFailedError(proxy) from error
    found = _STATUS.match(head)
    status = int(found[1]) if found is not None else None
    # Whatever follows the head of the answer cannot be the target's: with TLS the client speaks first.
    if status is None or not 200 <= status < 300 or not head.endswith(b"\r\n\r\n"):
        raise ProxyFailedError(proxy, status)


async def _shake_hands(secure: ssl.SSLSocket) -> None:
    while True:
        try:
            secure.do_handshake()
        except ssl.SSLWantReadError:
            await _ready(secure, reading=True)
        except ssl.SSLWantWriteError:
            await _ready(secure, writing=True)
        else:
            return


async def _ready(sock: socket.socket, *, reading: bool = False, writing: bool = False) -> None:
    """Wait until the socket can be read, or written to."""
    loop, descriptor = asyncio.get_running_loop(), sock.fileno()
    ready: asyncio.Future[None] = loop.create_future()
    try:
        if reading:
            loop.add_reader(descriptor, _wake, ready)
        if writing:
            loop.add_writer(descriptor, _wake, ready)
        await ready
    finally:
        if reading:
            loop.remove_reader(descriptor)
        if writing:
            loop.remove_writer(descriptor)


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _expiry(tls: ssl.SSLSocket) -> Expiry | None:
    try:
        ends = expiries(tls, datetime.now(UTC))
    except ValueError:  # trusted by OpenSSL and yet unreadable: only the dates are lost
        return None
    return ends.relied_on if ends is not None else None
