"""Read a file as text, within bounds: no device, no pipe that nobody writes into, nothing without end."""

from __future__ import annotations

import codecs
import os
from pathlib import Path
from stat import S_ISFIFO, S_ISREG

_INHERITED = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")  # what a shell passes on: `<(command)`, `command |`
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class UnreadableError(Exception):
    """The file cannot be read; the message says why. `line` is that of a byte that is no text; `is_away` is True for a
    file that is not there, or that this user may not read."""

    def __init__(self, message: str, line: int | None = None, *, is_away: bool = False) -> None:
        self.line, self.is_away = line, is_away
        super().__init__(message)


def read_text(path: Path, largest: int) -> str:
    """Return the text of a file of at most `largest` bytes. Raises UnreadableError."""
    inherited = str(path).startswith(_INHERITED)
    # A pipe that nobody writes into is opened, and then refused, at once.
    flags = os.O_RDONLY | os.O_CLOEXEC | (0 if inherited else os.O_NONBLOCK)
    try:
        with open(os.open(path, flags), "rb") as file:  # noqa: PTH123 - a descriptor, not a path
            mode = os.fstat(file.fileno()).st_mode
            if not (S_ISREG(mode) or (inherited and S_ISFIFO(mode))):
                raise UnreadableError("it is not a regular file")
            content = file.read(largest + 1)
    except OSError as error:
        raise UnreadableError(error.strerror or type(error).__name__, is_away=True) from None
    if len(content) > largest:
        raise UnreadableError(f"it has more than {largest:,} bytes")
    return _decoded(content)


def _decoded(content: bytes) -> str:
    if content.startswith(_UTF_16) or b"\0" in content[:2]:  # some editors leave out the mark
        raise UnreadableError("is UTF-16 text: save it as UTF-8")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UnreadableError(f"is not UTF-8 text: byte 0x{content[error.start]:02X}: save it as UTF-8", line) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")
