"""PostgreSQL: role of the server, whether it accepts writes, replication lag of a standby, connections in use."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from asyncpg import exceptions as errors

from healthd.checks import postgresql_connection as postgresql
from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.database import Require, percent
from healthd.checks.postgresql_options import PostgreSQLConfig
from healthd.model import FailureKind, Result, Status
from healthd.units import show_duration

# One round trip, and nothing in it needs a grant. Without pg_read_all_stats the kind of another user's session is
# hidden, and so is the state of the WAL receiver: then sessions with a database and a user are counted, and a
# receiver that shows itself is taken for one that streams (it does so only once it is connected). After a restart the
# position that was received begins at a segment, behind what is replayed, until something is written: hence `>=`.
_QUERY = """
SELECT recovering,
       current_setting('transaction_read_only')::boolean AS read_only,
       split_part(current_setting('server_version'), ' ', 1) AS version,
       current_setting('max_connections')::integer AS max_connections,
       current_setting('superuser_reserved_connections')::integer
         + coalesce(current_setting('reserved_connections', true)::integer, 0) AS reserved,
       (SELECT count(*) FROM pg_stat_activity
         WHERE coalesce(backend_type = 'client backend', datid IS NOT NULL AND usesysid IS NOT NULL)) AS used,
       CASE WHEN recovering THEN
         EXISTS (SELECT FROM pg_stat_wal_receiver WHERE coalesce(status, 'streaming') = 'streaming') END AS streaming,
       CASE WHEN recovering THEN pg_is_wal_replay_paused() END AS paused,
       CASE WHEN recovering THEN pg_postmaster_start_time()::text END AS server,
       CASE WHEN recovering THEN
         pg_last_wal_replay_lsn() >= greatest(
           pg_last_wal_receive_lsn(), (SELECT latest_end_lsn FROM pg_stat_wal_receiver LIMIT 1)) END AS all_replayed,
       CASE WHEN recovering THEN
         extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::double precision END AS replay_age
  FROM pg_is_in_recovery() AS recovering
