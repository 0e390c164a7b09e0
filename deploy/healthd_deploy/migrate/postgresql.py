"""PostgreSQL: one connection that holds the lock and does the work, so that both are lost together."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import asyncpg
from asyncpg import exceptions as errors

from healthd.addresses.postgresql import read_postgresql
from healthd.checks.database import first_line
from healthd_deploy.migrate import sql_file
from healthd_deploy.migrate.history import Entry, HeldError, Progress, Row, StepFailedError, UnreachableError
from healthd_deploy.migrate.migration import Batches, Phase, Step
from healthd_deploy.migrate.postgresql_batch import next_batch
from healthd_deploy.migrate.postgresql_history import Tables
from healthd_deploy.migrate.settings import PostgreSQLPlace
from healthd_deploy.migrate.sql_file import Script, SQLBatches

ResultT = TypeVar("ResultT")
_LOCK_CLASS = 0x6D696772  # "migr": distinguishes these advisory locks from the application's own
_LOCK_POLL = 0.25
_NOT_OURS = (
    "PostgreSQL: the lock is not this connection's: connect to the server itself, not through a pooler that shares "
    "connections between transactions"
)
_PATIENCE = 30.0  # seconds for what is no migration: a silent server must not block even a ROLLBACK for ever
_GRACE = 5.0  # seconds beyond its own timeout that a silent server gets
_HOLDERS = """SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2
    AND classid = $1::int8::oid AND objid = (hashtext($2)::int8 & 4294967295)::oid
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
_PASSING = (errors.LockNotAvailableError, errors.DeadlockDetectedError, errors.SerializationError)
_LOST = (
    errors.PostgresConnectionError, errors.AdminShutdownError, errors.CrashShutdownError, errors.CannotConnectNowError,
    asyncpg.InterfaceError, OSError, EOFError,
)  # fmt: skip


