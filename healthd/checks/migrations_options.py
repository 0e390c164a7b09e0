"""Options of a check of migrations, read without the drivers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr, StringConstraints, model_validator

from healthd.checks.database import DatabaseConfig
from healthd.checks.migrations_expected import DONE, FAILED, UNDONE, Expected, duplicates
from healthd.checks.mongodb_options import MongoDBURI
from healthd.checks.postgresql_options import PostgreSQLURI
from healthd.units import Duration
from healthd.wording import shape

TableName = Annotated[
    str,
    StringConstraints(
        pattern=shape(r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$", "a table, or a schema, a dot and a table")
    ),
]


class Place(BaseModel):
    """Location of a history, and the migrations that it must contain."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    directory: Path | None = None
    """Folder with the release's migrations, one per file; read again at every probe."""
    pattern: str = "*"
    """Pattern of the files in the folder that count, such as `*.up.sql`."""
    expected: tuple[Expected, ...] = ()
    """Names of the release's migrations, where there is no folder."""

    @model_validator(mode="after")
    def _one_list(self) -> Self:
        if self.directory is not None and self.expected:
            raise ValueError("give a directory or expected names, not both")
        if twice := duplicates(self.expected):
            raise ValueError(f"expected names {twice[0]!r} twice")
        return self


class PostgreSQLPlace(Place):
    uri: PostgreSQLURI
    """Address, as for the kind `postgresql`."""
    table: TableName = "migration_history"
    """Table of the history; with its schema, where that is not on the search path."""


class MongoDBPlace(Place):
    uri: MongoDBURI
    """Address, as for the kind `mongodb`, with the database's name."""
    collection: str = "migration_history"
    """Collection of the history, in that database."""

    @model_validator(mode="after")
    def _names_a_database(self) -> Self:
        if not urlsplit(self.uri.get_secret_value()).path.strip("/"):
            raise ValueError("uri names no database: mongodb://host/DATABASE")
        return self


class MigrationsConfig(DatabaseConfig):
    kind: Literal["migrations"] = "migrations"
    interval: Duration = 60.0
    """Time between probes, plus or minus a tenth."""
    timeout: Duration = 5.0
    """Hard deadline of a probe."""
    postgresql: PostgreSQLPlace | None = None
    """Location of the history in PostgreSQL."""
    mongodb: MongoDBPlace | None = None
    """Location of the history in MongoDB."""
    done: tuple[str, ...] = DONE
    """Values of `status` for a migration that was applied; upper and lower case are equal."""
    failed: tuple[str, ...] = FAILED
    """Values of `status` for a migration that failed."""
    undone: tuple[str, ...] = UNDONE
    """Values of `status` for a migration that was undone on purpose: it counts as never applied."""

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.postgresql is None and self.mongodb is None:
            raise ValueError("say where the history is: postgresql, mongodb or both")
        return self

    @property
    def addresses(self) -> tuple[SecretStr, ...]:
        return tuple(place.uri for place in (self.postgresql, self.mongodb) if place is not None)
