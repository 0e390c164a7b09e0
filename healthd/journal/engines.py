"""Connections to a journal's database: SQLAlchemy's engines over aiosqlite and asyncpg."""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL

from healthd.addresses.postgresql import PostgreSQLAddress
from healthd.journal import checkpoints
from healthd.journal.async_engine import AsyncEngine, create_async_engine
from healthd.journal.errors import JournalError
from healthd.journal.places import Places
from healthd.journal.sqlite_files import SQLiteFiles

BUSY_SECONDS = 5.0
CONNECT_SECONDS = 5.0
COMMAND_SECONDS = 10.0
_CONNECTIONS = 8
_STATEMENTS = 100  # kept prepared by a connection; the same as the driver's default
_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    f"wal_autocheckpoint={checkpoints.PAGES}",
    f"journal_size_limit={checkpoints.LOG_BYTES}",
)
PROBLEM = "journal_problem"  # an SQL function, so that files are checked in the thread that uses them


@dataclass(slots=True)
class Engines:
    """Open engines, with the places in their pools. `stale` means that no connection of these may be kept when it is
    returned to the pool."""

    writer: AsyncEngine
    reader: AsyncEngine
    to_write: Places
    to_read: Places
    stale: bool = False

    async def dispose(self) -> None:
        self.stale = True
        for engine in {self.writer, self.reader}:
            await engine.dispose()


def postgresql(address: PostgreSQLAddress) -> Engines:
    """Return one pool for reads and writes. Nothing is connected yet. Imports the driver."""
    import asyncpg

    async def connect(**_options: Any) -> Any:
        if address.files and (missing := await asyncio.to_thread(address.missing_file)) is not None:
            raise JournalError(missing)
        return await asyncpg.connect(
            address.uri,
            timeout=min(address.connect_timeout or CONNECT_SECONDS, COMMAND_SECONDS),
            command_timeout=COMMAND_SECONDS,
            server_settings=address.search_path,
            statement_cache_size=0 if address.pooled else _STATEMENTS,
        )

    engine = create_async_engine(
        URL.create("postgresql+asyncpg"),
        pool_size=_CONNECTIONS,
        max_overflow=0,
        pool_timeout=COMMAND_SECONDS,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={"async_creator_fn": connect, **(_unnamed() if address.pooled else {})},
    )
    places = Places(_CONNECTIONS, COMMAND_SECONDS)
    return Engines(engine, engine, places, places)


def _unnamed() -> dict[str, Any]:
    """Return options for a pooler that gives each transaction another connection: no statement is prepared under the
    same name twice."""
    name = lambda: f"healthd_{uuid.uuid4().hex}"  # noqa: E731
    return {"prepared_statement_cache_size": 0, "prepared_statement_name_func": name}


def sqlite(files: SQLiteFiles) -> Engines:
    """Return engines with one writer: callers queue for its place, not in SQLite's busy handler. Imports the driver."""
    readers = _CONNECTIONS // 2
    return Engines(
        _sqlite(files, 1, "BEGIN IMMEDIATE"),
        _sqlite(files, readers, "BEGIN"),
        Places(1, COMMAND_SECONDS),
        Places(readers, COMMAND_SECONDS),
    )


def _sqlite(files: SQLiteFiles, connections: int, begin: str) -> AsyncEngine:
    from healthd.journal.sqlite_driver import DRIVER

    # mode=rw: a file that was removed is not replaced by an empty one.
    file = f"file:{quote(str(files.path))}"
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=file, query={"mode": "rw", "uri": "true"}),
        module=DRIVER,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=COMMAND_SECONDS,
        hide_parameters=True,
        connect_args={"timeout": BUSY_SECONDS},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun only by `start` below
        problem = files.watch()
        try:
            connection.create_function(PROBLEM, 0, problem)
            cursor = connection.cursor()
            for pragma in _PRAGMAS:
                cursor.execute(f"PRAGMA {pragma}")
            cursor.execute("SELECT count(*) FROM sqlite_master")  # opens the log
            cursor.execute(f"SELECT {PROBLEM}()")
            cursor.close()
        except BaseException:  # a pool lets go of a connection that was never its own, and does not close it
            files.closed()
            connection.close()
            raise

    @event.listens_for(engine.sync_engine, "close")
    def closed(_connection: Any, _record: Any) -> None:
        files.closed()

    @event.listens_for(engine.sync_engine, "invalidate")
    def let_go(connection: Any, _record: Any, _error: BaseException | None) -> None:
        # A caller cancelled during a statement has left its transaction open.
        with suppress(sqlite3.Error, ValueError):
            connection.run_async(lambda driver: asyncio.shield(driver.rollback()))

    @event.listens_for(engine.sync_engine, "begin")
    def start(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
