"""States of checks before this process: a status that outlived a restart has its beginning from the journal."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from healthd.checks.contract import Scope
from healthd.journal.errors import JournalError
from healthd.model import Status, Transition
from healthd.monitoring.board import Board

_log = structlog.get_logger(__name__)
_DAYS = 7 * 86400.0  # seconds of the past that are read
_RETRY_SECONDS = 2.0

Stored = tuple[str, datetime, Status, Status]
"""Check, time, old status, new status."""


class Earlier:
    """Gives the board the beginnings. A status that has changed since the start keeps its own."""

    def __init__(
        self, board: Board, read: Callable[[float], Awaitable[Sequence[Stored]]], *, of_one_host: bool = True
    ) -> None:
        """`read` returns the transitions of the last so many seconds, oldest first. It raises JournalError. Unless they
        are `of_one_host`, those of a check of this host's own may be another's."""
        self._board, self._read, self._of_one_host = board, read, of_one_host
        self._begun: dict[str, tuple[Status, datetime]] = {}
        self._changes: Counter[str] = Counter()

    def changed(self, transition: Transition) -> None:
        """Take a transition of this process."""
        self._changes[transition.check] += 1
        self._continue(transition.check)

    async def run(self) -> None:
        """Read the journal once, as soon as it can be read, and wait until cancelled."""
        while True:
            try:
                self._begun = last_runs(await self._read(_DAYS))
                break
            except JournalError:  # which the journal itself logs
                pass
            except Exception:  # health does not depend on it
                _log.exception("earlier transitions unreadable, checks begin with this start")
                break
            await asyncio.sleep(_RETRY_SECONDS)
        for name in list(self._begun):
            self._continue(name)
        await asyncio.Event().wait()

    def _continue(self, name: str) -> None:
        if not (changes := self._changes[name]) or name not in self._begun:
            return
        status, since = self._begun.pop(name)
        state = self._board.stored(name)
        if changes > 1 or state is None or state.status is not status or state.since is None or state.since <= since:
            return
        if state.config.scope is Scope.LOCAL and not self._of_one_host:
            return
        self._board.put(replace(state, since=since))


def last_runs(transitions: Iterable[Stored]) -> dict[str, tuple[Status, datetime]]:
    """Return the last status of each check, and since when it had no other. Each start of the daemon stores one more
    transition, to the status that the check already had."""
    runs: dict[str, tuple[Status, datetime]] = {}
    for name, at, _, new in transitions:
        if name not in runs or runs[name][0] is not new:
            runs[name] = new, at
    return runs
