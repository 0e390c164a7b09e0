"""Standard output and standard error of a command, whose loss decides nothing.

Whoever reads them may go, as `head` does, or a collector of logs that dies; the disk of a file may be full; both may
be closed from the start. An exception out of a print would end a deploy between its switch and its way back.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_READER_GONE = (errno.EPIPE, errno.ETIMEDOUT)  # as `head` goes: it has what it wanted
_MOST = select.PIPE_BUF  # bytes that a pipe takes without waiting, once it says that it takes any


class Stream(io.RawIOBase):
    """File descriptor that takes everything: what cannot be written is dropped, and `lost` is the first reason.

    With `patience` a reader that has stopped reading, such as a terminal after Ctrl-S, is waited for for so many
    seconds; from then on, what it has no room for is dropped too, until it reads again.
    """

    def __init__(self, descriptor: int, *, patience: float | None = None) -> None:
        self._descriptor, self._patience, self._stalled = descriptor, patience, False
        self.lost: OSError | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: ReadableBuffer, /) -> int:
        rest = memoryview(data).cast("B")
        whole = len(rest)
        try:
            while rest and self._has_room():
                part = rest if self._patience is None else rest[:_MOST]
                try:
                    rest = rest[os.write(self._descriptor, part) :]
                except BlockingIOError:  # another process that shares it has made it non-blocking
                    select.select((), (self._descriptor,), (), self._patience)
        except OSError as error:
            self.lost = self.lost or error
        return whole

    def _has_room(self) -> bool:
        if self._patience is None:
            return True
        waiting = select.poll()
        waiting.register(self._descriptor, select.POLLOUT)
        self._stalled = not waiting.poll(0 if self._stalled else 1000 * self._patience)
        if self._stalled:
            self.lost = self.lost or TimeoutError(errno.ETIMEDOUT, "nobody reads it")
        return not self._stalled


def never_fail(patience: float | None = None) -> None:
    """Make of `sys.stdout` and `sys.stderr` streams that raise nothing, for the rest of the process. A descriptor that
    was closed leads nowhere from now on, so that no file or socket gets its number.

    `patience` in seconds; without it, a reader that has stopped reading is waited for.
    """
    _open_the_closed()
    sys.stdout = _unfailing(sys.stdout, 1, patience)
    sys.stderr = _unfailing(sys.stderr, 2, patience)


def lost(stream: TextIO) -> OSError | None:
    """Return why a part of what was printed to a stream is lost; None if nothing is."""
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    return raw.lost if isinstance(raw, Stream) else None


def unwritten(stream: TextIO) -> OSError | None:
    """Return why a part of what was printed could not be written; None where nothing is lost, or its reader has
    gone."""
    why = lost(stream)
    return None if why is None or why.errno in _READER_GONE else why


def _open_the_closed() -> None:
    while (descriptor := os.open(os.devnull, os.O_RDONLY)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _unfailing(stream: TextIO | None, descriptor: int, patience: float | None) -> TextIO:
    """Return the stream of a descriptor in place of Python's own, with its encoding; what that cannot encode is
    escaped."""
    if stream is not None:
        try:
            descriptor = stream.fileno()
        except (AttributeError, OSError, ValueError):  # it is no file of the system, as under some tools
            return stream
    raw = Stream(descriptor, patience=patience)
    errors, unbuffered = getattr(stream, "errors", None), bool(getattr(stream, "write_through", False))
    buffer: Any = raw if unbuffered else io.BufferedWriter(raw)  # as the interpreter has it
    return io.TextIOWrapper(
        buffer,
        encoding=getattr(stream, "encoding", None) or "utf-8",
        errors="backslashreplace" if errors in (None, "strict") else errors,
        line_buffering=bool(getattr(stream, "line_buffering", descriptor == 2)),
        write_through=unbuffered,
    )
