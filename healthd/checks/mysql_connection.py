"""One connection to MySQL or MariaDB: opened when first needed, dropped at once, its errors mapped to failure kinds."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass
from typing import Any, ClassVar

import aiomysql
from aiomysql.connection import Connection as DriverConnection
from pymysql.constants import CLIENT, ER

from healthd.addresses.files import MissingFile, files_of, missing_file
from healthd.addresses.mysql import read_mysql
from healthd.checks.connect import Endpoint
from healthd.checks.database import first_line
from healthd.checks.failures import classify
from healthd.model import FailureKind, Result
from healthd.runtime.clock import Clock

_TIMED_OUT = frozenset({3024, 1969})  # ER_QUERY_TIMEOUT of MySQL, ER_STATEMENT_TIMEOUT of MariaDB
_KINDS = {
    ER.ACCESS_DENIED_ERROR: FailureKind.AUTH,
    1698: FailureKind.AUTH,  # ER_ACCESS_DENIED_NO_PASSWORD_ERROR
    ER.DBACCESS_DENIED_ERROR: FailureKind.PERMISSION,
    ER.TABLEACCESS_DENIED_ERROR: FailureKind.PERMISSION,
    ER.COLUMNACCESS_DENIED_ERROR: FailureKind.PERMISSION,
    1227: FailureKind.PERMISSION,  # ER_SPECIFIC_ACCESS_DENIED_ERROR
    ER.BAD_DB_ERROR: FailureKind.MISCONFIGURED,
    ER.CON_COUNT_ERROR: FailureKind.EXHAUSTED,
    1203: FailureKind.EXHAUSTED,  # ER_TOO_MANY_USER_CONNECTIONS
    1226: FailureKind.EXHAUSTED,  # ER_USER_LIMIT_REACHED
    1290: FailureKind.READ_ONLY,  # ER_OPTION_PREVENTS_STATEMENT
    1792: FailureKind.READ_ONLY,  # ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
    1053: FailureKind.CONNECT,  # ER_SERVER_SHUTDOWN
    **dict.fromkeys(_TIMED_OUT, FailureKind.TIMEOUT),
}
_CLIENTS_OWN = range(2000, 3000)  # numbers of the connection, not of the query
_OF_A_QUERY = frozenset({ER.TABLEACCESS_DENIED_ERROR, ER.COLUMNACCESS_DENIED_ERROR, 1227, 1290, 1792})


@dataclass(frozen=True, slots=True)
class Answer:
    """The first row of a query, if there is one, and the seconds that it took without connecting."""

    rows: list[tuple[Any, ...]]
    latency: float


class _NoTLS(ConnectionError):  # noqa: N818 - it says what the server lacks
    """The server has no TLS, and the address demands it."""


class _Connection(DriverConnection):  # type: ignore[misc]
    """The driver's, which would otherwise send a password to a server that says it has no TLS."""

    demands_tls = False

    async def _get_server_information(self) -> None:
        await super()._get_server_information()
        if self.demands_tls and not self.server_capabilities & CLIENT.SSL:
            raise _NoTLS("the server does not offer TLS, which the URI demands")


class _Cursor(aiomysql.Cursor):  # type: ignore[misc]
    """The driver's, which would otherwise ask for the warnings of a query, and write them out with what is in rows."""

    async def _show_warnings(self, conn: DriverConnection) -> None:
        """Leave them: what a query finds is the answer."""


