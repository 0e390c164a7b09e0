"""One database, SQLite or PostgreSQL: connections, transactions, and one kind of error for whatever goes wrong there.

What is stored in it is the business of `tables` here and of the packages that bring tables of their own.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from healthd.journal import migrate
from healthd.journal.migrate import Branch
from healthd.runtime.clock import Clock

_BUSY_SECONDS = 5.0
_FREE_AGAIN = 0.05  # seconds between two looks whether a file is free
_CONNECT_SECONDS = 5.0
_OPENING_SECONDS = 2.0
_COMMAND_SECONDS = 10.0
_CONNECTIONS = 8
_LOCK_SEED = 7263741  # keeps our locks apart from those of others in the same PostgreSQL


class JournalError(Exception):
    """The journal cannot be read or written now. Nothing of the transaction was kept, unless the connection broke while
    it was being committed: then either all of it was kept or nothing.
    """


class Database:
    """The journal's database. It may be down when the daemon starts and come later: `open` can be tried again."""

    def __init__(self, url: str, clock: Clock, branches: Sequence[Branch]) -> None:
        """Raises ValueError for an address that is neither SQLite's nor PostgreSQL's."""
        self._url = _parse(url)
        self._clock, self._branches = clock, branches
        self._lock = asyncio.Lock()
        self._writer: AsyncEngine | None = None
        self._reader: AsyncEngine | None = None

    @property
    def is_sqlite(self) -> bool:
        return self._url.get_backend_name() == "sqlite"

    async def open(self) -> None:
        """Connect, and bring the tables up to date; once only. Raises JournalError."""
        async with self._lock:
            if self._writer is not None:
                return
            with _raising_journal_errors():
                self._prepare_folder()
            writer, reader = self._engines()
            try:
                await self._upgrade_once_free(writer)
            except BaseException:
                await _dispose(writer, reader)
                raise
            self._writer, self._reader = writer, reader

    async def close(self) -> None:
        await _dispose(self._writer, self._reader)
        self._writer = self._reader = None

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that may write, committed at the end of the block. Raises JournalError."""
        await self._settled()
        async with _transaction(self._writer) as connection:
            yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads; on SQLite it waits for no writer. Raises JournalError."""
        await self._settled()
        async with _transaction(self._reader) as connection:
            yield connection

    async def moment(self, connection: AsyncConnection) -> datetime:
        """The time by which leases are measured: the server's where several replicas share one."""
        if self.is_sqlite:
            return self._clock.now()
        moment: datetime = (await connection.execute(sa.text("SELECT clock_timestamp()"))).scalar_one()
        return moment

    async def one_at_a_time(self, connection: AsyncConnection, what: str) -> None:
        """Until its end, no other transaction that asks for the same `what` goes on, at whichever replica."""
        if not self.is_sqlite:  # which has one writer at a time anyway
            lock = sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(what, _LOCK_SEED)))
            await connection.execute(lock)

    async def _settled(self) -> None:
        """Wait a moment for an `open` that is under way: the first callers come with the start."""
        if self._writer is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_OPENING_SECONDS), self._lock:
                    pass

    async def _upgrade_once_free(self, engine: AsyncEngine) -> None:
        """SQLite makes a file's log a write-ahead log only while nobody else is there, and does not wait for that."""
        deadline = asyncio.get_running_loop().time() + _BUSY_SECONDS
        while True:
            try:
                return await self._upgrade(engine)
            except JournalError as error:
                locked = self.is_sqlite and "locked" in str(error)
                if not locked or asyncio.get_running_loop().time() > deadline:
                    raise
            await asyncio.sleep(_FREE_AGAIN)

    async def _upgrade(self, engine: AsyncEngine) -> None:
        """All or nothing, and one replica at a time."""
        async with _transaction(engine) as connection:
            await self.one_at_a_time(connection, "upgrade")
            behind = [branch for branch in self._branches if await connection.run_sync(migrate.is_behind, branch)]
            if behind:
                await asyncio.to_thread(migrate.prepare)
            for branch in behind:
                await connection.run_sync(migrate.upgrade, branch)

    def _prepare_folder(self) -> None:
        if self.is_sqlite and self._url.database:
            Path(self._url.database).parent.mkdir(parents=True, exist_ok=True)

    def _engines(self) -> tuple[AsyncEngine, AsyncEngine]:
        if not self.is_sqlite:
            arguments = {"timeout": _CONNECT_SECONDS, "command_timeout": _COMMAND_SECONDS}
            engine = create_async_engine(
                self._url,
                pool_size=_CONNECTIONS,
                max_overflow=0,
                pool_timeout=_COMMAND_SECONDS,
                pool_pre_ping=True,
                hide_parameters=True,
                connect_args=arguments,
            )
            return engine, engine
        # One writer: the queue for it is the pool's, not SQLite's busy handler.
        writer, reader = self._sqlite(1, "BEGIN IMMEDIATE"), self._sqlite(_CONNECTIONS // 2, "BEGIN")
        return writer, reader

    def _sqlite(self, connections: int, begin: str) -> AsyncEngine:
        engine = create_async_engine(
            self._url,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=_COMMAND_SECONDS,
            hide_parameters=True,
            connect_args={"timeout": _BUSY_SECONDS},
        )

        @event.listens_for(engine.sync_engine, "connect")
        def configure(connection: Any, _record: Any) -> None:
            connection.isolation_level = None  # transactions are begun by `start` below and by nobody else
            cursor = connection.cursor()
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()

        @event.listens_for(engine.sync_engine, "invalidate")
        def let_go(connection: Any, _record: Any, _error: BaseException | None) -> None:
            # Whoever was cancelled amid a statement has left a cursor: while it lives, closing alone keeps the lock.
            with suppress(sqlite3.Error, ValueError):
                connection.run_async(lambda driver: asyncio.shield(driver.rollback()))

        @event.listens_for(engine.sync_engine, "begin")
        def start(connection: sa.Connection) -> None:
            connection.exec_driver_sql(begin)

        return engine


@asynccontextmanager
async def _transaction(engine: AsyncEngine | None) -> AsyncIterator[AsyncConnection]:
    if engine is None:
        raise JournalError("it is not open yet")
    with _raising_journal_errors():
        async with engine.begin() as connection:
            yield connection


async def _dispose(*engines: AsyncEngine | None) -> None:
    for engine in {engine for engine in engines if engine is not None}:
        await engine.dispose()


class _raising_journal_errors:  # noqa: N801 - reads as the phrase that it is
    """Turns what drivers and the operating system raise into JournalError; bugs pass through."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _traceback: object) -> None:
        match error:
            case sa.exc.IntegrityError() | sa.exc.DataError() | sa.exc.ProgrammingError():
                return  # not the database's fault
            case DBAPIError(orig=cause) if cause is not None:
                raise JournalError(_brief(cause)) from error
            case SQLAlchemyError() | OSError() | TimeoutError():
                raise JournalError(_brief(error)) from error


def _brief(error: BaseException) -> str:
    text = " ".join(str(error).split("\n")[0].split())
    return text[:300] or type(error).__name__


def _parse(text: str) -> URL:
    try:
        url = make_url(text)
        backend = url.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise ValueError("journal is not an address: write sqlite:///path/to/file or postgresql://…") from None
    match backend:
        case "sqlite" if url.database and url.database != ":memory:":
            return url.set(drivername="sqlite+aiosqlite")
        case "postgresql" | "postgres":
            ssl = {"ssl": mode} if (mode := url.query.get("sslmode")) else {}  # libpq's name for asyncpg's option
            url = url.difference_update_query(["sslmode"]).update_query_dict(ssl)
            return url.set(drivername="postgresql+asyncpg")
    raise ValueError("journal must be sqlite:///path/to/file or postgresql://user:password@host/database")
