"""MongoDB: database commands in sequence, and batches in transactions with the history.

A standalone server has no transactions: there a killed run may leave a batch done and not counted; its `where` prevents
that it is done twice.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar

from bson.errors import BSONError
from pymongo import AsyncMongoClient, errors
from pymongo.asynchronous.client_session import AsyncClientSession

from healthd.addresses.files import files_of, missing_file
from healthd.addresses.mongodb import read_mongodb
from healthd.checks.database import first_line
from healthd_deploy.migrate import document_file
from healthd_deploy.migrate.document_file import CommandStep, DocumentBatches, ValidateStep
from healthd_deploy.migrate.history import Entry, Progress, Row, StepFailedError, UnreachableError
from healthd_deploy.migrate.migration import Batches, Step
from healthd_deploy.migrate.mongodb_history import Collections
from healthd_deploy.migrate.mongodb_lock import Lease
from healthd_deploy.migrate.settings import MongoDBPlace

ResultT = TypeVar("ResultT")
Session = AsyncClientSession | None
_COUNTING_MS = 2000
_PASSING_CODES = {24, 112}  # LockTimeout, WriteConflict


class MongoDBStore:
    """See `Store`."""

    name = "MongoDB"

    def __init__(self, place: MongoDBPlace, client: AsyncMongoClient[dict[str, Any]], *, transactions: bool) -> None:
        self._client, self._database = client, client.get_default_database()
        self._session = client.start_session() if transactions else None
        self._history = Collections(self._database, place.collection)
        who = f"healthd-deploy migrate on {socket.gethostname()}, process {os.getpid()}"
        self._lease = Lease(self._database[f"{place.collection}_lock"], place.lease_duration, who)

    @classmethod
    async def open(cls, place: MongoDBPlace) -> MongoDBStore:
        """Connect. Raises UnreachableError."""
        uri, _ = read_mongodb(place.uri.get_secret_value())
        if (missing := await asyncio.to_thread(missing_file, files_of(uri))) is not None:
            raise UnreachableError(f"MongoDB: {missing}")
        try:
            client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
                uri, appname="healthd-deploy migrate", tz_aware=True, w="majority",
                serverSelectionTimeoutMS=10_000,
            )  # fmt: skip
        except (errors.PyMongoError, ValueError):
            raise UnreachableError("MongoDB: its URI cannot be read by the driver") from None
        try:
            hello = await client.admin.command("hello")
        except errors.PyMongoError as error:
            await client.close()
            raise UnreachableError(f"MongoDB: {_said(error)}") from None
        return cls(place, client, transactions="setName" in hello or hello.get("msg") == "isdbgrid")

    async def close(self) -> None:
        with suppress(errors.PyMongoError):
            if self._session is not None:
                await self._session.end_session()
            await self._client.close()

    @asynccontextmanager
    async def lock(self, wait: float) -> AsyncIterator[None]:
        held = self._lease.held(wait, self._session)
        await self._asked(held.__aenter__())
        try:
            yield
        finally:
            await held.__aexit__(None, None, None)

    async def holder(self) -> str | None:
        return await self._asked(self._lease.holder())

    async def set_up(self) -> None:
        await self._asked(self._history.create())

    async def history(self) -> list[Row]:
        return await self._asked(self._history.read())

    def down_steps(self, rollback_script: str) -> tuple[Step, ...]:
        return document_file.down_steps(rollback_script)

    async def record(self, entry: Entry) -> None:
        try:
            async with self._transaction("") as session:
                await self._history.write(entry, session)
        except StepFailedError as error:
            raise UnreachableError(f"MongoDB: the history cannot be written: {error}") from None

    async def carry_out(self, step: Step, then: Entry, within: float) -> None:
        if isinstance(step, ValidateStep):
            await self._validate(step, within)
        else:
            assert isinstance(step, CommandStep)
            async with _told(step.place):
                await self._lease.pass_fence(None)
                await self._lease.while_held(self._command(step, within))
        await self.record(then)

    async def _command(self, step: CommandStep, within: float) -> None:
        command = dict(step.command)
        database = self._client.get_database(name) if (name := command.pop("$db", None)) else self._database
        command.setdefault("maxTimeMS", max(1, round(within * 1000)))
        reply = await database.command(command)
        # The server reports ok although documents were refused.
        if failed := reply.get("writeErrors") or ([reply["writeConcernError"]] if "writeConcernError" in reply else []):
            raise StepFailedError(f"{step.place}: {failed[0].get('errmsg', 'a write was refused')}")

    async def _validate(self, step: ValidateStep, within: float) -> None:
        limit = max(1, round(within * 1000))
        async with _told(step.place):
            collection = self._database[step.nothing.collection]
            if await collection.find_one(step.nothing.where, {"_id": 1}, max_time_ms=limit) is not None:
                raise StepFailedError(
                    f"{step.place}: the validation finds documents in {collection.name}: {step.shown}"
                )

    async def count(self, step: Batches) -> int | None:
        assert isinstance(step, DocumentBatches)
        collection = self._database[step.part.collection]
        try:
            async with _told(step.place):
                return await collection.count_documents(step.part.where, maxTimeMS=_COUNTING_MS)
        except StepFailedError:
            return None

    async def batch(self, step: Batches, size: int, entry: Entry, within: float) -> Progress | None:
        assert isinstance(step, DocumentBatches)
        assert entry.progress is not None
        async with self._transaction(step.place) as session:
            progress = await self._lease.while_held(self._next_batch(step, size, entry.progress, within, session))
            if progress is not None:
                await self._history.write(entry.going(progress), session)
            return progress

    async def _next_batch(
        self, step: DocumentBatches, size: int, progress: Progress, within: float, session: Session
    ) -> Progress | None:
        collection, where = self._database[step.part.collection], step.part.where
        # The server compares only keys of the last one's type; another pass takes those of the next type.
        after = {"_id": {"$gt": progress.last_key}} if progress.last_key is not None else {}
        limit = max(1, round(within * 1000))
        chosen = collection.find({"$and": [where, after]}, {"_id": 1}, session=session, max_time_ms=limit)
        keys = [document["_id"] async for document in chosen.sort("_id", 1).limit(size)]
        if not keys:
            return None
        these = {"$and": [{"_id": {"$in": keys}}, where]}
        if step.part.update is None:
            await collection.delete_many(these, session=session)
        else:
            await collection.update_many(these, step.part.update, session=session)
        if left := await collection.count_documents(these, session=session):
            raise StepFailedError(
                f"{step.place}: `where` still finds {left:,} of {len(keys):,} documents after their batch: the update "
                "must end that for every one, or the batches never end"
            )
        return replace(progress, rows=progress.rows + len(keys), last_key=keys[-1])

    async def lag(self) -> float:
        return 0.0  # a batch ends when a majority has it: that limits the speed by itself

    @asynccontextmanager
    async def _transaction(self, place: str) -> AsyncIterator[Session]:
        """Open a transaction behind the fence; on a server without transactions, only pass the fence."""
        async with _told(place):
            if (session := self._session) is None:
                await self._lease.pass_fence(None)
                yield None
                return
            async with await session.start_transaction():
                await self._lease.pass_fence(session)
                yield session

    async def _asked(self, question: Awaitable[ResultT]) -> ResultT:
        """Return the result of a query that is no step. Raises UnreachableError."""
        try:
            return await question
        except errors.PyMongoError as error:
            raise UnreachableError(f"MongoDB: {_said(error)}") from None


def _told(place: str) -> AbstractAsyncContextManager[None]:
    """Convert the driver's errors to the runner's own."""
    return _telling(f"{place}: " if place else "")


@asynccontextmanager
async def _telling(place: str) -> AsyncIterator[None]:
    try:
        yield
    except errors.ConnectionFailure as error:
        raise UnreachableError(f"MongoDB: {_said(error)}") from None
    except (errors.PyMongoError, BSONError) as error:
        code = error.code if isinstance(error, errors.OperationFailure) else None
        passing = code in _PASSING_CODES or (
            isinstance(error, errors.PyMongoError) and error.has_error_label("TransientTransactionError")
        )
        raise StepFailedError(f"{place}{_said(error)}", passing=passing) from None


def _said(error: Exception) -> str:
    """Return the driver's message without the settings and documents that it appends."""
    if isinstance(error, errors.OperationFailure) and error.details:
        return str(error.details.get("errmsg", "refused"))
    return first_line(error).partition(" (configured timeouts")[0].partition(", Timeout:")[0]
