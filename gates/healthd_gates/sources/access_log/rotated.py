"""The files that a log was moved to: renamed, copied or compressed."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from healthd_gates.sources.access_log.places import COMPRESSED, UNREADABLE, LogFile, Place

_DATE_OR_NUMBER = r"[-._]\d[-._0-9]*"
_MOST_SIBLINGS = 2000


def find(path: Path, place: Place) -> LogFile | None:
    """Return the open file that the place is in: the log itself, or what it was renamed, copied or compressed to."""
    candidates = [path, *siblings(path)]
    for same_inode in (True, False):
        for candidate in candidates:
            if not same_inode and not place.head_length:
                continue  # a place at the beginning of a file fits every file
            try:
                if same_inode and candidate.stat().st_ino != place.inode:
                    continue
                file = LogFile(candidate)
            except UNREADABLE:
                continue
            if file.holds(place):
                file.go_to(place)
                return file
            file.close()
    return None


def rotated_since(path: Path, since: int, known: Collection[LogFile]) -> list[LogFile]:
    """Return the files, oldest first, that were the log, were written to since then (in nanoseconds since 1970), and
    are not known."""
    heads, inodes = {file.head() for file in known}, {file.inode for file in known}
    found: list[tuple[int, LogFile]] = []
    for candidate in rotated(path):
        try:
            info = candidate.stat()
            if info.st_ino in inodes or info.st_mtime_ns <= since:
                continue
            file = LogFile(candidate)
        except UNREADABLE:
            continue
        if (head := file.head()) is None or head in heads:  # a copy of one that is read already
            file.close()
            continue
        heads.add(head)
        found.append((info.st_mtime_ns, file))
    return [file for _, file in sorted(found, key=lambda each: each[0])]


def rotated(path: Path) -> list[Path]:
    """Return what was the log before, the newest first."""
    return [each for each in siblings(path) if _is_rotated(path, each)]


def siblings(path: Path) -> list[Path]:
    """Return the other files in its folder whose names begin alike, the newest first."""
    stem = path.name.split(".")[0]
    folders = dict.fromkeys((path.parent, Path(os.path.realpath(path)).parent))
    return [each for _, each in sorted(_alike(folders, stem, path), key=lambda it: it[0], reverse=True)]


def was_copied(path: Path, place: Place) -> bool:
    """True if a file is there that begins as the place's does: what the place had not reached was not in the copy."""
    for candidate in siblings(path):
        try:
            file = LogFile(candidate)
        except UNREADABLE:
            continue
        try:
            if place.head_length and file.digest(0, place.head_length) == place.head:
                return True
        except OSError:
            continue
        finally:
            file.close()
    return False


def _alike(folders: Iterable[Path], stem: str, path: Path) -> Iterator[tuple[int, Path]]:
    left = _MOST_SIBLINGS
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith(stem) and entry.path != str(path) and entry.is_file():
                        yield entry.stat().st_mtime_ns, Path(entry.path)
                        left -= 1
                    if not left:
                        return
        except OSError:
            continue


def _is_rotated(path: Path, candidate: Path) -> bool:
    """True for the names that logrotate and others give: access.log.1, access.log-20261126.gz, access-20261126."""
    name = candidate.name.removesuffix(candidate.suffix) if candidate.suffix in COMPRESSED else candidate.name
    whole = re.escape(path.name) + _DATE_OR_NUMBER
    before_suffix = re.escape(path.stem) + _DATE_OR_NUMBER + re.escape(path.suffix)
    return re.fullmatch(f"{whole}|{before_suffix}", name) is not None
