"""Counts of a log's past, by the time in its lines; also from what was rotated and compressed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from healthd_gates.sources.access_log.counting import Counting
from healthd_gates.sources.access_log.format import Format, Get
from healthd_gates.sources.access_log.places import LogFile
from healthd_gates.sources.access_log.rotated import rotated
from healthd_gates.sources.access_log.tally import Question, Tally
from healthd_gates.sources.access_log.times import epoch

_MOST = 128 * 1024 * 1024
"""Bytes that are read: a busier log has a shorter past."""
_CHUNK = 1024 * 1024
_SLACK = 60.0  # seconds by which lines are out of order: a line is written when its request ends


@dataclass(frozen=True, slots=True)
class Span:
    """`steps` steps of `step` seconds from `start` on."""

    start: float
    step: float
    steps: int

    @property
    def end(self) -> float:
        return self.start + self.step * self.steps


def past(path: Path, form: Format, question: Question, edges: tuple[float, ...], span: Span) -> dict[int, Tally]:
    """Return the counts of each step that has any line, by its number. Raises OSError if the log cannot be read."""
    if form.roles.time is None:
        return {}
    time, counting = form.get(form.roles.time), Counting(question, form)
    tallies: dict[int, Tally] = {}
    left = _MOST
    cut: float | None = None
    for file in _newest_first(path, span.start):
        try:
            begin = _first(file, form, time, span.start - _SLACK)
            if not file.is_compressed and file.size - begin > left:
                begin = file.size - left
                cut = _time_at(file, begin, form, time)
            for line in _lines(file, begin, left):
                fields = form.parse(line)
                at = epoch(time(fields)) if fields is not None else None
                if fields is None or at is None or not span.start <= at < span.end:
                    continue
                place = int((at - span.start) / span.step)
                tally = tallies.setdefault(place, Tally(edges))
                tally.lines += 1
                tally.misfits += not counting.count(fields, tally)
            left -= max(0, file.offset - begin)
        except OSError:
            if file.path == path:
                raise
        finally:
            file.close()
        if left <= 0:
            break
    if cut is not None:  # the step in which reading began is not whole
        return {place: tally for place, tally in tallies.items() if span.start + place * span.step >= cut}
    return tallies


def last_lines(path: Path, length: int) -> list[str]:
    """Return the last complete lines of a log. Raises OSError."""
    file = LogFile(path)
    try:
        size = file.size
        chunk = file.read(max(0, size - length), length)
    finally:
        file.close()
    lines = chunk.decode("latin-1").split("\n")[:-1]
    return lines if size <= length else lines[1:]


def _newest_first(path: Path, start: float) -> Iterator[LogFile]:
    yield LogFile(path)
    for candidate in rotated(path):
        try:
            if candidate.stat().st_mtime < start:
                return
            yield LogFile(candidate)
        except OSError:
            continue


def _first(file: LogFile, form: Format, time: Get, start: float) -> int:
    """Return the place from which a file is read: by bisection, as lines are almost in the order of time."""
    if file.is_compressed:
        return 0
    low, high = 0, file.size
    while high - low > _CHUNK:
        middle = (low + high) // 2
        at = _time_at(file, middle, form, time)
        if at is not None and at < start:
            low = middle
        else:
            high = middle
    return low


def _time_at(file: LogFile, offset: int, form: Format, time: Get) -> float | None:
    """Return the time of the first line after a place that has one."""
    for line in file.read(offset, _CHUNK // 4).decode("latin-1").split("\n")[1:-1]:
        fields = form.parse(line)
        if fields is not None and (at := epoch(time(fields))) is not None:
            return at
    return None


def _lines(file: LogFile, begin: int, most: int) -> Iterator[str]:
    file.offset, rest = begin, b""
    partial = begin > 0
    while file.offset - begin < most and (chunk := file.read(file.offset, _CHUNK)):
        file.offset += len(chunk)
        whole, newline, rest = (rest[-_CHUNK:] + chunk).rpartition(b"\n")
        if not newline:
            continue
        lines = whole.decode("latin-1").split("\n")
        yield from lines[1:] if partial else lines
        partial = False
