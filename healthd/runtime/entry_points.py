"""Plug-ins of installed packages, read once for all who ask: each reading opens a file of every installed package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from typing import Any

from healthd.runtime.lean_imports import replacing

_read = metadata.entry_points


@cache
def installed_entry_points() -> Any:
    """Return those of all groups, of which `select` finds some."""
    return _read()


@contextmanager
def read_once() -> Iterator[None]:
    """Let libraries that are imported meanwhile have what was read before: pydantic reads them with its first model,
    APScheduler three times."""
    with replacing("importlib.metadata", "entry_points", lambda **wanted: installed_entry_points().select(**wanted)):
        yield
