"""Upgrade tables with Alembic, inside a transaction of the caller's. Each package has a branch of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from healthd.journal.errors import JournalError
from healthd.runtime.lean_imports import without


@dataclass(frozen=True, slots=True)
class Branch:
    """Tables of one package: location of its migrations, table that stores their version, and the newest version."""

    migrations: Path
    version_table: str
    head: str


def is_behind(connection: sa.Connection, branch: Branch) -> bool:
    """True if migrations are missing. Raises SQLAlchemyError."""
    return version(connection, branch) != branch.head


def prepare() -> None:
    """Load what `upgrade` needs: this takes a fifth of a second, only at the first start of a release, and must not
    block the event loop."""
    with without("pygments"):  # for Mako's error pages, which are 6 MB that nobody sees
        import alembic.config
        import alembic.runtime.environment
        import alembic.script  # noqa: F401


def upgrade(connection: sa.Connection, branch: Branch) -> None:
    """Run the missing migrations. Raises SQLAlchemyError, and JournalError for tables of a newer release; the
    transaction is the caller's."""
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(str(branch.migrations))
    found = version(connection, branch)
    if found is not None and found not in {revision.revision for revision in script.walk_revisions()}:
        raise JournalError(
            f"it was written by a newer release of healthd: its tables are of version {found}, this release knows them "
            f"up to {branch.head}; run the newer release, or bring back the backup from before it"
        )
    with EnvironmentContext(
        Config(), script, fn=lambda current, _context: script._upgrade_revs("head", current)
    ) as environment:
        environment.configure(
            connection=connection, version_table=branch.version_table, transactional_ddl=True, render_as_batch=True
        )
        environment.run_migrations()


def version(connection: sa.Connection, branch: Branch) -> str | None:
    """Return the version of the tables, None where there are none. Raises SQLAlchemyError."""
    if not sa.inspect(connection).has_table(branch.version_table):
        return None
    table = sa.table(branch.version_table, sa.column("version_num"))
    return connection.execute(sa.select(table.c.version_num)).scalar_one_or_none()
