"""Migrations of a release: the files of a folder, in order. The database's reader parses a file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

from healthd_deploy.migrate.migration import MalformedError, Migration

_NAME = re.compile(r"\d+[-_][A-Za-z0-9][A-Za-z0-9._-]*")
Reader = Callable[[Path, str, str], Migration]
"""Function from file, text and checksum to a Migration. Raises MalformedError."""


def read_folder(folder: Path, suffixes: tuple[str, ...], reader: Reader) -> list[Migration]:
    """Return every migration of a folder, ordered by number. Raises MalformedError with all errors, a line each."""
    problems: list[str] = []
    migrations: list[Migration] = []
    for file in _files(folder, suffixes):
        try:
            migrations.append(_read(file, reader))
        except MalformedError as error:
            problems.append(str(error))
    migrations.sort(key=lambda migration: (migration.number, migration.name))
    for one, next_one in pairwise(migrations):
        if one.number == next_one.number:
            problems.append(
                f"{next_one.file}: has the number of {one.file.name}: give one of them the next free number"
            )
    if problems:
        raise MalformedError("\n".join(problems))
    return migrations


def _files(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise MalformedError(f"{folder}: cannot be read as a folder of migrations: {error.strerror}") from None
    for file in files:
        if file.suffix in suffixes and not file.name.startswith(".") and file.is_file():
            yield file


def _read(file: Path, reader: Reader) -> Migration:
    if not _NAME.fullmatch(file.stem):
        raise MalformedError(
            f"{file}: name it by its number and what it does, such as 0007_add_courses_index{file.suffix}"
        )
    try:
        content = file.read_bytes()
        text = content.decode("utf-8-sig")  # editors of Windows begin a file with a mark
    except OSError as error:
        raise MalformedError(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise MalformedError(f"{file}: is not UTF-8 text") from None
    return reader(file, text, hashlib.sha256(content).hexdigest())
