"""Files that are replaced as a whole, in one step, and can be put back on a full disk: room for one more is kept beside
each. All have names with a dot before them, which a server's `include conf.d/*` leaves out."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_LEAST = 4096  # bytes: a block, of which no file system gives less
_FULL = (errno.ENOSPC, errno.EDQUOT)


def replace_file(
    file: Path, content: bytes, *, uses_room: bool = False, unless: Callable[[], bool] = lambda: False
) -> None:
    """Replace a file; its content is on the disk when this returns. On a disk that is full, one that `uses_room` takes
    what `keep_room` has kept. `unless` is asked in the last moment, and the file stays as it was if it is true. Raises
    OSError, with the file as it was."""
    written = beside(file, "new")
    try:
        _write(written, content, "wb")
    except OSError as error:
        with suppress(OSError):
            written.unlink()
        if not uses_room or error.errno not in _FULL or not _has_room(file, len(content)):
            raise
        written = _spare(file)
        _write(written, content, "r+b")  # over its own blocks: no new ones are asked for
    if not unless():
        written.replace(file)


def keep_room(file: Path, size: int) -> None:
    """Keep room beside a file for a content of so many bytes. Raises OSError where there is none."""
    if not _has_room(file, size):
        try:
            _write(_spare(file), bytes(_room(size)), "wb")
        except OSError:
            with suppress(OSError):
                _spare(file).unlink()
            raise


def refuse_full(file: Path, size: int) -> None:
    """Raise OSError where there is no room for a content of so many bytes, and for the room that `keep_room` keeps.
    Changes nothing."""
    needed = _room(size) if _has_room(file, size) else 2 * _room(size)
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", suffix=".room") as trial:
        trial.write(bytes(needed))
        trial.flush()
        os.fsync(trial.fileno())


def _spare(file: Path) -> Path:
    return beside(file, "spare")


def beside(file: Path, what: str) -> Path:
    """Return the hidden file beside another that is its `what`: its lock, or the room that is kept."""
    return file.with_name(f".{file.name}.{what}")


def _room(size: int) -> int:
    """Return the bytes to keep for a content of so many: the next one may be longer."""
    return max(_LEAST, 2 * size)


def _has_room(file: Path, size: int) -> bool:
    try:
        return _spare(file).stat().st_size >= size
    except OSError:
        return False


def _write(file: Path, content: bytes, mode: str) -> None:
    with file.open(mode) as stream:
        stream.write(content)
        stream.truncate()
        stream.flush()
        os.fsync(stream.fileno())
