"""Opening of a journal: its files are prepared, its engines made, and its tables brought up to date."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

import structlog

from healthd.journal import engines, migrate
from healthd.journal.address import Place
from healthd.journal.async_engine import AsyncConnection
from healthd.journal.engines import Engines
from healthd.journal.errors import JournalError
from healthd.journal.migrate import Branch
from healthd.journal.sqlite_files import SQLiteFiles
from healthd.runtime.daemon_thread import in_daemon_thread

_log = structlog.get_logger(__name__)
_FREE_AGAIN = 0.05  # seconds between two checks whether a file is free
_ANOTHER = "move it, its -wal and its -shm away, then copy a backup to its place"
Transaction = Callable[[Engines], AbstractAsyncContextManager[AsyncConnection]]
"""Opens the transaction of an upgrade, one replica at a time. Raises JournalError, also for what fails in it."""


class Opening:
    """Opens the journal at one place, with tables of these branches."""

    def __init__(self, place: Place, branches: Sequence[Branch], transaction: Transaction) -> None:
        self._place, self._branches, self._transaction = place, branches, transaction
        self._schema: str | None = None

    async def open(self, *, again: bool) -> Engines:
        """Return open engines. Opened `again`, it must be the journal that was open before. Raises whatever is wrong
        with the place."""
        if isinstance(self._place, SQLiteFiles):
            kept = await asyncio.to_thread(self._place.prepare, fresh=not again)
            if kept is not None and again:
                _log.warning("journal log belongs to another file, set aside", log_kept=str(kept))
            elif kept is not None:
                _log.warning(
                    "journal file missing, empty journal begun", missing=str(self._place.path), log_kept=str(kept)
                )
        # They import drivers: in a thread, so that a file system that hangs stops nothing but the journal.
        opened = await in_daemon_thread(self._engines, name="journal")
        try:
            await self._upgrade_once_free(opened, again)
        except BaseException:
            await opened.dispose()
            raise
        return opened

    async def look_at_tables(self, opened: Engines) -> None:
        """Read and write no row of each table; where someone has dropped all of them, begin anew, in the schema where
        they were: in one that is closed to healthd they only cannot be seen. Raises JournalError for one that is not as
        it must be."""
        async with self._transaction(opened) as connection:
            is_there = self._schema is not None and await self._current_schema(connection) == self._schema
            if is_there and await connection.run_sync(migrate.is_empty, self._branches):
                await asyncio.to_thread(migrate.prepare)
                for branch in self._branches:
                    await connection.run_sync(migrate.upgrade, branch)
                _log.warning("journal tables dropped, empty journal begun")
            for branch in self._branches:
                await connection.run_sync(migrate.touch, branch)

    def _engines(self) -> Engines:
        return engines.sqlite(self._place) if isinstance(self._place, SQLiteFiles) else engines.postgresql(self._place)

    async def _upgrade_once_free(self, opened: Engines, again: bool) -> None:
        """Upgrade, with retries while the file is busy. SQLite switches to a write-ahead log only while no other
        connection is open, and does not wait for that."""
        deadline = asyncio.get_running_loop().time() + engines.BUSY_SECONDS
        while True:
            try:
                return await self._upgrade(opened, again)
            except JournalError as error:
                locked = isinstance(self._place, SQLiteFiles) and "locked" in str(error)
                if not locked or asyncio.get_running_loop().time() > deadline:
                    raise
            await asyncio.sleep(_FREE_AGAIN)

    async def _upgrade(self, opened: Engines, again: bool) -> None:
        async with self._transaction(opened) as connection:
            if isinstance(self._place, SQLiteFiles) and again:
                await self._require_the_same(connection)
            behind = [branch for branch in self._branches if await connection.run_sync(migrate.is_behind, branch)]
            if behind:
                await asyncio.to_thread(migrate.prepare)
            for branch in behind:
                await connection.run_sync(migrate.upgrade, branch)
            self._schema = await self._current_schema(connection)

    async def _current_schema(self, connection: AsyncConnection) -> str | None:
        """Return the schema of PostgreSQL in which tables are made, None where there is none."""
        if isinstance(self._place, SQLiteFiles):
            return None
        found: str | None = (await connection.exec_driver_sql("SELECT current_schema()")).scalar_one()
        return found

    async def _require_the_same(self, connection: AsyncConnection) -> None:
        """Raise JournalError for a file that is not the journal that was open, or is broken."""
        for branch in self._branches:
            if await connection.run_sync(migrate.version, branch) is None:
                raise JournalError(f"the file at its place is not the journal, its tables are not there: {_ANOTHER}")
        await require_whole(connection)


async def require_whole(connection: AsyncConnection) -> None:
    """Read every page of an SQLite file. Raises JournalError for one that is broken."""
    if (found := (await connection.exec_driver_sql("PRAGMA quick_check(1)")).scalar_one()) != "ok":
        raise JournalError(f"the file at its place is broken ({' '.join(str(found).split())}): {_ANOTHER}")
