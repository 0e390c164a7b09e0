"""Brings tables up to date with Alembic, inside a transaction of the caller's. Each package has a branch of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa


@dataclass(frozen=True, slots=True)
class Branch:
    """One package's tables: where its migrations are, which table keeps their version, and the newest one."""

    migrations: Path
    version_table: str
    head: str


def upgrade(connection: sa.Connection, branch: Branch) -> None:
    """Run the migrations that are missing. Raises SQLAlchemyError; the transaction is the caller's."""
    if _version(connection, branch) == branch.head:
        return
    # Imported here: it takes 0.2 s, and only the first start of a release needs it.
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(str(branch.migrations))
    with EnvironmentContext(
        Config(), script, fn=lambda current, _context: script._upgrade_revs("head", current)
    ) as environment:
        environment.configure(
            connection=connection, version_table=branch.version_table, transactional_ddl=True, render_as_batch=True
        )
        environment.run_migrations()


def _version(connection: sa.Connection, branch: Branch) -> str | None:
    if not sa.inspect(connection).has_table(branch.version_table):
        return None
    table = sa.table(branch.version_table, sa.column("version_num"))
    return connection.execute(sa.select(table.c.version_num)).scalar_one_or_none()
