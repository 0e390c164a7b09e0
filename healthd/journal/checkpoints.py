"""Checkpoints of SQLite: what the write-ahead log has is copied into the file, so that the log stays short.

SQLite copies by itself after a commit that finds enough pages in the log, and begins the log anew at a commit that
finds all of it copied and read by nobody ("Write-Ahead Logging", sections 2.1 and 6). Two cases it leaves: a disk that
is full, where the log takes the space that the file needs to take the log in; and reads that overlap without a gap,
under which the log grows for as long as they go on.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import structlog

from healthd.runtime.clock import Clock

_log = structlog.get_logger(__name__)
PAGES = 100
"""Pages in the log after which each commit copies them; SQLite's default is 1000, which is 4 MB that a small disk may
not have twice."""
LOG_BYTES = PAGES * 4096
"""Size that a log which is begun anew may keep."""
_LONG = 10 * PAGES
_PAUSE_SECONDS = 60.0
_WAIT_SECONDS = 0.25  # for readers: those of healthd take milliseconds, a backup or a replication may read for long


class Checkpoints:
    """Checkpoints of one journal that SQLite does not make by itself. None of them fails the write that it is made
    with."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._is_due = True
        self._again_at = 0.0

    def failed(self) -> None:
        """Take note of a failure: the next write is preceded by a checkpoint."""
        self._is_due = True

    async def before_write(self, driver: Any) -> None:
        """Copy what the log has, at the first write and at the first one after a failure. The write then begins the log
        anew, and needs no space on a disk that has none, or has had some freed. Waits for no reader."""
        if self._is_due:
            self._is_due = not await self._copy(driver, "PASSIVE")

    async def after_write(self, driver: Any, pages: int) -> None:
        """Empty a log of so many pages if that is long, once a minute at most. This keeps other writes waiting until
        those have ended that read now, but briefly: they are fast, and whoever reads after that no longer needs the
        log."""
        if pages < _LONG or self._clock.steady() < self._again_at:
            return
        self._again_at = self._clock.steady() + _PAUSE_SECONDS
        ((usual,),) = await driver.execute_fetchall("PRAGMA busy_timeout")
        await driver.execute_fetchall(f"PRAGMA busy_timeout={round(_WAIT_SECONDS * 1000)}")
        try:
            await self._copy(driver, "TRUNCATE")
        finally:
            await driver.execute_fetchall(f"PRAGMA busy_timeout={usual}")

    async def _copy(self, driver: Any, mode: str) -> bool:
        """Return whether all of the log is in the file."""
        try:
            ((is_busy, pages, copied),) = await driver.execute_fetchall(f"PRAGMA wal_checkpoint({mode})")
        except sqlite3.Error as error:  # a disk that is still full: the write itself tells
            _log.debug("journal log not copied into its file", mode=mode, problem=str(error))
            return False
        return not is_busy and bool(pages == copied)