class PostgreSQLStore:
    """See `Store`."""

    name = "PostgreSQL"

    def __init__(self, place: PostgreSQLPlace, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._place, self._connection = place, connection
        self._tables = Tables(connection, place.table)

    @classmethod
    async def open(cls, place: PostgreSQLPlace) -> PostgreSQLStore:
        """Connect. Raises UnreachableError."""
        who = f"healthd-deploy migrate on {socket.gethostname()}, process {os.getpid()}"[:63]
        address = read_postgresql(place.uri.get_secret_value())
        if (missing := await asyncio.to_thread(address.missing_file)) is not None:
            raise UnreachableError(f"PostgreSQL: {missing}")
        within = address.connect_timeout or 10
        connecting = asyncpg.connect(
            address.uri,
            timeout=within,
            statement_cache_size=0,
            command_timeout=_PATIENCE,
            server_settings={"application_name": who, **address.search_path},
        )
        try:
            return cls(place, await connecting)
        except (asyncpg.PostgresError, *_LOST, ValueError) as error:
            said = "its URI cannot be read" if type(error) is ValueError else first_line(error)
            if isinstance(error, TimeoutError) and not str(error):
                said = f"no connection within {within:g} s: its host is silent, or its name is not resolved"
            raise UnreachableError(f"PostgreSQL: {said}") from None

    async def close(self) -> None:
        with suppress(asyncpg.PostgresError, TimeoutError, *_LOST):
            await self._connection.close(timeout=2)

    @asynccontextmanager
    async def lock(self, wait: float) -> AsyncIterator[None]:
        # Polled: a session that waits in the database holds a snapshot, for which the holder's
        # CREATE INDEX CONCURRENTLY would wait in its turn.
        loop = asyncio.get_running_loop()
        last = loop.time() + wait
        while not await self._try_lock():
            if loop.time() >= last:
                raise HeldError(f"PostgreSQL: {await self.holder() or 'another runner'} is at work")
            await asyncio.sleep(_LOCK_POLL)
        try:
            yield
        finally:
            with suppress(asyncpg.PostgresError, *_LOST):
                await self._connection.execute(f"SELECT pg_advisory_unlock({self._lock})", timeout=2)

    @property
    def _lock(self) -> str:
        return f"{_LOCK_CLASS}, hashtext('{self._place.table}')"  # matches TableName

    async def _try_lock(self) -> bool:
        return bool(await self._asked(self._connection.fetchval(f"SELECT pg_try_advisory_lock({self._lock})")))

    async def _holds_lock(self) -> bool:
        query = f"SELECT EXISTS (SELECT FROM ({_HOLDERS}) AS held WHERE pid = pg_backend_pid())"
        return bool(await self._asked(self._connection.fetchval(query, _LOCK_CLASS, self._place.table)))

    async def holder(self) -> str | None:
        query = f"SELECT held.pid, application_name FROM ({_HOLDERS}) AS held LEFT JOIN pg_stat_activity USING (pid)"
        row = await self._asked(self._connection.fetchrow(query, _LOCK_CLASS, self._place.table))
        return f"{row['application_name'] or 'a runner'} (server process {row['pid']})" if row else None

    async def set_up(self) -> None:
        await self._asked(self._tables.create())

    async def history(self) -> list[Row]:
        return await self._asked(self._tables.read())

    def down_steps(self, rollback_script: str) -> tuple[Step, ...]:
        return sql_file.down_steps(rollback_script)

    async def record(self, entry: Entry) -> None:
        try:
            async with self._transaction(None, _GRACE):
                await self._tables.write(entry)
        except StepFailedError as error:
            raise UnreachableError(f"PostgreSQL: the history cannot be written: {error}") from None

    async def carry_out(self, step: Step, then: Entry, within: float) -> None:
        assert isinstance(step, Script)
        if step.atomic:
            async with self._transaction(step, within):
                await self._run_script(step, within + _GRACE)
                await self._tables.write(then)
        else:
            await self._run_alone(step, within)
            await self.record(then)

    async def _run_alone(self, step: Script, within: float) -> None:
        async with self._told(step):
            if not await self._holds_lock():
                raise UnreachableError(_NOT_OURS)
            await self._connection.execute(self._timeouts(step, within, local=False))
            try:
                await self._connection.execute(step.text, timeout=within + _GRACE)
            except TimeoutError:
                self._connection.terminate()
                raise UnreachableError(f"PostgreSQL: no answer within {within + _GRACE:g} s") from None
            finally:
                if not self._connection.is_closed():
                    await self._connection.execute("RESET ALL; RESET ROLE")

    async def _run_script(self, step: Script, patience: float) -> None:
        if step.phase is Phase.VALIDATE:
            found = await (await self._connection.cursor(step.text, timeout=patience)).fetch(100, timeout=patience)
            if found:
                many = "a row" if len(found) == 1 else f"{len(found)} rows" if len(found) < 100 else "100 rows or more"
                raise StepFailedError(
                    f"{step.place}: the validation finds {many}: it must select what is wrong, and find nothing"
                )
            return
        inside = await self._connection.fetchval("SELECT txid_current()")
        await self._connection.execute(step.text, timeout=patience)
        # A script may have changed the role and the settings of its session.
        still = self._connection.is_in_transaction() and await self._connection.fetchval("SELECT txid_current()")
        if still != inside:
            raise StepFailedError(
                f"{step.place}: the script ends the transaction itself: take out its COMMIT, or mark it "
                "`no-transaction`"
            )
        await self._connection.execute("RESET ALL; RESET ROLE")

    async def count(self, step: Batches) -> int | None:
        assert isinstance(step, SQLBatches)
        query = f"SELECT count(*) FROM {step.table} WHERE ({step.where})"
        try:
            async with self._transaction(None, 2.0):
                return int(await self._connection.fetchval(query))
        except StepFailedError:
            return None

    async def batch(self, step: Batches, size: int, entry: Entry, within: float) -> Progress | None:
        assert isinstance(step, SQLBatches)
        assert entry.progress is not None
        async with self._transaction(step.script, within):
            progress = await next_batch(self._connection, step, size, entry.progress, within + _GRACE)
            if progress is not None:
                await self._tables.write(entry.going(progress))
            return progress

    async def lag(self) -> float:
        query = "SELECT COALESCE(extract(epoch FROM max(replay_lag)), 0)::float8 FROM pg_stat_replication"
        return float(await self._asked(self._connection.fetchval(query)))

    @asynccontextmanager
    async def _transaction(self, step: Script | None, within: float) -> AsyncIterator[None]:
        """Open a transaction under the lock, with its timeouts. Raises StepFailedError, UnreachableError."""
        async with self._told(step):
            try:
                async with asyncio.timeout(within + _GRACE), self._connection.transaction():
                    await self._connection.execute(self._timeouts(step, within, local=True))
                    if not await self._holds_lock():
                        raise UnreachableError(_NOT_OURS)
                    yield
            except TimeoutError:
                self._connection.terminate()
                raise UnreachableError(f"PostgreSQL: no answer within {within + _GRACE:g} s") from None

    def _timeouts(self, step: Script | None, within: float, *, local: bool) -> str:
        lock = (step and step.lock_timeout) or self._place.lock_timeout
        own = self._place.statement_timeout if step is None or step.atomic else within
        statement = min(within, (step and step.statement_timeout) or own)
        scope = "SET LOCAL" if local else "SET"
        # From version 14 on a server detects by itself that the client of a long statement was killed.
        notices = self._connection.get_server_version() >= (14,)
        return (
            f"{f'{scope} client_connection_check_interval = 1000; ' if notices else ''}"
            f"{scope} lock_timeout = {max(1, round(lock * 1000))}; "
            f"{scope} statement_timeout = {max(1, round(statement * 1000))}"
        )

    @asynccontextmanager
    async def _told(self, step: Script | None) -> AsyncIterator[None]:
        """Convert the driver's errors to the runner's own, with the line of the file."""
        try:
            yield
        except _LOST as error:
            raise UnreachableError(f"PostgreSQL: {first_line(error)}") from None
        except asyncpg.PostgresError as error:
            raise StepFailedError(_explained(error, step), passing=isinstance(error, _PASSING)) from None

    async def _asked(self, question: Awaitable[ResultT]) -> ResultT:
        """Return the result of a query that is no step. Raises UnreachableError."""
        try:
            return await question
        except (asyncpg.PostgresError, *_LOST) as error:
            raise UnreachableError(f"PostgreSQL: {first_line(error)}") from None


def _explained(error: asyncpg.PostgresError, step: Script | None) -> str:
    """Return the server's message, with the line of the script that it points to."""
    said = first_line(error)
    if isinstance(error, errors.LockNotAvailableError):
        said += " (lock_timeout: something else holds a lock on the table)"
    if step is None:
        return said
    position = getattr(error, "position", None)
    if position is None or getattr(error, "internal_position", None):
        return f"{step.place}: {said}"
    line = step.first_line + step.text[: int(position) - 1].count("\n")
    return f"{step.file}:{line}: {said}"
