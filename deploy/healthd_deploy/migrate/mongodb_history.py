"""History in MongoDB: its collection, and a second one for the progress of what is neither done nor undone."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import CollectionInvalid

from healthd_deploy.migrate.history import Entry, Progress, Row, Status


class Collections:
    """Both collections of the history."""

    def __init__(self, database: AsyncDatabase[dict[str, Any]], name: str) -> None:
        self._database, self._history, self._progress = database, database[name], database[f"{name}_progress"]

    async def create(self) -> None:
        """Create the missing ones, with the index that keeps a name unique."""
        there = await self._database.list_collection_names()
        for collection in (self._history, self._progress):
            if collection.name not in there:
                try:
                    await self._database.create_collection(collection.name)
                except CollectionInvalid:  # the driver's error when it was created meanwhile
                    continue
            await collection.create_index("migration_name", unique=True)

    async def read(self) -> list[Row]:
        """Return every migration; none without a collection."""
        progress = {found["migration_name"]: _progress(found) async for found in self._progress.find()}
        rows = self._history.find().sort("migration_name", 1)
        return [_row(found, progress.get(str(found.get("migration_name")))) async for found in rows]

    async def write(self, entry: Entry, session: AsyncClientSession | None) -> None:
        """Write an entry to both collections; in the caller's transaction, where there is one.

        Without one the order matters for what a killed run leaves: progress is written before the history says that it
        is running, and deleted only after the history says how it ended.
        """
        if entry.progress is not None:
            await self._keep(entry, entry.progress, session)
        row = {
            "executed_at": datetime.now(UTC),
            "execution_time_ms": round(entry.elapsed * 1000),
            "status": str(entry.status),
            "rollback_script": entry.rollback_script,
            "checksum": entry.checksum,
        }
        name = {"migration_name": entry.name}
        await self._history.update_one(name, {"$set": row}, upsert=True, session=session)
        if entry.progress is None:
            await self._progress.delete_one(name, session=session)

    async def _keep(self, entry: Entry, progress: Progress, session: AsyncClientSession | None) -> None:
        kept = {**asdict(progress), "undoing": progress.undoing and str(progress.undoing)}
        change = {"$set": {**kept, "updated_at": datetime.now(UTC)}}
        await self._progress.update_one({"migration_name": entry.name}, change, upsert=True, session=session)


def _progress(found: dict[str, Any]) -> Progress:
    fields = {name: found[name] for name in Progress.__dataclass_fields__ if name in found}
    return Progress(**{**fields, "undoing": Status(found["undoing"]) if found.get("undoing") else None})


def _row(found: dict[str, Any], progress: Progress | None) -> Row:
    return Row(
        name=str(found.get("migration_name")),
        status=str(found.get("status") or ""),
        checksum=found.get("checksum"),
        rollback_script=found.get("rollback_script"),
        executed_at=found.get("executed_at"),
        execution_time_ms=found.get("execution_time_ms"),
        progress=progress,
    )
