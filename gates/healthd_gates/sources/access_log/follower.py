"""Reads the lines of a log from a place on, each once, through renaming, copying and truncating, and compression."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from healthd_gates.sources.access_log.places import LogFile, Place, Position
from healthd_gates.sources.access_log.rotated import find, rotated_since, was_copied

_CHUNK = 1024 * 1024
LONGEST_LINE = 128 * 1024
"""Bytes of a line; a longer one is skipped."""
_DRAINED = 10.0  # seconds for which a rotated log may still be written to: workers reopen it one after the other

Sink = Callable[[list[str]], None]
"""Takes complete lines."""


@dataclass(slots=True)
class Reading:
    """Result of one reading: `skipped` lines were too long, `lost` counts the places after which lines are missing,
    `more` is true if there was no time to read all, and `problem` is why the present log cannot be read."""

    skipped: int = 0
    lost: int = 0
    more: bool = False
    problem: OSError | None = None


class Follower:
    """Follows one log. Its methods block: they are called in a thread."""

    def __init__(self, path: Path, position: Position | None) -> None:
        """Begin at a position, or at the end of the log if there is none. Raises OSError if the log cannot be read."""
        self._path = path
        self._files: list[LogFile] = []
        self._lost = 0
        self._stands: tuple[int, int, tuple[int, int]] | None = None
        self.is_overwritten = False
        """True if the log is written to and does not grow: what is written there is not seen."""
        if position is None:
            self._files = [_at_its_end(LogFile(path))]
        else:
            self._resume(position)

    @property
    def position(self) -> Position:
        """The present position. Raises OSError."""
        return tuple(file.known or file.place() for file in self._files)

    def read(self, sink: Sink, budget: int, now: float, stop: Position = ()) -> Reading:
        """Read what is new, up to about `budget` bytes and not beyond `stop`. `now` is on a steady clock."""
        reading, self._lost = Reading(lost=self._lost), 0
        try:
            self._read(sink, budget, stop, reading)
            self._drop_drained(now, sink, reading)
            self._compare(self._files[-1])
        except OSError as problem:  # the lines before it are read, and the place is behind them
            reading.problem = problem
        return reading

    def _read(self, sink: Sink, budget: int, stop: Position, reading: Reading) -> None:
        if not self._files:
            self._files = [LogFile(self._path)]
        for file in self._files:
            file.since = file.known.at if file.known is not None else file.since
        index = 0
        while index < len(self._files):
            file = self._files[index]
            if file.is_truncated and file is not self._files[-1]:  # it was overwritten by another copy
                self._files.pop(index).close()
                continue
            if file.is_truncated:
                self._files[index : index + 1] = self._after_truncation(file, reading)
                continue
            if not file.offset and not file.is_compressed and file.size:
                # Empty at the last look: it may have been filled, copied and truncated since.
                between = rotated_since(self._path, file.since, self._files)
                file.since = time.time_ns()
                self._files[index:index] = between
                if between:
                    continue
            limit = next((place.offset for place in stop if place.inode == file.inode), None)
            try:
                budget -= self._read_file(file, sink, budget, limit, reading)
            except OSError:
                if not file.is_compressed:
                    raise
                file.is_cut_off = True
                reading.lost += 1
            finally:
                file.remember()
            if budget <= 0:
                reading.more = True
                break
            if stop and file.inode == stop[-1].inode and file.offset >= stop[-1].offset:
                break
            index += 1
            if index == len(self._files):
                self._files += self._newer(file)

    def _compare(self, file: LogFile) -> None:
        """Compare what the log is with what it was at the last look."""
        before, self._stands = self._stands, (file.inode, file.offset, file.written)
        if before is None or before[:2] != self._stands[:2] or before[2][0] != self._stands[2][0]:
            self.is_overwritten = False
        elif before[2] != self._stands[2]:
            self.is_overwritten = True

    def close(self) -> None:
        for file in self._files:
            file.close()
        self._files = []

    def _resume(self, position: Position) -> None:
        for place in position:
            file = find(self._path, place)
            if file is None and place is position[-1]:
                file = self._begin_anew(place)
            elif file is None:
                self._lost += place.offset > 0
            if file is not None:
                self._files.append(file)

    def _begin_anew(self, place: Place) -> LogFile | None:
        """Return the log where counting goes on if the file of a place is gone. A truncated one has only newer lines;
        another one may be older than the gate, so that only what comes is counted."""
        self._lost += 1
        try:
            file = LogFile(self._path)
        except OSError:
            return None
        return file if file.inode == place.inode else _at_its_end(file)

    def _after_truncation(self, file: LogFile, reading: Reading) -> list[LogFile]:
        """Return the copy that was made of a truncated file, from the same place on, what came between, and the file
        from its beginning."""
        place = file.known
        copy = find(self._path, place) if place is not None else None
        file.begin()
        if copy is None:
            reading.lost += place is None or not was_copied(self._path, place)
            return [file]
        return [copy, *rotated_since(self._path, copy.since, [*self._files, copy]), file]

    def _newer(self, last: LogFile) -> list[LogFile]:
        """Return the files that took the place of the one that was the log."""
        current = LogFile(self._path)
        if any(current.inode == file.inode for file in self._files):
            current.close()
            return []
        return [*rotated_since(self._path, last.since, [*self._files, current]), current]

    def _read_file(self, file: LogFile, sink: Sink, budget: int, limit: int | None, reading: Reading) -> int:
        """Read a file to its last complete line; return the number of bytes read."""
        done = 0
        while done < budget:
            length = _CHUNK if limit is None else min(_CHUNK, limit - file.offset)
            chunk = file.read(file.offset, length) if length > 0 else b""
            if not chunk:
                break
            used = self._take(file, chunk, sink, reading)
            done += used
            if not used:
                break
        return done

    def _take(self, file: LogFile, chunk: bytes, sink: Sink, reading: Reading) -> int:
        start = 0
        if file.skipping:
            end = chunk.find(b"\n")
            if end < 0:
                file.offset += len(chunk)
                return len(chunk)
            file.skipping, start = False, end + 1
            reading.skipped += 1
        end = chunk.rfind(b"\n") + 1
        if end <= start and len(chunk) - start > LONGEST_LINE:
            file.skipping, end = True, len(chunk)
        elif end > start:
            lines = chunk[start : end - 1].decode("latin-1").split("\n")
            whole = [line for line in lines if len(line) <= LONGEST_LINE]
            reading.skipped += len(lines) - len(whole)
            sink(whole)
        end = max(start, end)
        file.offset += end
        return end

    def _drop_drained(self, now: float, sink: Sink, reading: Reading) -> None:
        """Close the rotated files that nothing was written to for a while. What has no line end there never will."""
        kept = []
        for file in self._files[:-1]:
            at = (file.offset, now)
            if file.quiet is None or file.quiet[0] != file.offset:
                file.quiet = at
            if reading.more or (not file.is_compressed and now - file.quiet[1] < _DRAINED):
                kept.append(file)
                continue
            if not file.is_cut_off and (rest := file.read(file.offset, LONGEST_LINE).strip(b"\0\n")):
                sink([rest.decode("latin-1")])
            file.close()
        self._files[:-1] = kept


def _at_its_end(file: LogFile) -> LogFile:
    """Move to the end of the last complete line."""
    size = file.size
    last = file.read(max(0, size - LONGEST_LINE), LONGEST_LINE)
    file.offset = size - (len(last) - last.rfind(b"\n") - 1 if b"\n" in last or size <= LONGEST_LINE else 0)
    file.remember()
    return file
