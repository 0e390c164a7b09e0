"""Number that a query finds in PostgreSQL or MySQL, such as the length of a queue, held to a band."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from healthd.checks.band import Bounds
from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.database import DatabaseConfig
from healthd.checks.sql_database import SqlURI, open_database
from healthd.model import FailureKind, Measure, Result
from healthd.units import Duration


class SQLConfig(DatabaseConfig):
    kind: Literal["sql"] = "sql"
    uri: SqlURI
    """Address: `postgresql://user:password@host/database`, with TLS options such as `?sslmode=verify-full`; or
    `mysql://…?ssl-mode=VERIFY_IDENTITY`, which needs the extra `mysql`."""
    query: str = Field(min_length=1, max_length=10_000)
    """One statement; the first column of its first row is the number. It runs in a transaction that is read only."""
    degraded: Bounds | None = None
    """Bounds outside which the check is degraded."""
    unhealthy: Bounds | None = None
    """Bounds outside which the check is unhealthy."""
    interval: Duration = 60.0
    """Time between probes, plus or minus a tenth."""
    timeout: Duration = 5.0
    """Hard deadline of a probe; the server ends the query before it."""

    @model_validator(mode="after")
    def _has_a_band(self) -> Self:
        if self.degraded is None and self.unhealthy is None:
            raise ValueError("write degraded or unhealthy: without bounds every number would be healthy")
        return self


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
    result = Result.healthy(f"{value:g}")
    if config.unhealthy is not None and (broken := config.unhealthy.broken(value)):
        result = Result.unhealthy(FailureKind.THRESHOLD, f"{value:g} is {broken}")
    elif config.degraded is not None and (broken := config.degraded.broken(value)):
        result = Result.degraded(FailureKind.THRESHOLD, f"{value:g} is {broken}")
    return replace(result, observed={"value": value}, measures=(Measure("value", value),))


def number(raw: object) -> float | None:
    """Return a number, or a length of time in seconds; None for anything else, NaN and infinity among it."""
    if isinstance(raw, timedelta):
        return raw.total_seconds()
    if isinstance(raw, int | float | Decimal):
        value = float(raw)
        return value if math.isfinite(value) else None
    return None
