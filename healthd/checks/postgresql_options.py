"""Options of a check of PostgreSQL, read without its driver."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from healthd.addresses.postgresql import read_postgresql
from healthd.checks.database import DatabaseConfig, Limits, Require, checked_uri
from healthd.units import Duration
from healthd.wording import shape


def readable(uri: SecretStr) -> SecretStr:
    """Return `uri` when the driver can parse it. Raises ValueError, never with any part of the value."""
    read_postgresql(checked_uri(uri, "postgresql", "postgres").get_secret_value())
    return uri


PostgreSQLURI = Annotated[SecretStr, AfterValidator(readable)]


class PostgreSQLConfig(DatabaseConfig):
    kind: Literal["postgresql"] = "postgresql"
    uri: PostgreSQLURI
    """Address: `postgresql://user:password@host/database`, with TLS options such as `?sslmode=verify-full`."""
    require: Require = Require.PRIMARY
    """Role that the server must have: `primary`, `replica` or `any`."""
    max_lag: Duration = 30.0
    """Maximum replication lag of a standby."""
    connections: Limits = Limits()
    """Limits on the share of the connections available to ordinary roles."""
    canary: str | None = Field(
        None, pattern=shape(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)?$", "a table, or a schema, a dot and a table")
    )
    """Table in which each probe commits one row; a standby only reads it. Its columns are `id` and `at`."""
