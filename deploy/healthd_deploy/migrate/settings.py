"""What the migration runner needs to know. The URIs are secrets: no error shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, model_validator

from healthd.addresses.mongodb import read_mongodb
from healthd.addresses.postgresql import read_postgresql
from healthd.checks.database import checked_uri
from healthd.config.settings import Model
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
    """The migrations of a PostgreSQL database."""

    uri: Annotated[SecretStr, AfterValidator(_postgresql)]
    """Where it is; directly, not through a pooler that shares connections between transactions."""
    directory: Path = Path("migrations/postgresql")
    """The release's migrations, one `.sql` file each."""
    table: TableName = "migration_history"
    """The history; progress is in a table beside it, with `_progress` added."""
    lock_timeout: Duration = 5.0
    """How long a migration may wait for a lock on a table: for as long everybody else queues behind it."""
    statement_timeout: Duration = 60.0
    """How long a script or a batch may take."""


class MongoDBPlace(Model):
    """The migrations of a MongoDB database."""

    uri: Annotated[SecretStr, AfterValidator(_mongodb)]
    """Where it is, with the database's name."""
    directory: Path = Path("migrations/mongodb")
    """The release's migrations, one `.yaml` or `.json` file each."""
    collection: str = "migration_history"
    """The history; progress and lock are beside it, with `_progress` and `_lock` added."""
    lease_duration: Duration = Field(30.0, ge=0.5)
    """How long the lock outlives a runner that was killed."""


class Batching(Model):
    """How many rows are changed at once, and how often."""

    size: int = Field(1000, ge=1, le=100_000)
    """Rows in a batch."""
    pause: Span = 0.1
    """The pause between two batches."""
    max_lag: Span = 10.0
    """How far the slowest replica may be behind before the next batch waits; 0s does not look."""


class MigrateConfig(Model):
    """`healthd-deploy migrate`"""

    postgresql: PostgreSQLPlace | None = None
    """Migrations for PostgreSQL."""
    mongodb: MongoDBPlace | None = None
    """Migrations for MongoDB; carried out after PostgreSQL's."""
    batches: Batching = Batching()
    """The batches of a zero-downtime migration."""
    phase_pause: Span = 5.0
    """The pause between two phases of a zero-downtime migration."""
    time_limit: Duration = 600.0
    """The limit for a whole run; a zero-downtime migration stops there between two batches, and can be resumed."""
    undo_limit: Duration = 300.0
    """The limit for undoing a migration that failed."""
    lock_wait: Span = 60.0
    """How long to wait while another runner is at work."""
    attempts: int = Field(5, ge=1)
    """How often a step is tried that a lock timeout, a deadlock or a write conflict ended."""

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.postgresql is None and self.mongodb is None:
            raise ValueError("say what is to be migrated: postgresql, mongodb or both")
        return self
