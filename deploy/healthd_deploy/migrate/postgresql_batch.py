"""One batch of rows in PostgreSQL: the next keys in order, locked, and the migration's statement for just these."""

from __future__ import annotations

from dataclasses import replace

import asyncpg

from healthd_deploy.migrate.history import Progress, StepFailedError
from healthd_deploy.migrate.sql_file import SQLBatches

_KEY = """SELECT format_type(atttypid, atttypmod) AS type, attnotnull AND EXISTS (
        SELECT FROM pg_index WHERE indrelid = attrelid AND indisunique AND indisvalid AND indpred IS NULL
        AND indnkeyatts = 1 AND indkey[0] = attnum) AS identifies
    FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = lower($2) AND NOT attisdropped"""


async def next_batch(
    connection: asyncpg.Connection[asyncpg.Record], step: SQLBatches, size: int, progress: Progress, patience: float
) -> Progress | None:
    """Do the next `size` rows, in the caller's transaction; None when none is left after the last key.

    The rows stay locked from their selection to the commit, so that no other change comes between; the lock still
    allows foreign keys to them. Raises StepFailedError.
    """
    after = ""
    if progress.last_key is not None:
        after = f"AND {step.key} > ($1::text)::{await _type(connection, step)}"
    elif progress.rows == 0:
        await _type(connection, step)
    chosen = await connection.fetch(
        f"SELECT {step.key} AS key, {step.key}::text AS text FROM {step.table} WHERE ({step.where}) {after} "
        f"ORDER BY {step.key} LIMIT {size} FOR NO KEY UPDATE",
        *([] if progress.last_key is None else [progress.last_key]),
        timeout=patience,
    )
    if not chosen:
        return None
    keys = [row["key"] for row in chosen]
    await connection.execute(step.script.text, keys, timeout=patience)
    query = f"SELECT count(*) FROM {step.table} WHERE {step.key} = ANY($1) AND ({step.where})"
    if left := await connection.fetchval(query, keys, timeout=patience):
        raise StepFailedError(
            f"{step.place}: `where` still holds for {left:,} of {len(keys):,} rows after their batch: the statement "
            "must end that for every row that it is given, or the batches never end"
        )
    return replace(progress, rows=progress.rows + len(keys), last_key=chosen[-1]["text"])


async def _type(connection: asyncpg.Connection[asyncpg.Record], step: SQLBatches) -> str:
    """Return the key's type. Raises StepFailedError for a key that does not identify a row."""
    found = await connection.fetchrow(_KEY, step.table, step.key)
    if found is None:
        raise StepFailedError(f"{step.place}: there is no column {step.key} in a table {step.table}")
    if not found["identifies"]:
        raise StepFailedError(
            f"{step.place}: {step.key} does not identify a row of {step.table}: take a column that is NOT NULL and has "
            "a unique index of its own"
        )
    return str(found["type"])
