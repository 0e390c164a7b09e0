"""Lock in MongoDB: a document with its holder and a heartbeat, and a fence that a former holder cannot pass.

No clock is compared with another machine's: a waiting runner takes the lock over once it has seen no heartbeat for a
whole lease by its own clock, and the holder gives up well before that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from pymongo import ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError, PyMongoError

from healthd_deploy.migrate.history import HeldError, UnreachableError

ResultT = TypeVar("ResultT")
_LOCK, _FENCE = {"_id": "lock"}, {"_id": "fence"}
_LOST = "MongoDB: the lock was lost to another runner, or could not be prolonged in time"


class Lease:
    """Lock from the view of one runner. `lease` is in seconds."""

    def __init__(self, collection: AsyncCollection[dict[str, Any]], lease: float, who: str) -> None:
        self._collection, self._lease, self._who = collection, lease, who
        self._token = 0
        self._lost = asyncio.Event()

    @asynccontextmanager
    async def held(self, wait: float, session: AsyncClientSession | None) -> AsyncIterator[None]:
        """Hold the lock, for transactions of that session. Raises HeldError when another live runner has it after
        `wait` seconds."""
        self._token = await self._acquire(wait, session)
        beating = asyncio.create_task(self._beat(), name="migration lock")
        try:
            await self._collection.update_one(_FENCE, {"$set": {"token": self._token}}, upsert=True)
            yield
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating
            with suppress(PyMongoError):  # otherwise it expires by itself
                await self._collection.update_one({**_LOCK, "token": self._token}, {"$set": {"holder": None}})

    async def holder(self) -> str | None:
        """Return the holder, and the time since its last heartbeat; None when the lock is free."""
        found = await self._collection.find_one(_LOCK)
        if not found or not found["holder"]:
            return None
        now = (await self._collection.database.command("hello"))["localTime"]
        silent = max(0, round((now - found["beaten_at"]).total_seconds())) if "beaten_at" in found else 0
        return f"{found['holder']} (last sign of life {silent} s ago)"

    async def pass_fence(self, session: AsyncClientSession | None) -> None:
        """Prove that the lock is still ours; in a transaction, until its end. Raises UnreachableError."""
        passed = await self._collection.update_one(
            {**_FENCE, "token": self._token}, {"$inc": {"passed": 1}}, session=session
        )
        if not passed.matched_count or self._lost.is_set():
            raise UnreachableError(_LOST)

    async def while_held(self, work: Awaitable[ResultT]) -> ResultT:
        """Return the result of `work`. Cancels it when the lock is lost, and raises UnreachableError."""
        working, losing = asyncio.ensure_future(work), asyncio.create_task(self._lost.wait())
        try:
            await asyncio.wait({working, losing}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise UnreachableError(_LOST)
            return working.result()
        finally:
            for task in (working, losing):
                task.cancel()
            await asyncio.wait({working, losing})

    async def _acquire(self, wait: float, session: AsyncClientSession | None) -> int:
        loop = asyncio.get_running_loop()
        begun = unchanged_since = loop.time()
        seen, beats_seen = None, 0
        while True:
            found = await self._collection.find_one(_LOCK)
            if found is None:
                with suppress(DuplicateKeyError):  # another runner was faster
                    await self._collection.insert_one({**_LOCK, "token": 0, "beats": 0, "holder": None})
                continue
            state = found["token"], found["beats"]
            if state != seen:
                beats_seen, seen, unchanged_since = beats_seen + (seen is not None), state, loop.time()
            silent = loop.time() - unchanged_since >= self._lease
            if (silent or not found["holder"]) and (token := await self._take(state, session)):
                await self._end(found.get("session"))
                return token
            if found["holder"] and beats_seen and loop.time() - begun >= wait:
                raise HeldError(f"MongoDB: {found['holder']} is at work")
            await asyncio.sleep(self._lease / 50)

    async def _take(self, state: tuple[int, int], session: AsyncClientSession | None) -> int | None:
        """Return the new token, when the lock has not changed since it was in that state."""
        now = {"holder": self._who, "session": session.session_id if session else None}
        taken = await self._collection.find_one_and_update(
            {**_LOCK, "token": state[0], "beats": state[1]},
            {"$inc": {"token": 1}, "$set": now, "$currentDate": {"beaten_at": True}},
            return_document=ReturnDocument.AFTER,
        )
        return int(taken["token"]) if taken else None

    async def _end(self, session: Mapping[str, Any] | None) -> None:
        """End a killed runner's session: the server would keep its transaction for a minute, and with it the fence and
        its last batch."""
        if session is not None:
            with suppress(PyMongoError):  # otherwise it is waited for
                await self._collection.database.client.admin.command({"killSessions": [session]})

    async def _beat(self) -> None:
        """Prolong the lock until it is lost."""
        loop = asyncio.get_running_loop()
        last = loop.time()
        while loop.time() - last < 0.6 * self._lease:
            await asyncio.sleep(self._lease / 5)
            sent = loop.time()
            with suppress(PyMongoError, TimeoutError):
                async with asyncio.timeout(self._lease / 3):
                    change = {"$inc": {"beats": 1}, "$currentDate": {"beaten_at": True}}
                    beaten = await self._collection.update_one({**_LOCK, "token": self._token}, change)
                if not beaten.matched_count:
                    break
                last = sent
        self._lost.set()
