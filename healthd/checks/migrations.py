"""Migrations: compares the history in a database with that of the release. Reads `migration_history`, runs nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar

from healthd.checks import mongodb_client as mongodb
from healthd.checks import postgresql_connection as postgresql
from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.migrations_expected import Directory, UnreadableError
from healthd.checks.migrations_history import (
    Findings,
    History,
    MongoDBHistory,
    NoHistoryError,
    PostgreSQLHistory,
    compare,
)
from healthd.checks.migrations_options import MigrationsConfig, Place
from healthd.model import FailureKind, Result

_NAMES_SHOWN = 5


class Migrations:
    """Compares the history of one database, or of two, with the expected migrations."""

    config_model: ClassVar[type[CheckConfig]] = MigrationsConfig

    def __init__(self, config: MigrationsConfig, context: CheckContext) -> None:
        self._sources: list[_Source] = []
        if (tables := config.postgresql) is not None:
            connection = postgresql.Connection(tables.uri, context.clock, in_schema=True)
            self._sources.append(_Source("PostgreSQL", PostgreSQLHistory(connection, tables.table), tables, config))
        if (documents := config.mongodb) is not None:
            client = mongodb.Client(documents.uri, config.timeout)
            self._sources.append(_Source("MongoDB", MongoDBHistory(client, documents.collection), documents, config))

    async def probe(self) -> Result:
        looks = await asyncio.gather(*(source.look() for source in self._sources))
        findings = Findings()
        for look in looks:
            if isinstance(look, Result):
                return look
            findings += look
        return judge(findings)

    async def close(self) -> None:
        for source in self._sources:
            source.history.drop()


class _Source:
    """One history, and the list of its expected migrations."""

    def __init__(self, name: str, history: History, place: Place, config: MigrationsConfig) -> None:
        self.history = history
        self._name, self._place, self._patience = name, place, config.patience
        self._directory = Directory(place.directory, place.pattern) if place.directory else None
        self._words = {
            "done": [word.lower() for word in config.done],
            "failed": [word.lower() for word in config.failed],
            "undone": [word.lower() for word in config.undone],
        }

    async def look(self) -> Findings | Result:
        """Return the differences, or a result that explains why they cannot be found."""
        awaited = str(self._place.directory)
        try:
            async with asyncio.timeout(self._patience):
                expected = await self._directory.read() if self._directory else self._place.expected
                awaited = self._name
                return compare(await self.history.read(), expected, **self._words)
        except TimeoutError:
            return Result.unhealthy(FailureKind.TIMEOUT, f"{awaited}: no answer within {self._patience:g} s")
        except UnreadableError as error:
            return Result.unhealthy(FailureKind.MISCONFIGURED, str(error))
        except NoHistoryError as error:
            return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, f"{self._name}: {error}")
        except self.history.failures as error:
            failed = self.history.failure(error)
            assert failed.kind is not None
            return Result.unhealthy(failed.kind, f"{self._name}: {failed.message}")


def judge(findings: Findings) -> Result:
    """Return the result for the worst difference."""
    seen: dict[str, Any] = {
        "applied": len(findings.applied),
        "failed": list(findings.failed),
        "changed": list(findings.changed),
        "pending": list(findings.pending),
        "unfinished": list(findings.unfinished),
    }
    if findings.failed:
        text = f"failed: {_listed(findings.failed)}"
        return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, text, observed=seen)
    if findings.changed:
        text = f"changed after it was applied: {_listed(findings.changed)}"
        return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, text, observed=seen)
    if findings.pending:
        return Result.unhealthy(FailureKind.LAGGING, f"not applied: {_listed(findings.pending)}", observed=seen)
    if findings.unfinished:
        text = f"begun and not completed: {_listed(findings.unfinished)}"
        return Result.degraded(FailureKind.LAGGING, text, observed=seen)
    return Result.healthy(observed=seen)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more
