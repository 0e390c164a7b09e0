"""Upgrade tables with Alembic, inside a transaction of the caller's. Each package has a branch of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from healthd.journal.errors import JournalError
from healthd.runtime.lean_imports import without


@dataclass(frozen=True, slots=True)
class Branch:
    """Tables of one package: location of its migrations, table that stores their version, and the newest version.

    A release that knows the tables up to `oldest`, or later, can use those of the newest version: what was added since
    then it may leave out. It is stored beside the version, for the releases that do not know this one. `tables` are
    those of the newest version.
    """

    migrations: Path
    version_table: str
    head: str
    oldest: str
    tables: sa.MetaData


PROMISES = sa.Table(
    "healthd_schema",
    sa.MetaData(),
    sa.Column("branch", sa.Text, primary_key=True),  # the branch's version table
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("oldest", sa.Text, nullable=False),
)
"""Releases that can use the tables: not a table of one branch, and read before any migration."""


def is_behind(connection: sa.Connection, branch: Branch) -> bool:
    """True if migrations are missing; False too for tables of a newer release that this one can use. Raises
    SQLAlchemyError."""
    found = version(connection, branch)
    return found != branch.head and not (found is not None and _is_usable(connection, branch, found))


def _is_usable(connection: sa.Connection, branch: Branch, found: str) -> bool:
    """True if a newer release said that tables of version `found` can be used by this one."""
    if not sa.inspect(connection).has_table(PROMISES.name):
        return False
    promised = sa.select(PROMISES.c.oldest).where(
        PROMISES.c.branch == branch.version_table, PROMISES.c.version == found
    )
    oldest = connection.execute(promised).scalar_one_or_none()
    return oldest is not None and oldest <= branch.head < found


def _promise(connection: sa.Connection, branch: Branch) -> None:
    PROMISES.create(connection, checkfirst=True)
    connection.execute(PROMISES.delete().where(PROMISES.c.branch == branch.version_table))
    row = {"branch": branch.version_table, "version": branch.head, "oldest": branch.oldest}
    connection.execute(PROMISES.insert(), row)


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
    _promise(connection, branch)


def is_empty(connection: sa.Connection, branches: Sequence[Branch]) -> bool:
    """True if no table of these branches is there, nor what tells their versions. Raises SQLAlchemyError."""
    ours = {PROMISES.name}
    for branch in branches:
        ours |= {branch.version_table, *branch.tables.tables}
    return ours.isdisjoint(sa.inspect(connection).get_table_names())


def touch(connection: sa.Connection, branch: Branch) -> None:
    """Read and write no row of each table, with every column: what healthd needs fails here as it would for a row.
    Raises SQLAlchemyError."""
    for table in branch.tables.sorted_tables:
        nothing, column = sa.select(table).where(sa.false()), next(iter(table.c))
        connection.execute(sa.insert(table).from_select(list(table.c), nothing))
        connection.execute(sa.update(table).values({column: column}).where(sa.false()))
        connection.execute(sa.delete(table).where(sa.false()))


def version(connection: sa.Connection, branch: Branch) -> str | None:
    """Return the version of the tables, None where there are none. Raises SQLAlchemyError."""
    if not sa.inspect(connection).has_table(branch.version_table):
        return None
    table = sa.table(branch.version_table, sa.column("version_num"))
    return connection.execute(sa.select(table.c.version_num)).scalar_one_or_none()
