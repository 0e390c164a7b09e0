"""Group commit: the changes of many gates are written in one transaction, so that hundreds of gates cost a few
commits."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from healthd.journal.database import Database, JournalError
from healthd_gates.store.gate_update import Change, LeaseLost, write_changes

_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class _Waiting:
    change: Change
    written: asyncio.Future[int]


class Writer:
    """Writes changes in groups: the first caller writes for all that wait."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[_Waiting] = []
        self._writing = asyncio.Lock()

    async def store(self, change: Change) -> int:
        """Store a change and return the number of the gate's last event, once it is on disk.

        Raises LeaseLost, or JournalError: then the same change may be retried.
        """
        entry = _Waiting(change, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        async with self._writing:
            while not entry.written.done():
                await self._write_some()
        return entry.written.result()

    async def _write_some(self) -> None:
        batch, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
        try:
            await self._write(batch)
        except JournalError as error:
            for entry in batch:
                _fail(entry, JournalError(*error.args))
        except BaseException:  # cancelled, or a bug: the next caller writes for the others
            self._waiting = [entry for entry in batch if not entry.written.done()] + self._waiting
            raise

    async def _write(self, batch: list[_Waiting]) -> None:
        try:
            async with self._database.write() as connection:
                moment = await self._database.moment(connection)
                outcomes = await write_changes(connection, [entry.change for entry in batch], moment)
        except SQLAlchemyError as error:  # a value that the database refuses: find out in which change
            if len(batch) == 1:
                _fail(batch[0], error)
                return
            for entry in batch:
                await self._write([entry])
            return
        for entry, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, LeaseLost):
                _fail(entry, outcome)
            elif not entry.written.done():
                entry.written.set_result(outcome)


def _fail(entry: _Waiting, error: Exception) -> None:
    if not entry.written.done():
        entry.written.set_exception(error)
        entry.written.exception()  # its owner may be gone; then nobody reads the result, and asyncio must not complain
