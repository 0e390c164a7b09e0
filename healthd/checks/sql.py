"""Number that a query finds in PostgreSQL or MySQL, such as the length of a queue, held to a band."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import Field

from healthd.checks.band import BandConfig, number
from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.database import DatabaseConfig
from healthd.checks.sql_database import SqlURI, open_database
from healthd.model import FailureKind, Result
from healthd.units import Duration


class SQLConfig(DatabaseConfig, BandConfig):
    kind: Literal["sql"] = "sql"
    uri: SqlURI
    """Address: `postgresql://user:password@host/database`, with TLS options such as `?sslmode=verify-full`; or
    `mysql://…?ssl-mode=VERIFY_IDENTITY`, which needs the extra `mysql`."""
    query: str = Field(min_length=1, max_length=10_000)
    """One statement; the first column of its first row is the number. It runs in a transaction that is read only."""
    interval: Duration = 60.0
    """Time between probes, plus or minus a tenth."""
    timeout: Duration = 5.0
    """Hard deadline of a probe; the server ends the query before it."""


class SQL:
    """Healthy when the query finds a number within all bounds. No row, NULL, and what is no number is unhealthy:
    nothing was measured."""

    config_model: ClassVar[type[CheckConfig]] = SQLConfig

    def __init__(self, config: SQLConfig, context: CheckContext) -> None:
        self._config = config
        self._database = open_database(config.uri, context.clock, config.patience)

    async def probe(self) -> Result:
        patience = self._config.patience
        try:
            async with asyncio.timeout(patience):
                answer = await self._database.look(self._config.query, within=patience)
        except TimeoutError:
            return Result.unhealthy(FailureKind.TIMEOUT, self._database.waited_for(patience))
        except self._database.failures as error:
            return self._database.failure(error)
        return replace(judge(answer.rows, self._config), latency=answer.latency)

    async def close(self) -> None:
        self._database.drop()


def judge(rows: Sequence[Any], config: SQLConfig) -> Result:
    """Return the result for the first column of the first row."""
    if not rows:
        return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, "the query found no row")
    raw = rows[0][0] if len(rows[0]) else None
    value = number(raw)
    if value is None:
        found = "NULL" if raw is None else f"a value of type {type(raw).__name__}"
        return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, f"the query found {found}, which is no number")
    return config.judge(value)
