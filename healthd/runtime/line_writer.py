"""Write lines to a file descriptor from a separate thread, for a loop that must not wait for their reader.

A log driver that stops reading, or a terminal with Ctrl-S, lets a pipe fill up, and the next write blocks for an
unlimited time. So lines wait in a bounded queue; when it is full, lines are dropped and counted.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque

_MOST_BYTES = 4 * 2**20
_FAREWELL = 1.0  # seconds for the reader to take what is left at the end


class LineWriter:
    """Part of a text stream that `logging.StreamHandler` needs."""

    def __init__(self, descriptor: int, *, most_bytes: int = _MOST_BYTES) -> None:
        self._descriptor, self._room = descriptor, most_bytes
        self._lines: deque[bytes] = deque()
        self._news = threading.Condition()
        self._closed = False
        self._most = most_bytes
        self._dropped = self._told = 0
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._thread.start()

    def write(self, text: str) -> None:
        """Queue a line, or count it as dropped. Returns at once."""
        line = text.encode(errors="backslashreplace")
        with self._news:
            if self._closed or len(line) > self._room:
                self._dropped += 1
                return
            self._room -= len(line)
            self._lines.append(line)
            self._news.notify()

    def count_dropped(self) -> int:
        """Return the number of lines dropped since the start."""
        return self._dropped

    def take_losses(self) -> int:
        """Return the number of lines dropped since the last call that reported any; 0 while there is no room to log
        it."""
        with self._news:
            lost = self._dropped - self._told if self._room > self._most // 2 else 0
            self._told += lost
            return lost

    def flush(self) -> None:
        """Do nothing: lines are written as soon as possible; only `close` waits for that."""

    def close(self, seconds: float = _FAREWELL) -> None:
        """Write what is left, for at most so many seconds."""
        with self._news:
            self._closed = True
            self._news.notify()
        self._thread.join(seconds)

    def _write_all(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._lines or self._closed)
                if not self._lines:
                    return
                line = self._lines.popleft()
            self._write(line)
            with self._news:
                self._room += len(line)

    def _write(self, line: bytes) -> None:
        """Write without `sys.stderr`: if a blocked thread held its lock, the interpreter would abort."""
        rest = memoryview(line)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # another process that shares it has made it non-blocking
                select.select((), (self._descriptor,), ())
            except OSError:  # its reader is gone
                with self._news:
                    self._dropped += 1
                return
