"""What a database remembers of its migrations, and what the runner asks of a database. No SQL and no commands here."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from healthd_deploy.core.exit import COULD_NOT_ASK, DeployAborted
from healthd_deploy.migrate.migration import Batches, Migration, Step


class Status(StrEnum):
    """What the history says of a migration. healthd's check `migrations` knows these words."""

    RUNNING = "running"
    """A runner is at it; or, when nobody holds the lock, was when it died."""
    STOPPED = "stopped"
    """Stopped between two batches or steps, and goes on from there."""
    COMPLETED = "completed"
    FAILED = "failed"
    """It failed. Without progress nothing of it is left, and it is tried again; with progress it goes on from there."""
    DIRTY = "dirty"
    """It failed or was killed halfway and could not be undone: nobody but a person can tell what of it is left."""
    ROLLED_BACK = "rolled_back"
    """It was undone on request."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a migration that is neither done nor undone has come."""

    checksum: str
    step: int = 0
    """How many steps are done: of its `up`, or of its `down` when it is being undone."""
    begun: bool = False
    """Whether the next step, one that is not atomic, was begun: after a kill nobody knows how far it came."""
    undoing: Status | None = None
    """What the history says once it is undone; None while it goes forward."""
    last_key: Any = None
    """The key after which the next batch begins; None at the start of a pass."""
    rows: int = 0
    elapsed: float = 0.0
    """Seconds that runners spent on it so far."""
    error: str | None = None
    """What went wrong."""

    def after_step(self, elapsed: float) -> Progress:
        """One step further."""
        return replace(self, step=self.step + 1, begun=False, last_key=None, elapsed=elapsed, error=None)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the history, with its progress where there is any."""

    name: str
    status: str
    checksum: str | None = None
    rollback_script: str | None = None
    executed_at: datetime | None = None
    execution_time_ms: int | None = None
    progress: Progress | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be written of a migration; without progress, none is kept."""

    name: str
    status: Status
    checksum: str
    rollback_script: str | None
    elapsed: float = 0.0
    progress: Progress | None = None

    @classmethod
    def of(cls, migration: Migration, name: str, progress: Progress) -> Entry:
        """One that is being carried out, under the name that the history has for it."""
        script = migration.rollback_script
        return cls(name, Status.RUNNING, migration.checksum, script, progress.elapsed, progress)

    def going(self, progress: Progress, status: Status = Status.RUNNING) -> Entry:
        """Still on the way, this far."""
        return replace(self, status=status, progress=progress, elapsed=progress.elapsed)

    def ended(self, status: Status, elapsed: float) -> Entry:
        """At its end, whichever that is."""
        return replace(self, status=status, progress=None, elapsed=elapsed)


class StepFailedError(Exception):
    """The database refused a step. `passing` when the same may work a moment later, as after a lock timeout."""

    def __init__(self, message: str, *, passing: bool = False) -> None:
        self.passing = passing
        super().__init__(message)


class UnreachableError(DeployAborted):
    """The database, or the lock, was lost or never had: nothing can be done or written from here."""

    code = COULD_NOT_ASK


class HeldError(DeployAborted):
    """Another runner has the lock."""

    code = COULD_NOT_ASK


class Store(Protocol):
    """A database with its history. All but `lock` and `holder` may raise UnreachableError.

    `within` is in seconds: what a step may take at most, whatever its own timeouts are.
    """

    name: str

    async def close(self) -> None: ...

    def lock(self, wait: float) -> AbstractAsyncContextManager[None]:
        """Holds the lock, waiting for it at most `wait` seconds. Raises HeldError."""
        ...

    async def holder(self) -> str | None:
        """Who has the lock, for people; None when nobody has."""
        ...

    async def set_up(self) -> None:
        """Creates what the history is kept in, where it is missing."""
        ...

    async def history(self) -> list[Row]:
        """Every row; none where there is no history yet. Changes nothing."""
        ...

    async def record(self, entry: Entry) -> None:
        """Writes history and progress together."""
        ...

    async def carry_out(self, step: Step, then: Entry, within: float) -> None:
        """Runs a step and writes `then`: in one transaction when the step is atomic. Raises StepFailedError."""
        ...

    async def count(self, step: Batches) -> int | None:
        """About how many rows are to be done; None when that takes too long to find out."""
        ...

    async def batch(self, step: Batches, size: int, entry: Entry, within: float) -> Progress | None:
        """Does the next batch and writes the progress, in one transaction. None: no row is left after the last key.

        Raises StepFailedError.
        """
        ...

    async def lag(self) -> float:
        """Seconds that the slowest replica is behind; 0 where nobody knows."""
        ...

    def down_steps(self, rollback_script: str) -> tuple[Step, ...]:
        """How to undo, as the history has kept it. Raises MalformedError."""
        ...