class Connection:
    """At most one open connection."""

    name: ClassVar[str] = "MySQL"
    failures: ClassVar[tuple[type[Exception], ...]] = (
        aiomysql.MySQLError,
        OSError,
        EOFError,
        # What the driver makes of a peer that speaks otherwise:
        ValueError,
        IndexError,
        struct.error,
    )

    def __init__(self, address: str, clock: Clock) -> None:
        self._address, self._clock, self._files = read_mysql(address), clock, files_of(address)
        self._open: DriverConnection | None = None
        self._asking = False

    async def look(self, sql: str, *values: Any, within: float) -> Answer:
        """Fetch the first row of a query of the user's, with `%s` for its values, in a transaction that is read only,
        and that the server ends after `within` seconds, whether or not anybody still waits. Raises `failures`; after
        any failure, cancellation among them, the connection is gone."""
        try:
            if self._open is not None and not self._open.closed:
                try:
                    return await self._look(self._open, sql, values, within)
                except self.failures as error:
                    if isinstance(error, aiomysql.MySQLError) and number_of(error) not in (0, *_CLIENTS_OWN):
                        raise
                    self.drop()  # it died since its last use
            return await self._look(await self._connect(), sql, values, within)
        except BaseException:
            self.drop()
            raise

    async def _connect(self) -> DriverConnection:
        self._asking = False
        where = self._address
        if self._files and (missing := await asyncio.to_thread(missing_file, self._files)) is not None:
            raise MissingFile(missing)
        context = await asyncio.to_thread(where.context)
        self._open = _Connection(
            where.host, where.user, where.password, where.database, where.port, charset="utf8mb4", ssl=context
        )
        self._open.demands_tls = where.demands_tls
        self._open.client_flag &= ~CLIENT.MULTI_STATEMENTS
        await self._open._connect()
        await self._execute(self._open, "SET SESSION sql_select_limit = 1")
        return self._open

    async def _look(self, connection: DriverConnection, sql: str, values: tuple[Any, ...], within: float) -> Answer:
        self._asking = True
        start = self._clock.steady()
        milliseconds = max(1, int(within * 1000))
        is_mariadb = "MariaDB" in connection.get_server_info()
        limit = f"max_statement_time = {milliseconds / 1000}" if is_mariadb else f"max_execution_time = {milliseconds}"
        await self._execute(connection, f"SET SESSION {limit}")
        await self._execute(connection, "START TRANSACTION READ ONLY")
        async with connection.cursor(_Cursor) as cursor:
            await cursor.execute(sql, values or None)
            row = await cursor.fetchone()
        await self._execute(connection, "ROLLBACK")
        return Answer([] if row is None else [row], self._clock.steady() - start)

    async def _execute(self, connection: DriverConnection, sql: str) -> None:
        async with connection.cursor() as cursor:
            await cursor.execute(sql)

    def is_of_the_query(self, error: BaseException) -> bool:
        """True of an error of a query itself; any other is the server's, or of the way to it."""
        number = number_of(error)
        is_answer = self._asking and number >= 1000 and number not in _CLIENTS_OWN
        return is_answer and (number in _OF_A_QUERY or number not in _KINDS)

    def waited_for(self, seconds: float) -> str:
        """Return the message for a timeout: what the probe was waiting for."""
        if self._asking:
            return f"connected, but the query is not answered within {seconds:g} s"
        return f"no connection within {seconds:g} s: the server, or the way to it, is silent"

    def failure(self, error: BaseException) -> Result:
        """Return the result for one of `failures`."""
        number = number_of(error)
        if (kind := _KINDS.get(number)) is not None:
            return Result.unhealthy(kind, _text(error))
        if number and number not in _CLIENTS_OWN:
            return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, _text(error))
        cause = error.__cause__ or error  # the driver's own says no more than where
        if isinstance(cause, _NoTLS):
            return Result.unhealthy(FailureKind.TLS, str(cause))
        if isinstance(cause, MissingFile):
            return Result.unhealthy(FailureKind.MISCONFIGURED, str(cause))
        if isinstance(cause, ConnectionRefusedError):
            where = Endpoint(self._address.host, self._address.port)
            return Result.unhealthy(FailureKind.CONNECT, f"nobody listens on {where}")
        if not isinstance(cause, aiomysql.MySQLError | OSError | EOFError):
            return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, "what answers does not speak as MySQL does")
        kind = FailureKind.CONNECT if isinstance(cause, aiomysql.MySQLError) else classify(cause)
        return Result.unhealthy(kind, _text(cause))

    def drop(self) -> None:
        """Drop the connection without a goodbye."""
        gone, self._open = self._open, None
        if gone is not None:
            gone.close()


def number_of(error: BaseException) -> int:
    """Return the number of an error of MySQL's; 0 of any other."""
    first = error.args[0] if isinstance(error, aiomysql.MySQLError) and error.args else None
    return first if isinstance(first, int) else 0


def _text(error: BaseException) -> str:
    if number_of(error) and len(error.args) > 1:
        return f"{str(error.args[1]).splitlines()[0]} ({error.args[0]})"
    return first_line(error)
