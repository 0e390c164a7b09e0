"""History of migrations in a database, and the interface that the runner needs of a database. No SQL and no commands
here."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from healthd_deploy.core.exit import COULD_NOT_ASK, DeployAborted
from healthd_deploy.migrate.migration import Batches, Migration, Step


class Status(StrEnum):
    """Status of a migration in the history. healthd's check `migrations` knows these values."""

    RUNNING = "running"
    """Running; or, when no runner holds the lock, it was when its runner died."""
    STOPPED = "stopped"
    """Stopped between two batches or steps; it continues from there."""
    COMPLETED = "completed"
    FAILED = "failed"
    """Failed. Without progress nothing of it is left, and it is retried; with progress it continues from there."""
    DIRTY = "dirty"
    """Failed or killed halfway, and not undone: a person must find out what is left of it."""
    ROLLED_BACK = "rolled_back"
    """Undone on request."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a migration that is neither done nor undone."""

    checksum: str
    step: int = 0
    """Number of steps that are done: of its `up`, or of its `down` when it is being undone."""
    begun: bool = False
    """True if the next step, one that is not atomic, was started: after a kill its progress is unknown."""
    undoing: Status | None = None
    """Status once it is undone; None while it goes forward."""
    last_key: Any = None
    """Key after which the next batch begins; None at the start of a pass."""
    rows: int = 0
    elapsed: float = 0.0
    """Seconds that runners spent on it so far."""
    error: str | None = None
    """Error message."""

    def after_step(self, elapsed: float) -> Progress:
        """Return the progress after one more step."""
        return replace(self, step=self.step + 1, begun=False, last_key=None, elapsed=elapsed, error=None)


@dataclass(frozen=True, slots=True)
class Row:
    """Row of the history, with its progress where there is any."""

    name: str
    status: str
    checksum: str | None = None
    rollback_script: str | None = None
    executed_at: datetime | None = None
    execution_time_ms: int | None = None
    progress: Progress | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """Entry to write for a migration; without progress, none is kept."""

    name: str
    status: Status
    checksum: str
    rollback_script: str | None
    elapsed: float = 0.0
    progress: Progress | None = None

    @classmethod
    def of(cls, migration: Migration, name: str, progress: Progress) -> Entry:
        """Return the entry of a migration in progress, under the name that the history has for it."""
        script = migration.rollback_script
        return cls(name, Status.RUNNING, migration.checksum, script, progress.elapsed, progress)

    def going(self, progress: Progress, status: Status = Status.RUNNING) -> Entry:
        """Return the entry with more progress."""
        return replace(self, status=status, progress=progress, elapsed=progress.elapsed)

    def ended(self, status: Status, elapsed: float) -> Entry:
        """Return the entry at its end, whatever the status."""
        return replace(self, status=status, progress=None, elapsed=elapsed)


class StepFailedError(Exception):
    """The database refused a step. `passing` when a retry may succeed, as after a lock timeout."""

    def __init__(self, message: str, *, passing: bool = False) -> None:
        self.passing = passing
        super().__init__(message)


class UnreachableError(DeployAborted):
    """The database, or the lock, was lost or never available: nothing can be done or written any more."""

    code = COULD_NOT_ASK


class HeldError(DeployAborted):
    """Another runner has the lock."""

    code = COULD_NOT_ASK


class Store(Protocol):
    """Database with its history. All but `lock` and `holder` may raise UnreachableError.

    `within` is in seconds: the maximum time of a step, whatever its own timeouts are.
    """

    name: str

    async def close(self) -> None: ...

    def lock(self, wait: float) -> AbstractAsyncContextManager[None]:
        """Hold the lock, after waiting for it at most `wait` seconds. Raises HeldError."""
        ...

    async def holder(self) -> str | None:
        """Return the holder of the lock, for people; None when it is free."""
        ...

    async def set_up(self) -> None:
        """Create the tables or collections of the history, where they are missing."""
        ...

    async def history(self) -> list[Row]:
        """Return every row; none where there is no history yet. Changes nothing."""
        ...

    async def record(self, entry: Entry) -> None:
        """Write history and progress together."""
        ...

    async def carry_out(self, step: Step, then: Entry, within: float) -> None:
        """Run a step and write `then`: in one transaction when the step is atomic. Raises StepFailedError."""
        ...

    async def count(self, step: Batches) -> int | None:
        """Return the approximate number of rows to do; None when counting takes too long."""
        ...

    async def batch(self, step: Batches, size: int, entry: Entry, within: float) -> Progress | None:
        """Do the next batch and write the progress, in one transaction. None: no row is left after the last key.

        Raises StepFailedError.
        """
        ...

    async def lag(self) -> float:
        """Return the replication lag of the slowest replica in seconds; 0 where it is unknown."""
        ...

    def down_steps(self, rollback_script: str) -> tuple[Step, ...]:
        """Return the undo steps, as stored in the history. Raises MalformedError."""
        ...
