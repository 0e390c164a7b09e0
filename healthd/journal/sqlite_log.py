"""Write-ahead log of SQLite, and its index in the `-shm` file, as SQLite's "WAL-mode File Format" defines them."""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_INDEX = struct.Struct("=12xBxHII8xII8x")  # isInit, szPage, mxFrame, nPage, two salts; it is there twice
_COPIED, _COPYING = 96, 128  # offsets of nBackfill and nBackfillAttempted
INDEX_BYTES = _COPYING + 4
_SALTS = struct.Struct("=16xII")  # in the header of the log, byte for byte as in its index
_MAGIC = (0x377F0682, 0x377F0683)
_FRAME_HEADER, _LOG_HEADER = 24, 32
_COMPARED = 4096  # frames


@dataclass(frozen=True, slots=True)
class Log:
    """Log according to its index. Frames up to `copied` are in the file, those up to `copying` may be; with all of them
    the file has `pages`."""

    page: int
    frames: int
    pages: int
    salts: tuple[int, int]
    copied: int
    copying: int

    @property
    def is_being_copied(self) -> bool:
        return self.copying != self.copied

    @property
    def has_more(self) -> bool:
        """True if it has what is not in the file."""
        return self.frames > self.copied

    def has_not_moved(self, before: Log) -> bool:
        """True if nothing was copied into the file since."""
        return (self.salts, self.copied, self.copying) == (before.salts, before.copied, before.copying)

    def place_of(self, frame: int) -> int:
        """Return the offset of a frame, of which the first is 1."""
        return _LOG_HEADER + (frame - 1) * (_FRAME_HEADER + self.page)


def read_index(index: bytes) -> Log | None:
    """Return the log that an index describes; None while it is being written."""
    if len(index) < INDEX_BYTES or index[:48] != index[48:96]:
        return None
    is_ready, page, frames, pages, first, second = _INDEX.unpack_from(index)
    copied, copying = (struct.unpack_from("=I", index, place)[0] for place in (_COPIED, _COPYING))
    if not is_ready or copied > frames:  # the log is being begun anew
        return None
    return Log(65536 if page == 1 else page, frames, pages, (first, second), copied, copying)


def is_whole(file: Path, log: Log) -> bool:
    """True if the file of the log is the one of its index, and has all its frames. Raises OSError."""
    if not log.frames:  # its header is that of the log before until the first frame is written
        return True
    with file.open("rb") as opened:
        header, size = opened.read(_LOG_HEADER), opened.seek(0, 2)
    with suppress(struct.error):
        is_the_same = int.from_bytes(header[:4], "big") in _MAGIC and _SALTS.unpack_from(header) == log.salts
        return is_the_same and size >= log.place_of(log.frames + 1)
    return False


def copied_pages(file: Path, log: Log) -> dict[int, bytes]:
    """Return pages that stand in the file as the log has them, by their offsets there: those of which each frame was
    copied. SQLite copies none of a page whose newest frame a reader keeps from it. Raises OSError."""
    first, newest = max(1, log.copied - _COMPARED + 1), dict[int, bytes]()
    with file.open("rb") as opened:
        for frame in range(first, log.frames + 1):
            opened.seek(log.place_of(frame))
            number = int.from_bytes(opened.read(_FRAME_HEADER)[:4], "big")
            if frame <= log.copied:
                newest[number] = opened.read(log.page)
            else:
                newest.pop(number, None)
    return {(number - 1) * log.page: page for number, page in newest.items() if number <= log.pages}