"""


# For servers that speak PostgreSQL over their own storage, such as Aurora: they have no WAL to ask about.
_QUERY_WITHOUT_WAL = (
    _QUERY.partition("       CASE WHEN recovering THEN\n         EXISTS")[0]
    + "       false AS knows_lag\n  FROM pg_is_in_recovery() AS recovering"
)


@dataclass(frozen=True, slots=True)
class Standing:
    """State that a server reports: a row of the query. `replay_age` is in seconds; `server` distinguishes a standby
    from another one, or from itself before a restart. `since_in_step`, which is not in the row, is in seconds: since
    this check saw the same standby in step with its primary."""

    recovering: bool
    read_only: bool
    version: str
    max_connections: int
    reserved: int
    used: int
    streaming: bool | None = None
    paused: bool | None = None
    all_replayed: bool | None = None
    replay_age: float | None = None
    server: str | None = None
    since_in_step: float | None = None
    knows_lag: bool = True

    @property
    def available(self) -> int:
        """Total number of connections available to ordinary roles."""
        return self.max_connections - self.reserved

    @property
    def lag(self) -> float | None:
        """Maximum replication lag of a standby in seconds; None when it cannot be known.

        A standby that replayed everything it received may still lag once it no longer receives anything. The age of the
        last transaction only says how long no write arrived; a standby that was in step a moment ago is no further
        behind than that.
        """
        if self.is_in_step:
            return 0.0
        bounds = [bound for bound in (self.replay_age, self.since_in_step) if bound is not None]
        return max(0.0, min(bounds)) if bounds else None

    @property
    def is_in_step(self) -> bool:
        """True if a standby has replayed everything that its primary reports."""
        return bool(self.all_replayed and self.streaming)

    def observed(self) -> dict[str, Any]:
        seen: dict[str, Any] = {
            "role": "replica" if self.recovering else "primary",
            "version": self.version,
            "readOnly": self.read_only,
            "connectionsUsed": self.used,
            "maxConnections": self.max_connections,
            "reservedConnections": self.reserved,
            "connectionsUsedPercent": percent(self.used, self.available),
        }
        if self.recovering and self.knows_lag:
            seen["lagSeconds"] = None if self.lag is None else round(self.lag, 3)
            seen["streaming"] = self.streaming
            seen["replayPaused"] = self.paused
        return seen


class PostgreSQL:
    """Queries one server over one connection."""

    config_model: ClassVar[type[CheckConfig]] = PostgreSQLConfig

    def __init__(self, config: PostgreSQLConfig, context: CheckContext) -> None:
        self._config = config
        self._clock, self._row = context.clock, f"healthd:{socket.gethostname()}:{context.name}"
        self._in_step: tuple[str | None, float] | None = None  # the standby, and when (steady seconds)
        self._connection = postgresql.Connection(config.uri, context.clock, patience=config.patience)
        self._query = _QUERY

    async def probe(self) -> Result:
        try:
            async with asyncio.timeout(self._config.patience):
                answer = await self._ask()
        except TimeoutError:
            return Result.unhealthy(FailureKind.TIMEOUT, self._connection.waited_for(self._config.patience))
        except postgresql.FAILURES as error:
            return postgresql.failure(error)
        standing = self._with_its_past(Standing(**answer.rows[0]))
        result = judge(standing, self._config, answer.latency)
        if result.kind in (FailureKind.NOT_PRIMARY, FailureKind.READ_ONLY, FailureKind.UNEXPECTED_RESPONSE):
            self._connection.drop()  # after a failover the name resolves to another host: look it up again
        if self._config.canary is not None and result.status is not Status.UNHEALTHY:
            return await self._with_canary(self._config.canary, standing, result)
        return result

    async def _with_canary(self, table: str, standing: Standing, result: Result) -> Result:
        """Return `result`, unless the storage of the server fails to write, or read, one row."""
        name = ".".join(f'"{part}"' for part in table.split("."))
        read = f"SELECT at FROM {name} WHERE id = $1"
        write = f"INSERT INTO {name} AS canary (id, at) VALUES ($1, clock_timestamp())"
        write += " ON CONFLICT (id) DO UPDATE SET at = excluded.at RETURNING at"
        try:
            async with asyncio.timeout(self._config.patience):
                await self._connection.ask(read if standing.recovering else write, self._row)
        except TimeoutError:
            failure = Result.unhealthy(FailureKind.TIMEOUT, self._connection.waited_for(self._config.patience))
        except postgresql.FAILURES as error:
            failure = postgresql.failure(error)
        else:
            return result
        text = f"it says that it is well, and the canary fails: {failure.message}"
        return replace(failure, message=text, latency=result.latency, observed=result.observed)

    def _with_its_past(self, standing: Standing) -> Standing:
        now = self._clock.steady()
        if standing.is_in_step:
            self._in_step = standing.server, now
        if self._in_step is None or self._in_step[0] != standing.server:
            return standing
        return replace(standing, since_in_step=now - self._in_step[1])

    async def close(self) -> None:
        self._connection.drop()

    async def _ask(self) -> postgresql.Answer:
        try:
            return await self._connection.ask(self._query)
        except errors.FeatureNotSupportedError:
            if self._query is _QUERY_WITHOUT_WAL:
                raise
            self._query = _QUERY_WITHOUT_WAL
            return await self._connection.ask(self._query)


def judge(standing: Standing, config: PostgreSQLConfig, latency: float) -> Result:
    """Return the result for the worst state of a server that answered."""
    seen = standing.observed()
    return (
        _role(standing, config.require, seen, latency)
        or _lag(standing, config.max_lag, seen, latency)
        or config.connections.judge(
            standing.used,
            standing.available,
            f"{standing.used} of {standing.available} connections are in use",
            seen,
            latency,
        )
        or Result.healthy(latency=latency, observed=seen)
    )


def _role(standing: Standing, require: Require, seen: dict[str, Any], latency: float) -> Result | None:
    match require:
        case Require.PRIMARY if standing.recovering:
            kind, text = FailureKind.NOT_PRIMARY, "a standby where a primary is required"
        case Require.PRIMARY if standing.read_only:
            kind, text = FailureKind.READ_ONLY, "a primary that takes no writes: transactions are read-only by default"
        case Require.REPLICA if not standing.recovering:
            kind, text = FailureKind.UNEXPECTED_RESPONSE, "a primary where a replica is required"
        case _:
            return None
    return Result.unhealthy(kind, text, latency=latency, observed=seen)


def _lag(standing: Standing, max_lag: float, seen: dict[str, Any], latency: float) -> Result | None:
    if not standing.recovering or not standing.knows_lag:
        return None
    lag = standing.lag
    why = "" if standing.streaming else "; no WAL receiver is streaming"
    why += "; replay is paused" if standing.paused else ""
    if lag is None:
        text = f"nobody can say how far it is behind{why}"
        return Result.unhealthy(FailureKind.LAGGING, text, latency=latency, observed=seen)
    text = f"{lag:.1f} s behind the primary{why}"
    if lag > max_lag:
        text += f" (at most {show_duration(max_lag)})"
        return Result.unhealthy(FailureKind.LAGGING, text, latency=latency, observed=seen)
    if why:
        return Result.degraded(FailureKind.LAGGING, text, latency=latency, observed=seen)
    return None
