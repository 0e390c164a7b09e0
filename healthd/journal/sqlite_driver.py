"""The driver of SQLite for SQLAlchemy, with one call to a connection's thread for each statement.

SQLAlchemy's own adapter of aiosqlite makes four of a query: its cursor, its execution, its rows, its end. Each takes
two turns of the event loop, which the writer's lock is held for, and which last while many gates are judged.

Imports the driver.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from typing import Any

import aiosqlite
from sqlalchemy.connectors.asyncio import AsyncAdapt_dbapi_cursor
from sqlalchemy.dialects.sqlite.aiosqlite import (
    AsyncAdapt_aiosqlite_connection,
    AsyncAdapt_aiosqlite_cursor,
    AsyncAdapt_aiosqlite_dbapi,
)


class _Cursor(AsyncAdapt_aiosqlite_cursor):
    """Cursor that has all rows of its statement once that is executed, and leaves nothing open in SQLite."""

    __slots__ = ("_result",)

    arraysize = 1

    def __init__(self, adapt_connection: AsyncAdapt_aiosqlite_connection) -> None:
        self._adapt_connection, self._connection = adapt_connection, adapt_connection._connection
        self._rows = deque()
        self._result: tuple[Any, int, Any] = (None, -1, None)

    @property
    def description(self) -> Any:
        return self._result[0]

    @property
    def rowcount(self) -> int:
        return self._result[1]

    @property
    def lastrowid(self) -> Any:
        return self._result[2]

    async def _execute_async(self, operation: Any, parameters: Any) -> None:
        await self._carry_out(sqlite3.Cursor.execute, operation, () if parameters is None else parameters)

    async def _executemany_async(self, operation: Any, seq_of_parameters: Any) -> None:
        await self._carry_out(sqlite3.Cursor.executemany, operation, seq_of_parameters)

    async def _carry_out(self, how: Any, operation: Any, parameters: Any) -> None:
        driver: Any = self._connection
        async with self._adapt_connection._execute_mutex:
            self._rows, self._result = await driver._execute(_carried_out, driver._conn, how, operation, parameters)

    async def _async_soft_close(self) -> None: ...

    def close(self) -> None:
        self._rows.clear()


def _carried_out(
    connection: sqlite3.Connection, how: Any, operation: Any, parameters: Any
) -> tuple[deque[Any], tuple[Any, int, Any]]:
    cursor = connection.cursor()
    try:
        how(cursor, operation, parameters)
        rows = deque(cursor.fetchall() if cursor.description else ())
        return rows, (cursor.description, cursor.rowcount, cursor.lastrowid)
    finally:
        cursor.close()


class _Connection(AsyncAdapt_aiosqlite_connection):
    __slots__ = ()

    def cursor(self, server_side: bool = False) -> AsyncAdapt_dbapi_cursor:
        return super().cursor(server_side=True) if server_side else _Cursor(self)


class _Driver(AsyncAdapt_aiosqlite_dbapi):
    def connect(self, *arg: Any, **kw: Any) -> AsyncAdapt_aiosqlite_connection:
        return _Connection(self, super().connect(*arg, **kw)._connection)


DRIVER = _Driver(aiosqlite, sqlite3)
"""Namespace that SQLAlchemy takes for the driver's module."""
