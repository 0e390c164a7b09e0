"""One connection to PostgreSQL: opened when first needed, dropped at once, its errors mapped to failure kinds.

The queries and the meaning of the answers are the checks' own.
"""

from __future__ import annotations

import asyncio
import errno
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import asyncpg
from asyncpg import exceptions as errors
from pydantic import SecretStr

from healthd.addresses.postgresql import read_postgresql
from healthd.checks.connect import Endpoint
from healthd.checks.database import first_line
from healthd.checks.failures import classify, describe
from healthd.checks.postgresql_hosts import without_silent_hosts
from healthd.model import FailureKind, Result
from healthd.runtime.clock import Clock

# Errors of a server, or of the network to it; any other is a bug of ours and left to the monitor.
FAILURES: tuple[type[Exception], ...] = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    EOFError,
    ValueError,
)

_OF_A_QUERY = (
    errors.SyntaxOrAccessError,
    errors.DataError,
    errors.ReadOnlySQLTransactionError,
    errors.CardinalityViolationError,
)
_NO_UPGRADE = "SSL upgrade"  # of the driver's message, where the answer to its request for TLS is no yes
_KINDS: dict[type[BaseException], FailureKind] = {
    errors.InvalidAuthorizationSpecificationError: FailureKind.AUTH,
    errors.InsufficientPrivilegeError: FailureKind.PERMISSION,
    errors.InsufficientResourcesError: FailureKind.EXHAUSTED,
    errors.CannotConnectNowError: FailureKind.NOT_PRIMARY,
    errors.TargetServerAttributeNotMatched: FailureKind.NOT_PRIMARY,
    errors.ReadOnlySQLTransactionError: FailureKind.READ_ONLY,
    errors.QueryCanceledError: FailureKind.TIMEOUT,
    errors.InvalidCatalogNameError: FailureKind.MISCONFIGURED,
    errors.ClientConfigurationError: FailureKind.MISCONFIGURED,
    errors.OperatorInterventionError: FailureKind.CONNECT,
    errors.PostgresConnectionError: FailureKind.CONNECT,
    asyncpg.InterfaceError: FailureKind.CONNECT,
    asyncpg.PostgresError: FailureKind.UNEXPECTED_RESPONSE,
    asyncpg.InternalClientError: FailureKind.UNEXPECTED_RESPONSE,
}
_REFUSED = re.compile(rf"\[Errno {errno.ECONNREFUSED}\] Connect call failed \('([^']+)', (\d+)")  # of asyncio
_POOLER_IS_FULL = "no more connections allowed"  # of PgBouncer, which has one SQLSTATE for all its refusals
_CONNECT_SECONDS = 60.0  # where the URI sets none; the deadline of a probe is shorter


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows of a query, and the seconds that it took without connecting."""

    rows: list[asyncpg.Record]
    latency: float


@dataclass(frozen=True, slots=True)
class _Query:
    sql: str
    values: tuple[Any, ...]

    async def fetch(self, connection: asyncpg.Connection[asyncpg.Record]) -> list[asyncpg.Record]:
        return await connection.fetch(self.sql, *self.values)


@dataclass(frozen=True, slots=True)
class _FirstRow:
    sql: str
    values: tuple[Any, ...]
    within: float

    async def fetch(self, connection: asyncpg.Connection[asyncpg.Record]) -> list[asyncpg.Record]:
        # Not by the driver's transaction: at a deadline that would wait for the server once more, to roll back.
        await connection.execute(f"BEGIN READ ONLY; SET LOCAL statement_timeout = {max(1, int(self.within * 1000))}")
        row = await connection.fetchrow(self.sql, *self.values)  # the server sends no second one
        await connection.execute("ROLLBACK")
        return [] if row is None else [row]


class NotPostgreSQL(ConnectionError):  # noqa: N818 - it says what the peer is
    """The peer answers the first message with something that no server of PostgreSQL sends."""


class Connection:
    """At most one open connection. `in_schema` sets the search path to the schema that the URI names, if it names one;
    otherwise the setting is not sent, for poolers that do not pass settings on."""

    def __init__(self, uri: SecretStr, clock: Clock, *, in_schema: bool = False, patience: float | None = None) -> None:
        """Create a connection. `patience`: seconds that a probe has; a connection of an earlier probe gets at most
        half."""
        self._patience = patience
        self._address, self._clock = read_postgresql(uri.get_secret_value()), clock
        self._settings = self._address.search_path if in_schema else {}
        self._open: asyncpg.Connection[asyncpg.Record] | None = None
        self._asking = False

    async def ask(self, sql: str, *values: Any) -> Answer:
        """Run a query. Raises FAILURES; after any failure, cancellation among them, the connection is gone."""
        return await self._run(_Query(sql, values))

    async def look(self, sql: str, *values: Any, within: float) -> Answer:
        """Fetch the first row of a query of the user's in a transaction that is read only, and that the server ends
        after `within` seconds, whether or not anybody still waits. Raises as `ask`."""
        return await self._run(_FirstRow(sql, values, within))

    async def _run(self, query: _Query | _FirstRow) -> Answer:
        if self._open is not None and not self._open.is_closed():
            # It may have died since its last use, or be forgotten by a firewall on the way, which then is silent:
            # only a new one proves anything.
            with suppress(*FAILURES):
                async with asyncio.timeout(self._patience / 2 if self._patience else None):
                    return await self._ask(self._open, query)
        self._asking = False
        if self._address.files and (missing := await asyncio.to_thread(self._address.missing_file)) is not None:
            raise errors.ClientConfigurationError(missing)
        # Without a cache of statements it also works through a pooler that shares sessions.
        try:
            self._open = await asyncpg.connect(
                await without_silent_hosts(self._address.uri, self._patience),
                timeout=self._address.connect_timeout or _CONNECT_SECONDS,
                statement_cache_size=0,
                server_settings=self._settings,
            )
        except ConnectionError as error:
            # A server of PostgreSQL that has no TLS says so, and the driver goes on without, where it may.
            if _NO_UPGRADE in str(error) and not self._address.demands_tls:
                raise NotPostgreSQL from error
            raise
        return await self._ask(self._open, query)

    async def _ask(self, connection: asyncpg.Connection[asyncpg.Record], query: _Query | _FirstRow) -> Answer:
        self._asking = True
        try:
            start = self._clock.steady()
            rows = await query.fetch(connection)
            return Answer(rows, self._clock.steady() - start)
        except BaseException:
            # At once: otherwise asyncpg opens a second connection to ask a dead peer to cancel the query.
            self.drop()
            raise

    def waited_for(self, seconds: float) -> str:
        """Return the message for a timeout: what the probe was waiting for."""
        if self._asking:
            return f"connected, but the query is not answered within {seconds:g} s"
        return f"no connection within {seconds:g} s: the server, or the way to it, is silent"

    def drop(self) -> None:
        """Drop the connection without a goodbye."""
        gone, self._open = self._open, None
        if gone is not None:
            gone.terminate()


class SqlConnection(Connection):
    """The same for queries of the user's, as a database of the kind `sql`."""

    name: ClassVar[str] = "PostgreSQL"
    failures: ClassVar[tuple[type[Exception], ...]] = FAILURES

    def is_of_the_query(self, error: BaseException) -> bool:
        return isinstance(error, _OF_A_QUERY)

    def failure(self, error: BaseException) -> Result:
        return failure(error)


