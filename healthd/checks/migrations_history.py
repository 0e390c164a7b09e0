"""History table `migration_history` of a database, and its differences to the expected migrations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from asyncpg.exceptions import UndefinedTableError

from healthd.checks import mongodb_client as mongodb
from healthd.checks import postgresql_connection as postgresql
from healthd.checks.migrations_expected import Expected, normal_checksum
from healthd.model import Result


@dataclass(frozen=True, slots=True)
class Migration:
    """Row of the history."""

    name: str
    status: str
    checksum: str | None


class NoHistoryError(Exception):
    """The table or collection does not exist."""


class History(Protocol):
    """Reader of a history. `failures` are the exceptions of `read` besides NoHistoryError."""

    failures: tuple[type[Exception], ...]

    async def read(self) -> list[Migration]: ...

    def failure(self, error: BaseException) -> Result: ...

    def drop(self) -> None: ...


class PostgreSQLHistory:
    """History in the rows of a table."""

    failures: tuple[type[Exception], ...] = postgresql.FAILURES

    def __init__(self, connection: postgresql.Connection, table: str) -> None:
        self._connection, self._table = connection, table
        self._query = f"SELECT migration_name::text, status::text, checksum::text FROM {table}"  # matches TableName

    async def read(self) -> list[Migration]:
        try:
            answer = await self._connection.ask(self._query)
        except UndefinedTableError:
            raise NoHistoryError(f"there is no table {self._table}") from None
        return [Migration(str(name), str(status), checksum) for name, status, checksum in answer.rows]

    def failure(self, error: BaseException) -> Result:
        return postgresql.failure(error)

    def drop(self) -> None:
        self._connection.drop()


class MongoDBHistory:
    """History in the documents of a collection, in the database that the URI names."""

    failures: tuple[type[Exception], ...] = mongodb.FAILURES

    def __init__(self, client: mongodb.Client, collection: str) -> None:
        self._client, self._collection = client, collection

    async def read(self) -> list[Migration]:
        database = (await self._client.open()).get_default_database()
        fields = ("migration_name", "status", "checksum")
        documents = await database[self._collection].find({}, fields).to_list(None)
        if not documents and not await database.list_collection_names(filter={"name": self._collection}):
            raise NoHistoryError(f"there is no collection {self._collection}")
        return [Migration(*(str(document.get(field) or "") for field in fields)) for document in documents]

    def failure(self, error: BaseException) -> Result:
        return self._client.failure(error)

    def drop(self) -> None:
        self._client.drop()


@dataclass(frozen=True, slots=True)
class Findings:
    """Names of migrations, by kind of difference."""

    applied: Sequence[str] = ()
    failed: Sequence[str] = ()
    changed: Sequence[str] = ()
    pending: Sequence[str] = ()
    unfinished: Sequence[str] = ()

    def __add__(self, other: Findings) -> Findings:
        return Findings(
            applied=[*self.applied, *other.applied],
            failed=[*self.failed, *other.failed],
            changed=[*self.changed, *other.changed],
            pending=[*self.pending, *other.pending],
            unfinished=[*self.unfinished, *other.unfinished],
        )


def compare(
    history: Iterable[Migration],
    expected: Sequence[Expected],
    *,
    done: Sequence[str],
    failed: Sequence[str],
    undone: Sequence[str] = (),
) -> Findings:
    """Return the differences. `done`, `failed` and `undone` are the history's values of `status`, in lower case.

    A checksum counts as changed when both sides have one and they differ. A migration that the history has and the list
    lacks is older than the release, and fine.
    """
    rows = {row.name: row for row in history if row.status.lower() not in undone}
    applied = [row for row in rows.values() if row.status.lower() in done]
    broken = [row.name for row in rows.values() if row.status.lower() in failed]
    finished = {row.name: row for row in applied}
    pending, changed = [], []
    for item in expected:
        row = next((finished[name] for name in item.known_as if name in finished), None)
        if row is None:
            if not set(item.known_as) & set(broken):  # reported once, as failed
                pending.append(item.name)
        elif item.checksum and row.checksum and normal_checksum(row.checksum) != item.checksum:
            changed.append(item.name)
    waiting = {name for item in expected if item.name in pending for name in item.known_as}
    unfinished = rows.keys() - finished.keys() - set(broken) - waiting
    return Findings([row.name for row in applied], broken, changed, pending, sorted(unfinished))
