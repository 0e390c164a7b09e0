"""One database, SQLite or PostgreSQL: connections, transactions, and one type of error for all failures.

The tables are defined by `tables` here and by the packages that bring tables of their own.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import SQLAlchemyError

from healthd.journal import engines
from healthd.journal.address import place_of
from healthd.journal.async_engine import AsyncConnection, AsyncEngine
from healthd.journal.checkpoints import Checkpoints
from healthd.journal.driver_errors import CALLERS_OWN, is_callers_own, is_of_a_table, sentence
from healthd.journal.engines import Engines
from healthd.journal.errors import JournalError, JournalGoneError
from healthd.journal.migrate import Branch
from healthd.journal.opening import Opening, require_whole
from healthd.journal.outage import Outage, Outages
from healthd.journal.places import NoPlaceError, Places
from healthd.journal.sqlite_files import SQLiteFiles
from healthd.runtime.clock import Clock

__all__ = ["Database", "JournalError"]
_log = structlog.get_logger(__name__)
_OPENING_SECONDS = 2.0
_PUT_IT_BACK = (
    "nothing is stored until it is back, or until what is left of it (-wal and -shm too) is moved away and a backup is "
    "copied to its place; a restart without it begins an empty one"
)
_OF_THE_DATABASE = (SQLAlchemyError, sqlite3.Error, OSError, TimeoutError, EOFError, JournalError)
_LOCK_SEED = 7263741  # distinguishes our locks from those of others in the same PostgreSQL


class Database:
    """Database of the journal. It may be down when the daemon starts and become available later: `open` can be
    retried."""

    def __init__(self, url: str, clock: Clock, branches: Sequence[Branch]) -> None:
        """Create the database object. Raises ValueError for an address that is neither SQLite's nor PostgreSQL's."""
        self._place, self._clock = place_of(url), clock
        self._opening = Opening(self._place, branches, self._upgrading)
        self._checkpoints = Checkpoints(clock)
        self._lock = asyncio.Lock()
        self._engines: Engines | None = None
        self._was_open = False
        self._outages = Outages(clock)
        self._gone: str | None = None
        self._look: Callable[[], None] = lambda: None
        self._unopened = "it is not open yet"

    @property
    def is_sqlite(self) -> bool:
        return isinstance(self._place, SQLiteFiles)

    @property
    def works(self) -> bool:
        """True if recent callers could use it."""
        return self._gone is None and self._outages.has_none_of_late

    @property
    def outage(self) -> Outage | None:
        """Return since when it cannot be used, and why; None where it can."""
        return self._outages.current if self._gone is None else self._outages.latest

    @property
    def was_open(self) -> bool:
        """True once it could be used: whoever wrote into it did so after that."""
        return self._was_open

    async def open(self) -> None:
        """Connect, and bring the tables up to date; only once. Raises JournalError."""
        async with self._lock:
            if self._engines is not None:
                return
            try:
                opened = await self._opening.open(again=self._was_open)
            except JournalGoneError:
                raise
            except Exception as error:
                failed = self._failed(error)
                self._unopened = str(failed)
                raise JournalGoneError(f"{self._gone} ({failed})") if self._gone else failed from error
            if self._gone is not None:
                _log.warning("journal file replaced, continuing with its present content")
            self._engines, self._was_open, self._gone = opened, True, None
            self._outages.ended()

    @property
    def tables_amiss(self) -> bool:
        """True from an error of some table's own until `look_at_tables` found all of them well."""
        return self._outages.tables_amiss

    def ask_for_looks(self, look: Callable[[], None]) -> None:
        """Call `look` at each error of some table's own: `look_at_tables` is to follow, until it succeeds."""
        self._look = look

    async def look_at_tables(self) -> None:
        """End an outage of some table's own, if every table can be read and written again. Raises JournalError."""
        if self.tables_amiss:
            if self.is_sqlite:
                async with self.read() as connection:  # beside writers, since it reads every page
                    await require_whole(connection)
            await self._opening.look_at_tables(await self._settled())
            self._outages.tables_well()

    async def close(self) -> None:
        opened, self._engines = self._engines, None
        if opened is not None:
            await opened.dispose()
        if isinstance(self._place, SQLiteFiles):
            self._place.close()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that may write, committed at the end of the block. Raises JournalError."""
        opened = await self._settled()
        async with self._transaction(opened, opened.writer, opened.to_write, checkpoints=self.is_sqlite) as connection:
            yield connection
            await self._look_at_files(connection)
        self._outages.wrote()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that only reads; on SQLite it waits for no writer. Raises JournalError."""
        opened = await self._settled()
        async with self._transaction(opened, opened.reader, opened.to_read) as connection:
            await self._look_at_files(connection)
            yield connection

    async def moment(self, connection: AsyncConnection) -> datetime:
        """Return the time by which leases are measured: the server's where several replicas share one."""
        if self.is_sqlite:
            return self._clock.now()
        moment: datetime = (await connection.execute(sa.text("SELECT clock_timestamp()"))).scalar_one()
        return moment

    async def one_at_a_time(self, connection: AsyncConnection, what: str) -> None:
        """Block other transactions with the same `what`, on any replica, until this transaction ends."""
        if not self.is_sqlite:  # which has one writer at a time anyway
            lock = sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(what, _LOCK_SEED)))
            await connection.execute(lock)

    async def _settled(self) -> Engines:
        """Return the open engines. Waits a moment for an `open` in progress: the first callers come with the start."""
        if self._engines is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_OPENING_SECONDS), self._lock:
                    pass
        if self._engines is None:
            raise JournalGoneError(self._gone) if self._gone else JournalError(self._unopened)
        return self._engines

    @asynccontextmanager
    async def _upgrading(self, opened: Engines) -> AsyncIterator[AsyncConnection]:
        """Open the transaction of an upgrade, one replica at a time."""
        async with self._transaction(opened, opened.writer, opened.to_write, is_ours=True) as connection:
            await self.one_at_a_time(connection, "upgrade")
            yield connection

    @asynccontextmanager
    async def _transaction(
        self, opened: Engines, engine: AsyncEngine, places: Places, *, is_ours: bool = False, checkpoints: bool = False
    ) -> AsyncIterator[AsyncConnection]:
        """Open a transaction in its turn. What the block itself raises passes through, unless the block `is_ours`."""
        try:
            async with places.one(), self._begun(opened, engine, is_ours, checkpoints) as connection:
                yield connection
        except NoPlaceError as error:
            raise self._failed(error) from None

    @asynccontextmanager
    async def _begun(
        self, opened: Engines, engine: AsyncEngine, is_ours: bool, checkpoints: bool
    ) -> AsyncIterator[AsyncConnection]:
        in_block = False
        try:
            async with engine.connect() as connection:
                try:
                    if checkpoints:
                        await self._look_at_files(connection)  # before anything is copied into another's file
                        await self._checkpoints.before_write(await _driver(connection))
                    async with connection.begin():
                        in_block = not is_ours
                        yield connection
                        in_block = False
                    if checkpoints:
                        await self._look_at_files(connection)  # written to meanwhile, before it is acknowledged
                        await self._checkpoints.after_write(await _driver(connection), self._pages_in_log())
                finally:
                    if opened.stale:
                        await connection.invalidate()
        except CALLERS_OWN:
            raise
        except JournalGoneError as error:
            await self._let_go_of(opened, str(error))
            raise
        except Exception as error:
            if in_block and is_callers_own(error):
                raise
            if in_block and not isinstance(error, _OF_THE_DATABASE):
                raise
            if isinstance(self._place, SQLiteFiles) and self._was_open and self._place.is_missing():
                problem = f"{self._place.path} was taken away while it was open: {_PUT_IT_BACK}"
                await self._let_go_of(opened, problem)
                raise JournalGoneError(self._gone or problem) from error
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> JournalError:
        self._checkpoints.failed()
        failed = error if isinstance(error, JournalError) else JournalError(self._told(error))
        self._outages.failed(str(failed))
        if is_of_a_table(error):
            self._outages.tables_amiss = True
            self._look()
        return failed

    def _told(self, error: Exception) -> str:
        place = self._place
        if not isinstance(place, SQLiteFiles):
            return sentence(error, role=place.role, schema=place.schema)
        if isinstance(error, OSError) and error.filename is not None:
            return f"{error.filename}: {error.strerror}"
        return f"{place.path}: {sentence(error)}"

    async def _look_at_files(self, connection: AsyncConnection) -> None:
        """Raise JournalGoneError where what is written would be lost with this process."""
        if not self.is_sqlite:
            return
        driver = await _driver(connection)
        ((problem,),) = await driver.execute_fetchall(f"SELECT {engines.PROBLEM}()")
        if problem is not None:
            raise JournalGoneError(f"{problem}: {_PUT_IT_BACK}")

    def _pages_in_log(self) -> int:
        return self._place.pages_in_log if isinstance(self._place, SQLiteFiles) else 0

    async def _let_go_of(self, opened: Engines, problem: str) -> None:
        """Close the engines of a file that was removed or replaced. This also copies into the file what only its log
        has."""
        if self._engines is opened:
            self._engines, self._gone = None, problem
            self._outages.failed(problem)
            _log.error("journal file removed or replaced", problem=problem)
            await opened.dispose()


async def _driver(connection: AsyncConnection) -> Any:
    """Return the driver's own connection, whose statements begin no transaction."""
    return (await connection.get_raw_connection()).driver_connection
