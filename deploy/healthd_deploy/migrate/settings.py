"""Settings of the migration runner. The URIs are secrets: no error shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, model_validator

from healthd.addresses.mongodb import read_mongodb
from healthd.addresses.postgresql import read_postgresql
from healthd.checks.database import checked_uri
from healthd.config.model import Model
from healthd.units import Duration, Span
from healthd.wording import shape

TableName = Annotated[
    str,
    StringConstraints(
        pattern=shape(r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$", "a table, or a schema, a dot and a table")
    ),
]


def _mongodb(uri: SecretStr) -> SecretStr:
    checked_uri(uri, "mongodb", "mongodb+srv")
    if not urlsplit(uri.get_secret_value()).path.strip("/"):
        raise ValueError("names no database: mongodb://host/DATABASE")
    read_mongodb(uri.get_secret_value())
    return uri


def _postgresql(uri: SecretStr) -> SecretStr:
    read_postgresql(checked_uri(uri, "postgresql", "postgres").get_secret_value())
    return uri


class PostgreSQLPlace(Model):
    """Migrations of a PostgreSQL database."""

    uri: Annotated[SecretStr, AfterValidator(_postgresql)]
    """Address of the database; directly, not through a pooler that shares connections between transactions."""
    directory: Path = Path("migrations/postgresql")
    """Folder of the release's migrations, one `.sql` file each."""
    table: TableName = "migration_history"
    """Table of the history; progress is in a second table, with `_progress` added to the name."""
    lock_timeout: Duration = 5.0
    """Timeout of a migration for a lock on a table: for that time all other sessions queue behind it."""
    statement_timeout: Duration = 60.0
    """Timeout of a script or a batch."""


class MongoDBPlace(Model):
    """Migrations of a MongoDB database."""

    uri: Annotated[SecretStr, AfterValidator(_mongodb)]
    """Address of the database, with its name."""
    directory: Path = Path("migrations/mongodb")
    """Folder of the release's migrations, one `.yaml` or `.json` file each."""
    collection: str = "migration_history"
    """Collection of the history; progress and lock are in further ones, with `_progress` and `_lock` added to the
    name."""
    lease_duration: Duration = Field(30.0, ge=0.5)
    """Time for which the lock stays after a runner was killed."""


class Batching(Model):
    """Size of batches and their pause."""

    size: int = Field(1000, ge=1, le=100_000)
    """Number of rows in a batch."""
    pause: Span = 0.1
    """Pause between two batches."""
    max_lag: Span = 10.0
    """Replication lag of the slowest replica above which the next batch waits; 0s does not check it."""


class MigrateConfig(Model):
    """Options of `healthd-deploy migrate`"""

    postgresql: PostgreSQLPlace | None = None
    """Migrations for PostgreSQL."""
    mongodb: MongoDBPlace | None = None
    """Migrations for MongoDB; carried out after PostgreSQL's."""
    batches: Batching = Batching()
    """Batches of a zero-downtime migration."""
    phase_pause: Span = 5.0
    """Pause between two phases of a zero-downtime migration."""
    time_limit: Duration = 600.0
    """Time limit of a whole run; a zero-downtime migration stops there between two batches, and can be resumed."""
    undo_limit: Duration = 300.0
    """Time limit for undoing a migration that failed."""
    lock_wait: Span = 60.0
    """Timeout of the wait while another runner holds the lock."""
    attempts: int = Field(5, ge=1)
    """Maximum number of attempts of a step after a lock timeout, a deadlock or a write conflict."""

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.postgresql is None and self.mongodb is None:
            raise ValueError("say what is to be migrated: postgresql, mongodb or both")
        return self
