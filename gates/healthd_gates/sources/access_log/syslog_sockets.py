"""The sockets that syslog comes in by, read in a thread of their own: a flood must not hold up the event loop."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import stat
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog
from yarl import URL

from healthd_gates.sources.access_log.syslog_messages import Frames

_log = structlog.get_logger(__name__)
_LONGEST = 65_536
_AT_ONCE = 50  # messages of one socket before the others have their turn
_SLICE = 0.002  # seconds of work, after which the thread rests as long: Python's lock is the event loop's as well
_BUFFER = 8 * 1024 * 1024  # bytes; the system may allow less
_MOST_CONNECTIONS = 256
_ENDING = 2.0  # seconds
_DROPPED = 40  # SO_RXQ_OVFL of Linux: how many messages the kernel had no room for

Take = Callable[[bytes], None]
"""Takes one message, in the thread."""
Drop = Callable[[int], None]
"""Takes how many messages are lost, in the thread."""


class Sockets:
    """Listens at one address. `close` ends the thread."""

    def __init__(self, address: str, take: Take, drop: Drop) -> None:
        """Begin to listen. Raises OSError."""
        self._take, self._drop = take, drop
        self._dropped = 0
        self._path: Path | None = None
        self._listener = self._listen(URL(address))
        self._frames: dict[socket.socket, Frames] = {}
        self._wake, self._woken = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._thread = threading.Thread(target=self._run, name=f"syslog:{address}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, which gives the address free. Blocks for a moment."""
        os.close(self._woken)
        self._thread.join(_ENDING)

    def _listen(self, url: URL) -> socket.socket:
        if url.scheme == "unix":
            self._path = Path(url.path)
            return _unix(self._path)
        kind = socket.SOCK_DGRAM if url.scheme == "udp" else socket.SOCK_STREAM
        family = socket.AF_INET6 if ":" in (url.raw_host or "") else socket.AF_INET
        listener = socket.socket(family, kind | socket.SOCK_NONBLOCK)
        try:
            if kind is socket.SOCK_STREAM:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((url.raw_host or "", url.port or 514))
            if kind is socket.SOCK_STREAM:
                listener.listen(64)
            else:
                _widen(listener)
        except BaseException:
            listener.close()
            raise
        return listener

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake, selectors.EVENT_READ)
            selector.register(self._listener, selectors.EVENT_READ)
            rested = time.thread_time()
            while True:
                if (worked := time.thread_time() - rested) > _SLICE:
                    time.sleep(worked)
                    rested = time.thread_time()
                for key, _ in selector.select():
                    if key.fileobj == self._wake:
                        return self._end()
                    ready = key.fileobj
                    assert isinstance(ready, socket.socket)
                    try:
                        self._read(ready, selector)
                    except BlockingIOError:
                        continue
                    except Exception:  # a message that cannot be read must not end the thread
                        self._drop(1)
                        _log.exception("syslog message not read, internal error")

    def _read(self, ready: socket.socket, selector: selectors.BaseSelector) -> None:
        if ready is not self._listener:
            self._read_connection(ready, selector)
        elif ready.type == socket.SOCK_DGRAM:
            for _ in range(_AT_ONCE):
                data, more, _, _ = ready.recvmsg(_LONGEST, 64)
                self._count_dropped(more)
                self._take(data)
        else:
            connection, _ = ready.accept()
            if len(self._frames) >= _MOST_CONNECTIONS:
                connection.close()
                return
            connection.setblocking(False)
            self._frames[connection] = Frames()
            selector.register(connection, selectors.EVENT_READ)

    def _count_dropped(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, _DROPPED):
                (dropped,) = struct.unpack("I", data[:4])
                if dropped != self._dropped:
                    self._drop((dropped - self._dropped) % 2**32)
                    self._dropped = dropped

    def _read_connection(self, connection: socket.socket, selector: selectors.BaseSelector) -> None:
        try:
            data = connection.recv(_LONGEST)
            for message in self._frames[connection].take(data):
                self._take(message)
        except BlockingIOError:
            return
        except (OSError, ValueError):
            self._drop(1)
            data = b""
        if not data:
            selector.unregister(connection)
            del self._frames[connection]
            connection.close()

    def _end(self) -> None:
        for each in (self._listener, *self._frames):
            each.close()
        os.close(self._wake)
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _widen(listener: socket.socket) -> None:
    """Ask for a larger buffer, and to be told what did not fit."""
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        listener.setsockopt(socket.SOL_SOCKET, _DROPPED, 1)


def _unix(path: Path) -> socket.socket:
    """Listen at a path to which every user may write; one that a dead process left behind is replaced."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
                if other.connect_ex(str(path)) != 0:
                    path.unlink()
        listener.bind(str(path))
        path.chmod(0o666)
        _widen(listener)
    except BaseException:
        listener.close()
        raise
    return listener
