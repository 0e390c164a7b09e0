"""Addresses of a journal: `sqlite:///path`, or `postgresql://…`."""

from __future__ import annotations

import re
from pathlib import Path

from healthd.addresses.postgresql import PostgreSQLAddress, read_postgresql
from healthd.journal.sqlite_files import SQLiteFiles

Place = SQLiteFiles | PostgreSQLAddress


def place_of(text: str) -> Place:
    """Return the place at an address. Raises ValueError for one that is neither SQLite's nor PostgreSQL's."""
    if text.startswith(("postgresql://", "postgres://")):
        return read_postgresql(text)
    if found := re.match(r"sqlite:///(?!:memory:(?:\?|$))([^?]+)", text):
        return SQLiteFiles(Path(found[1]))
    raise ValueError("journal must be sqlite:////absolute/path/to/file or postgresql://user:password@host/database")


def problem_here(url: str) -> str | None:
    """Return why a journal with this valid address can never be on this host; None for a server's."""
    place = place_of(url)
    if not isinstance(place, SQLiteFiles):
        return None
    try:
        return place.problem_here()
    finally:
        place.close()
