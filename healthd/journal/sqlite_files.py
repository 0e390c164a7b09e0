"""Files of an SQLite journal: readable by their owner alone, and checked before a write is acknowledged.

An open descriptor goes on working after its file was removed, replaced or cut: all that is written is lost with the
process. The log's frames, and the number of them that are in the file already, are recorded in the `-shm` file, as
SQLite's "WAL-mode File Format" defines.

A process that closes any descriptor of a file loses all its locks on that file (fcntl(2); "How To Corrupt An SQLite
Database File", 2.2). SQLite locks the file and its `-shm`; so descriptors of both that are opened here stay open until
SQLite's own are closed.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Lock

from healthd.journal.errors import JournalError

_INDEX = struct.Struct("=12xBxHI12xII8x")  # of the wal-index header: isInit, szPage, mxFrame, two salts
_COPIED, _COPYING = 96, 128  # offsets of nBackfill and nBackfillAttempted
_FRAME_HEADER, _LOG_HEADER = 24, 32
_LOG_MAGIC = (0x377F0682, 0x377F0683)
_FILE_HEADER = 100
_MAGIC = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class _Log:
    """Write-ahead log according to its index. Frames up to `copied` are in the file, those up to `copying` may be."""

    page: int
    frames: int
    salts: tuple[int, int]
    copied: int
    copying: int

    @property
    def is_being_copied(self) -> bool:
        return self.copying != self.copied

    def has_not_moved(self, before: _Log) -> bool:
        """True if nothing was copied into the file since."""
        return (self.salts, self.copied, self.copying) == (before.salts, before.copied, before.copying)

    @property
    def longest(self) -> int:
        """Minimum length of the log, in bytes, for the frames that are only in it."""
        return _LOG_HEADER + self.frames * (_FRAME_HEADER + self.page) if self.frames > self.copied else 0


class SQLiteFiles:
    """Files of one journal. Used by several threads, one per connection."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._log, self._index = Path(f"{path}-wal"), Path(f"{path}-shm")
        self._lock = Lock()
        self._kept: dict[tuple[int, int], int] = {}  # descriptors by the identity of their files
        self._file: tuple[int, int] | None = None
        self._seen: tuple[os.stat_result, _Log | None] | None = None

    def is_missing(self) -> bool:
        """True if the file does not exist at its place."""
        return not self.path.exists()

    def close(self) -> None:
        """Close what is open here, after SQLite's own descriptors."""
        with self._lock:
            kept, self._kept = self._kept, {}
        for descriptor in kept.values():
            os.close(descriptor)

    def problem_here(self) -> str | None:
        """Return why the file can never be at its place on this host; None where it can, or is."""
        if self.path.is_dir():
            return f"{self.path} is a directory: name a file in it, such as {self.path.absolute()}/healthd.db"
        if self.path.is_file() and self._is_something_else():
            return f"{self.path}: file is not a database: move it away, or name another file"
        if self.path.exists() and not self.path.is_file():
            return f"{self.path} is not a regular file: name another"
        above = next(folder for folder in self.path.absolute().parents if folder.exists())
        if not above.is_dir():
            return f"{above} is a file, and no folder that {self.path.name} could be in"
        if not above.resolve().is_relative_to("/proc") and not above.resolve().is_relative_to("/sys"):
            return None
        return f"{self.path} cannot be created: {above} belongs to the kernel, which keeps no files of others"

    def _is_something_else(self) -> bool:
        """True for a file with content that is not SQLite's; an empty one becomes a journal."""
        with suppress(OSError), self._lock:  # SQLite reports what cannot be read
            return not _MAGIC.startswith(self._first_bytes(self.path, len(_MAGIC)))
        return False

    def prepare(self, *, fresh: bool) -> Path | None:
        """Create the file, readable by nobody else, where it does not exist; only when it is `fresh`: a file that was
        open once is not replaced by an empty one. Raises OSError and JournalError.

        SQLite empties the log that it finds beside an empty file. Such a log is what is left of a journal whose file
        was lost: it is renamed, and its new name returned.
        """
        if (problem := self.problem_here()) is not None:
            raise JournalError(problem)
        kept = None
        if fresh:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            kept = self._keep_log()
            with suppress(FileExistsError):
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        for file in (self.path, self._log, self._index):
            with suppress(OSError):  # owned by another user, or missing: then SQLite reports the error
                if (mode := file.stat().st_mode) & 0o007:
                    file.chmod(mode & 0o770)
        with self._lock:
            self._file = self._seen = None
        return kept

    def _keep_log(self) -> Path | None:
        """Rename the log of a file that is missing or empty. Raises OSError."""
        if _size(self.path) or not _size(self._log):
            return None
        names = (Path(f"{self._log}.lost-{number}") for number in count(1))
        return self._log.rename(next(name for name in names if not name.exists()))

    def watch(self) -> Callable[[], str | None]:
        """Record the files of a connection that was opened just now. Return a function that tells what is wrong with
        them."""
        opened: tuple[tuple[int, int] | None, ...] | None = None

        def problem() -> str | None:
            nonlocal opened
            try:
                now = tuple(_identity(file) for file in (self.path, self._log, self._index))
                if opened is None:
                    opened = now
                return self._problem(opened, now)
            except OSError as error:
                return f"{self.path} cannot be looked at: {error.strerror}"

        return problem

    def _problem(self, opened: tuple[object, ...], now: tuple[tuple[int, int] | None, ...]) -> str | None:
        with self._lock:
            if self._file is None:
                self._file = now[0]
            for file, before, at_place in zip((self.path, self._log, self._index), opened, now, strict=True):
                if at_place is None:
                    return f"{file} was taken away while it was open"
                if at_place != before:
                    return f"{file} was replaced while it was open"
            if now[0] != self._file:
                return f"{self.path} was replaced while it was open"
            return self._cut()

    def _cut(self) -> str | None:
        before, now = self._seen, (self.path.stat(), self._read_index())
        self._seen = now
        stat, log = now
        if log is not None and log.longest:
            with self._log.open("rb") as file:
                magic = int.from_bytes(file.read(4), "big")
                if os.fstat(file.fileno()).st_size < log.longest or magic not in _LOG_MAGIC:
                    return f"{self._log} was cut or overwritten while it was open"
        if before is None:
            return None
        if stat.st_size < before[0].st_size and stat.st_size < self._bytes_by_header():
            return f"{self.path} was cut while it was open"
        is_ours = log is None or before[1] is None or log.is_being_copied or not log.has_not_moved(before[1])
        if _was_written(before[0], stat) and not is_ours:
            return f"{self.path} was written to by something else while it was open"
        return None

    def _bytes_by_header(self) -> int:
        header = self._first_bytes(self.path, _FILE_HEADER)
        if len(header) < _FILE_HEADER:
            return _FILE_HEADER
        page = int.from_bytes(header[16:18], "big")
        return (65536 if page == 1 else page) * int.from_bytes(header[28:32], "big")

    def _first_bytes(self, file: Path, number: int) -> bytes:
        """Return the beginning of the file at its place. Raises OSError. The descriptor stays open."""
        descriptor = self._kept.get(_identity(file) or (0, 0))
        if descriptor is None:
            descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
            stat = os.fstat(descriptor)
            self._kept[stat.st_dev, stat.st_ino] = descriptor
        return os.pread(descriptor, number, 0)

    def _read_index(self) -> _Log | None:
        """Return the index; None while another process writes it."""
        index = self._first_bytes(self._index, _COPYING + 4)
        if len(index) < _COPYING + 4 or index[:48] != index[48:96]:
            return None
        is_ready, page, frames, *salts = _INDEX.unpack_from(index)
        copied, copying = (struct.unpack_from("=I", index, place)[0] for place in (_COPIED, _COPYING))
        first, second = salts
        return _Log(65536 if page == 1 else page, frames, (first, second), copied, copying) if is_ready else None


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _was_written(before: os.stat_result, now: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns) != (now.st_size, now.st_mtime_ns)


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        stat = file.stat()
    except FileNotFoundError:
        return None
    return stat.st_dev, stat.st_ino
