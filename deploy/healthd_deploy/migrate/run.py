"""Objects of one run in one database, its throttle, and the ways in which it can fail."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from healthd.runtime.clock import Clock
from healthd_deploy.core.exit import INCONCLUSIVE, INTERRUPTED, NOT_UNDONE, DeployAborted
from healthd_deploy.migrate.console import Console
from healthd_deploy.migrate.history import StepFailedError, Store
from healthd_deploy.migrate.settings import Batching
from healthd_deploy.migrate.stop import Reason, Stop

ResultT = TypeVar("ResultT")
_LONGEST_WAIT = 10.0  # seconds between two attempts


class MigrationFailedError(DeployAborted):
    """A migration failed: it was undone, or can continue from where it failed."""


class NotUndoneError(DeployAborted):
    """A migration failed and could not be undone: a person is needed."""

    code = NOT_UNDONE


class OutOfTimeError(DeployAborted):
    """The time limit was reached before a migration, or between two steps of one."""

    code = INCONCLUSIVE


class InterruptedRunError(DeployAborted):
    """The run was interrupted before a migration, or between two steps of one."""

    code = INTERRUPTED


def stopped(reason: Reason, message: str) -> DeployAborted:
    """Return the exception for a run that ended early."""
    kind = InterruptedRunError if reason is Reason.INTERRUPTED else OutOfTimeError
    return kind(message)


@dataclass(frozen=True, slots=True)
class Throttle:
    """Limits on a run's load: `MigrateConfig` describes each."""

    batches: Batching
    phase_pause: float
    undo_limit: float
    attempts: int


@dataclass(frozen=True, slots=True)
class Run:
    """Run in one database, whose lock the caller holds."""

    store: Store
    manners: Throttle
    stop: Stop
    clock: Clock
    console: Console

    async def trying(self, act: Callable[[], Awaitable[ResultT]], stop: Stop) -> ResultT:
        """Retry after a lock timeout, a deadlock or a write conflict, which leave nothing behind.

        The pauses let the queue behind the lock drain. Raises StepFailedError.
        """
        for attempt in range(1, self.manners.attempts):
            try:
                return await act()
            except StepFailedError as error:
                if not error.passing or stop.reason:
                    raise
                self.console.say(f"{error}; tries again ({attempt} of {self.manners.attempts - 1})")
                await stop.pause(min(_LONGEST_WAIT, 2 ** (attempt - 1)) * random.uniform(0.5, 1.0))
        return await act()
