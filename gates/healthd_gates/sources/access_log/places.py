"""Position of a reader in a log.

An inode alone does not identify a file: it is given to a new file as soon as the old one is deleted, and stays the same
when a file is copied and truncated. So a place also has digests of the first bytes of its file and of those before it.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
import stat
import time
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any, NamedTuple, Self

_HEAD, _TAIL = 256, 64  # bytes
COMPRESSED: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
UNREADABLE = (OSError, EOFError, lzma.LZMAError, ValueError)


class NotALogError(OSError):
    """The path is no regular file."""


class Place(NamedTuple):
    """A place in one file. It was reached `at` that time, in nanoseconds since 1970.

    `offset` counts uncompressed bytes and stands at the beginning of a line, or within one that is too long and
    skipped. The digests are of the first `head_length` bytes and of those before the place.
    """

    inode: int
    at: int
    offset: int
    skipping: bool
    head_length: int
    head: str
    tail: str

    @classmethod
    def from_json(cls, raw: Sequence[Any]) -> Self:
        return cls(*raw)


Position = tuple[Place, ...]
"""The files that are read, oldest first; the last one is the log itself, those before it may still be written to."""


class LogFile:
    """One open file, read from a place on."""

    def __init__(self, path: Path) -> None:
        """Open it. Raises OSError."""
        self.path = path
        opener = COMPRESSED.get(path.suffix)
        self.is_compressed = opener is not None
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._stream: IO[bytes] | None = None
        try:
            found = os.fstat(self._fd)
            if not stat.S_ISREG(found.st_mode):
                raise NotALogError(errno.EINVAL, _kind_of(path, found.st_mode))
            self._stream = opener(path) if opener is not None else None
        except BaseException:
            os.close(self._fd)
            raise
        self.inode = found.st_ino
        self.offset, self.skipping = 0, False
        self.is_cut_off = False
        """True if a compressed file ends too early."""
        self.quiet: tuple[int, float] | None = None
        """The place at which nothing more came, and since when."""
        self._known: Place | None = None
        self.since = time.time_ns()
        """Time of the reading before the present one, in nanoseconds since 1970."""

    @property
    def size(self) -> int:
        """Its size in bytes; of a compressed file not known before it is read."""
        return os.fstat(self._fd).st_size

    @property
    def written(self) -> tuple[int, int]:
        """Its size in bytes, and when it was written last, in nanoseconds since 1970."""
        found = os.fstat(self._fd)
        return found.st_size, found.st_mtime_ns

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes. Raises OSError, also for a compressed file that is cut off."""
        if self._stream is None:
            return os.pread(self._fd, length, offset)
        try:
            self._stream.seek(offset)
            return self._stream.read(length)
        except UNREADABLE as error:
            raise OSError(errno.EIO, f"cannot be decompressed: {error}") from error

    def place(self) -> Place:
        """Return the present place. Raises OSError."""
        head_length = min(_HEAD, self.offset)
        head, tail = self.digest(0, head_length), self._before(self.offset)
        return Place(self.inode, time.time_ns(), self.offset, self.skipping, head_length, head, tail)

    @property
    def known(self) -> Place | None:
        """The place that was remembered."""
        return self._known

    def remember(self) -> None:
        """Remember the bytes before the present place, so that a truncation is noticed. Raises OSError."""
        self._known = self.place()

    @property
    def is_truncated(self) -> bool:
        """True if the file was truncated, even if it has already grown again."""
        return not self.is_compressed and self._known is not None and not self.holds(self._known)

    def go_to(self, place: Place) -> None:
        self.offset, self.skipping, self._known, self.since = place.offset, place.skipping, place, place.at

    def begin(self) -> None:
        """Go to the beginning of what was truncated."""
        self.offset, self.skipping, self._known = 0, False, None

    def holds(self, place: Place) -> bool:
        """True if the file has the same first bytes as the place's, and the same before the place."""
        try:
            if not self.is_compressed and self.size < place.offset:
                return False
            return self.digest(0, place.head_length) == place.head and self._before(place.offset) == place.tail
        except OSError:
            return False

    def head(self) -> str | None:
        """Return a digest of its first bytes; None if it is unreadable, or too short to tell it from others."""
        try:
            first = self.read(0, _HEAD)
        except OSError:
            return None
        return _digest(first) if first else None

    def digest(self, offset: int, length: int) -> str:
        return _digest(self.read(offset, length)) if length else ""

    def _before(self, offset: int) -> str:
        length = min(_TAIL, offset)
        return self.digest(offset - length, length)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        os.close(self._fd)


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=8).hexdigest()


def _kind_of(path: Path, mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "is a folder: name the file in it"
    target = os.path.realpath(path)
    link = f" (a link to {target})" if path.is_symlink() else ""
    return f"is no regular file{link}: have the proxy write to one, or send to `syslog`"