def failure(error: BaseException) -> Result:
    """Return the result for one of FAILURES."""
    if _POOLER_IS_FULL in str(error):
        return Result.unhealthy(FailureKind.EXHAUSTED, first_line(error))
    for kind_of_error in type(error).__mro__:
        if kind := _KINDS.get(kind_of_error):
            return Result.unhealthy(kind, first_line(error))
    if isinstance(error, PermissionError) and ".postgresql" in str(error.filename or ""):
        text = f"may not look for {error.filename}: set HOME to this user's own folder, or name sslcert and sslkey"
        return Result.unhealthy(FailureKind.MISCONFIGURED, text)
    if isinstance(error, NotPostgreSQL):
        text = "what answers is not PostgreSQL: is another program on this port?"
        return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, text)
    if isinstance(error, ConnectionError) and _NO_UPGRADE in str(error):
        return Result.unhealthy(FailureKind.TLS, "the server does not offer TLS, which the URI demands")
    # Its text would show a part of the URI. A certificate that does not verify is both types, and not meant here.
    if isinstance(error, ValueError) and not isinstance(error, OSError):
        return Result.unhealthy(FailureKind.MISCONFIGURED, "the driver cannot read the URI: see its options and port")
    places = _REFUSED.findall(str(error)) if isinstance(error, OSError) else []
    if places and len(places) == str(error).count("[Errno "):
        where = " nor on ".join(str(Endpoint(host, int(port))) for host, port in places)
        return Result.unhealthy(FailureKind.CONNECT, f"nobody listens on {where}")
    return Result.unhealthy(classify(error), describe(error))
