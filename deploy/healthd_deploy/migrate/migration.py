"""Migration: steps in phases, and its undo. The file format is defined for each database separately."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Phase(StrEnum):
    """Phase of a step. A plain migration has only `up`; the zero-downtime form has the four in the middle."""

    UP = "up"
    PREPARE = "prepare"
    EXECUTE = "execute"
    VALIDATE = "validate"
    CLEANUP = "cleanup"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Part of a migration that is carried out as a whole, and counted as done only then."""

    phase: Phase
    atomic: bool
    """True if it runs in one transaction with the history: killed on the way, nothing of it is left."""
    shown: str
    """Text of the step, for people."""
    place: str
    """File and line, for messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches(Step):
    """Step over many rows, a batch at a time, each in a transaction with the progress."""

    size: int | None
    """Rows in a batch; None: as configured."""
    pause: float | None
    """Seconds between two batches; None: as configured."""


@dataclass(frozen=True, slots=True)
class Migration:
    """Migration in a file of a release. `down` is empty where it cannot be undone; `rollback_script` is its text."""

    name: str
    file: Path
    checksum: str
    up: tuple[Step, ...]
    down: tuple[Step, ...]
    rollback_script: str | None
    unfit: str | None = None
    """Reason why it could only fail, with the cure; what is applied already is left alone."""

    @property
    def number(self) -> int:
        return number_of(self.name)


class MalformedError(Exception):
    """Migration file that cannot be parsed: the file, its line where known, and the fix."""


def number_of(name: str) -> int:
    """Return the leading digits, by which migrations are ordered; -1 without."""
    digits = name[: len(name) - len(name.lstrip("0123456789"))]
    return int(digits) if digits else -1
