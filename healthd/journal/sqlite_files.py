"""Files of an SQLite journal: readable by their owner alone, and checked before a write is acknowledged.

An open descriptor goes on working after its file was removed, replaced or cut: all that is written is lost with the
process.

A process that closes any descriptor of a file loses all its locks on that file (fcntl(2); "How To Corrupt An SQLite
Database File", 2.2). SQLite locks the file and its `-shm`; so descriptors of both that are opened here stay open until
SQLite's own are closed.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Lock

from healthd.journal.errors import JournalError
from healthd.journal.sqlite_log import INDEX_BYTES, Log, copied_pages, is_whole, read_index

_FILE_HEADER = 100
_MAGIC = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class _Seen:
    """The file, and its log at the same moment."""

    size: int
    written: int
    log: Log


class SQLiteFiles:
    """Files of one journal. Used by several threads, one per connection."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._log, self._index = Path(f"{path}-wal"), Path(f"{path}-shm")
        self._lock = Lock()
        self._kept: dict[tuple[int, int], int] = {}  # descriptors by the identity of their files
        self._file: tuple[int, int] | None = None
        self._seen: _Seen | None = None
        self._connections = 0
        self._foreign = False  # the file or its log holds something else
        self._log_is_foreign = False  # and the log belongs to what the file holds now

    @property
    def pages_in_log(self) -> int:
        """Return the number of pages that the log had when the files were looked at."""
        seen = self._seen
        return seen.log.frames if seen else 0

    def is_missing(self) -> bool:
        """True if the file does not exist at its place."""
        return not self.path.exists()

    def close(self) -> None:
        """Close what is open here, after SQLite's own descriptors."""
        with self._lock:
            if self._foreign:
                with suppress(OSError):
                    self._set_log_aside()
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

        SQLite empties the log that it finds beside an empty file, and takes the one that it finds beside another file
        for that one's. Such a log is what is left of a journal whose file was lost: it is renamed, and its new name
        returned.
        """
        if (problem := self.problem_here()) is not None:
            raise JournalError(problem)
        kept = None
        if self._foreign:
            if self._connections:
                raise JournalError(f"{self.path}: connections to what was in it are still open")
            with self._lock:
                kept = self._set_log_aside()
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
        return None if _size(self.path) else self._rename_log()

    def _set_log_aside(self) -> Path | None:
        """Take the log away that does not belong to the file, once no connection uses it. Raises OSError."""
        kept = None if self._log_is_foreign else self._rename_log()
        self._index.unlink(missing_ok=True)
        self._foreign = self._log_is_foreign = False
        with suppress(OSError):
            fcntl.fcntl(self._descriptor(self.path), fcntl.F_OFD_SETLK, _lock_of_readers(fcntl.F_UNLCK))
        return kept

    def _rename_log(self) -> Path | None:
        if not _size(self._log):
            return None
        names = (Path(f"{self._log}.lost-{number}") for number in count(1))
        return self._log.rename(next(name for name in names if not name.exists()))

    def watch(self) -> Callable[[], str | None]:
        """Record the files of a connection that was opened just now. Return a function that tells what is wrong with
        them."""
        opened: tuple[tuple[int, int] | None, ...] | None = None
        with self._lock:
            self._connections += 1

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

    def closed(self) -> None:
        """Take note that a connection was closed."""
        with self._lock:
            self._connections -= 1
            if not self._connections:  # the last one to be closed folds all of the log back, and removes it
                self._seen = None

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
        now = self._look()
        if now is None:  # something is being copied; what was seen before counts until that is over
            return None
        if now.log.has_more and not is_whole(self._log, now.log):
            return self._wrong(f"{self._log} was cut or overwritten while it was open", now)
        before = self._seen
        if before is not None:
            if now.size < before.size and now.size < self._bytes_by_header():
                return self._wrong(f"{self.path} was cut while it was open", now)
            was_written = (before.size, before.written) != (now.size, now.written)
            if was_written and not self._was_copied(before.log, now):
                return self._wrong(f"{self.path} was written to by something else while it was open", now)
        self._seen = now
        return None

    def _wrong(self, problem: str, seen: _Seen) -> str | None:
        """Return the problem, unless the log has moved since it was looked at: then the next look tells.

        SQLite writes its log into the file when the last connection is closed, for which it locks out all readers. So
        this process is a reader from now on, by a lock of an open file description (fcntl(2)): unlike others it
        conflicts with those of the same process.
        """
        if self._read_index() != seen.log:
            return None
        before = self._seen
        is_same_file = before is not None and (before.size, before.written) == (seen.size, seen.written)
        self._foreign, self._log_is_foreign = True, not is_same_file and not is_whole(self._log, seen.log)
        with suppress(OSError):
            fcntl.fcntl(self._descriptor(self.path), fcntl.F_OFD_SETLK, _lock_of_readers(fcntl.F_RDLCK))
        return problem

    def _look(self) -> _Seen | None:
        """Return the file and its log; None while the log is written or copied into the file."""
        log = self._read_index()
        stat = self.path.stat()
        if log is None or log.is_being_copied or log != self._read_index():
            return None
        return _Seen(stat.st_size, stat.st_mtime_ns, log)

    def _was_copied(self, before: Log, now: _Seen) -> bool:
        """True if what was written to the file is what its log had: it was folded back, and by nothing else."""
        log = now.log
        if log.has_not_moved(before):
            return False
        if log.copied:
            return self._has_frames(log)
        # It was begun anew, after all of it was folded back. What it has since says how large the file will be, not how
        # large it was then; and an index that was made anew from an empty log says nothing of it.
        says_size = log.pages and not log.frames
        return now.size == (log.pages * log.page if says_size else self._bytes_by_header())

    def _has_frames(self, log: Log) -> bool:
        """True if what the log says that it has copied stands in the file."""
        if not is_whole(self._log, log):
            return False
        pages = copied_pages(self._log, log)
        return all(self._bytes_at(self.path, place, log.page) == page for place, page in pages.items())

    def _bytes_by_header(self) -> int:
        header = self._first_bytes(self.path, _FILE_HEADER)
        if len(header) < _FILE_HEADER:
            return _FILE_HEADER
        page = int.from_bytes(header[16:18], "big")
        return (65536 if page == 1 else page) * int.from_bytes(header[28:32], "big")

    def _first_bytes(self, file: Path, number: int) -> bytes:
        return self._bytes_at(file, 0, number)

    def _bytes_at(self, file: Path, place: int, number: int) -> bytes:
        """Return bytes of the file at its place. Raises OSError."""
        return os.pread(self._descriptor(file), number, place)

    def _descriptor(self, file: Path) -> int:
        """Return a descriptor of the file at its place, which stays open. Raises OSError."""
        descriptor = self._kept.get(_identity(file) or (0, 0))
        if descriptor is None:
            descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
            stat = os.fstat(descriptor)
            self._kept[stat.st_dev, stat.st_ino] = descriptor
        return descriptor

    def _read_index(self) -> Log | None:
        return read_index(self._first_bytes(self._index, INDEX_BYTES))


def _lock_of_readers(kind: int) -> bytes:
    """Return a `struct flock` of the bytes that SQLite's readers lock in a file ("SHARED_FIRST" and "SHARED_SIZE")."""
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, 0x40000002, 510, 0)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        stat = file.stat()
    except FileNotFoundError:
        return None
    return stat.st_dev, stat.st_ino
