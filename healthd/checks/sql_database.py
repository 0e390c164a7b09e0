"""A database that is asked for single numbers by queries of the user's: PostgreSQL, or MySQL by the extra `mysql`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Annotated, Any, Protocol

from pydantic import AfterValidator, SecretStr

from healthd.addresses.mysql import read_mysql
from healthd.addresses.postgresql import read_postgresql
from healthd.checks.database import checked_uri
from healthd.extras import how_to_get
from healthd.model import Result
from healthd.runtime.clock import Clock

_MYSQL = ("mysql", "mariadb")


class SqlAnswer(Protocol):
    """The first row of a query, if there is one, and the seconds that it took without connecting."""

    @property
    def rows(self) -> Sequence[Any]: ...

    @property
    def latency(self) -> float: ...


class SqlDatabase(Protocol):
    """At most one open connection."""

    @property
    def name(self) -> str:
        """The name of the database's kind."""

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        """Errors of a server, or of the network to it; any other is a bug of ours."""

    async def look(self, sql: str, *values: Any, within: float) -> SqlAnswer:
        """Fetch the first row of a query in a transaction that is read only, and that the server ends after `within`
        seconds. Raises `failures`."""

    def is_of_the_query(self, error: BaseException) -> bool:
        """True of an error of a query itself; any other is the server's, or of the way to it."""

    def failure(self, error: BaseException) -> Result:
        """Return the result for one of `failures`."""

    def waited_for(self, seconds: float) -> str:
        """Return the message for a timeout: what was waited for."""

    def drop(self) -> None:
        """Drop the connection without a goodbye."""


def is_mysql(uri: SecretStr) -> bool:
    return uri.get_secret_value().partition("://")[0] in _MYSQL


def open_database(uri: SecretStr, clock: Clock, patience: float) -> SqlDatabase:
    """Return a database, not yet connected to. `patience`: seconds that a probe has."""
    if is_mysql(uri):
        from healthd.checks import mysql_connection  # its driver is an extra

        return mysql_connection.Connection(uri.get_secret_value(), clock)
    from healthd.checks import postgresql_connection as postgresql

    return postgresql.SqlConnection(uri, clock, in_schema=True, patience=patience)


def _readable(uri: SecretStr) -> SecretStr:
    text = checked_uri(uri, "postgresql", "postgres", *_MYSQL).get_secret_value()
    if not is_mysql(uri):
        read_postgresql(text)
        return uri
    if find_spec("aiomysql") is None:
        raise ValueError(f"names MySQL, which needs aiomysql: {how_to_get('mysql')}")
    read_mysql(text)
    return uri


SqlURI = Annotated[SecretStr, AfterValidator(_readable)]
"""Address of a PostgreSQL or MySQL that this installation can ask."""
