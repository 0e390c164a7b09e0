"""History in PostgreSQL: its table, and a second one for the progress of what is neither done nor undone."""

from __future__ import annotations

import asyncpg

from healthd_deploy.migrate.history import Entry, Progress, Row, Status

_HISTORY = """CREATE TABLE {table} (
    migration_name text PRIMARY KEY,
    executed_at timestamptz NOT NULL DEFAULT now(),
    execution_time_ms bigint NOT NULL DEFAULT 0,
    status text NOT NULL,
    rollback_script text,
    checksum text
)"""
_PROGRESS = """CREATE TABLE {table} (
    migration_name text PRIMARY KEY,
    checksum text NOT NULL,
    step integer NOT NULL,
    begun boolean NOT NULL,
    undoing text,
    last_key text,
    rows_done bigint NOT NULL,
    elapsed_seconds double precision NOT NULL,
    error text,
    updated_at timestamptz NOT NULL DEFAULT now()
)"""
_WRITE = """INSERT INTO {table} (migration_name, executed_at, execution_time_ms, status, rollback_script, checksum)
    VALUES ($1, now(), $2, $3, $4, $5)
    ON CONFLICT (migration_name) DO UPDATE SET executed_at = excluded.executed_at, status = excluded.status,
    execution_time_ms = excluded.execution_time_ms, rollback_script = excluded.rollback_script,
    checksum = excluded.checksum"""
_COLUMNS = "migration_name, checksum, step, begun, undoing, last_key, rows_done, elapsed_seconds, error"
_KEEP = f"""INSERT INTO {{table}} ({_COLUMNS}, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, now())
    ON CONFLICT (migration_name) DO UPDATE SET checksum = excluded.checksum, step = excluded.step,
    begun = excluded.begun, undoing = excluded.undoing, last_key = excluded.last_key, rows_done = excluded.rows_done,
    elapsed_seconds = excluded.elapsed_seconds, error = excluded.error, updated_at = now()"""
_QUALIFIED = """SELECT format('%I.%I', nspname, relname)
    FROM pg_class JOIN pg_namespace ON relnamespace = pg_namespace.oid WHERE pg_class.oid = to_regclass($1)"""


class Tables:
    """Both tables of the history. Written by their full names: a script may change the search path."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record], table: str) -> None:
        self._connection, self._history, self._progress = connection, table, f"{table}_progress"

    async def create(self) -> None:
        """Create the missing ones."""
        for table, definition in ((self._history, _HISTORY), (self._progress, _PROGRESS)):
            if await self._found(table) is None:
                await self._connection.execute(definition.format(table=table))
        self._history = await self._found(self._history) or self._history
        self._progress = await self._found(self._progress) or self._progress

    async def read(self) -> list[Row]:
        """Return every migration; none without a table."""
        if await self._found(self._history) is None:
            return []
        progress = {}
        if await self._found(self._progress) is not None:
            kept = await self._connection.fetch(f"SELECT {_COLUMNS} FROM {self._progress}")
            progress = {row["migration_name"]: _progress(row) for row in kept}
        rows = await self._connection.fetch(
            "SELECT migration_name::text AS name, status::text, checksum::text, rollback_script, executed_at, "
            f"execution_time_ms FROM {self._history} ORDER BY migration_name"
        )
        return [Row(**dict(row), progress=progress.get(row["name"])) for row in rows]

    async def write(self, entry: Entry) -> None:
        """Write an entry to both tables; in the caller's transaction."""
        milliseconds = round(entry.elapsed * 1000)
        script, checksum = entry.rollback_script, entry.checksum
        query = _WRITE.format(table=self._history)
        await self._connection.execute(query, entry.name, milliseconds, str(entry.status), script, checksum)
        if (it := entry.progress) is None:
            await self._connection.execute(f"DELETE FROM {self._progress} WHERE migration_name = $1", entry.name)
            return
        await self._connection.execute(
            _KEEP.format(table=self._progress),
            entry.name, it.checksum, it.step, it.begun, it.undoing, it.last_key, it.rows, it.elapsed, it.error,
        )  # fmt: skip

    async def _found(self, table: str) -> str | None:
        name: str | None = await self._connection.fetchval(_QUALIFIED, table)
        return name


def _progress(row: asyncpg.Record) -> Progress:
    return Progress(
        checksum=row["checksum"],
        step=row["step"],
        begun=row["begun"],
        undoing=Status(row["undoing"]) if row["undoing"] else None,
        last_key=row["last_key"],
        rows=row["rows_done"],
        elapsed=row["elapsed_seconds"],
        error=row["error"],
    )
