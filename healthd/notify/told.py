"""Notifications that were sent, stored in the journal: after a restart nothing is sent twice and no end is
forgotten."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import sqlalchemy as sa
import structlog
from pydantic import TypeAdapter, ValidationError

from healthd.journal import tables
from healthd.journal.database import Database, JournalError
from healthd.notifiers.contract import NotifierConfig
from healthd.notifiers.notice import Notice
from healthd.runtime.clock import Clock

_log = structlog.get_logger(__name__)
_RETRY_SECONDS = 2.0
_LONGEST = timedelta(days=90)  # an entry that was not updated for so long is deleted
_PACE = {"enabled", "optional", "group_wait", "per_minute", "timeout"}
_NOTICE = TypeAdapter(Notice)

Key = tuple[str, str]
"""Key of a sent notification: receiver and subject."""


@dataclass(frozen=True, slots=True)
class Told:
    """Last notification to a receiver about a subject, and its time; `within` is the key of the summary that contained
    it."""

    notice: Notice
    at: datetime
    within: str | None = None


def receiver_of(name: str, config: NotifierConfig) -> str:
    """Return the name of a notifier, with a mark that changes with its address: a new receiver has got no notification
    yet.

    The mark is too short to reveal anything about a secret in the address.
    """
    identity = repr(sorted((key, _plain(value)) for key, value in config if key not in _PACE))
    return f"{name}/{hashlib.blake2b(identity.encode(), digest_size=3).hexdigest()}"


def _plain(value: object) -> str:
    reveal = getattr(value, "get_secret_value", None)
    return repr(reveal() if reveal is not None else value)


class Store(Protocol):
    """Store of sent notifications. Both methods raise JournalError."""

    async def load(self) -> Mapping[Key, Told]: ...

    async def save(self, changes: Mapping[Key, Told | None]) -> None: ...


class JournalStore:
    """Table of sent notifications in the journal. Replicas that share a journal share it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def load(self) -> Mapping[Key, Told]:
        async with self._database.read() as connection:
            rows = (await connection.execute(sa.select(tables.told))).all()
        told: dict[Key, Told] = {}
        for row in rows:
            try:
                told[row.receiver, row.subject] = Told(_NOTICE.validate_json(row.notice), row.at, row.within)
            except ValidationError:  # written by another release
                _log.warning("stored notification unreadable, sending again", subject=row.subject)
        return told

    async def save(self, changes: Mapping[Key, Told | None]) -> None:
        table = tables.told
        async with self._database.write() as connection:
            await connection.execute(sa.delete(table).where(table.c.at < self._clock.now() - _LONGEST))
            for (receiver, subject), told in changes.items():
                mine = (table.c.receiver == receiver) & (table.c.subject == subject)
                await connection.execute(sa.delete(table).where(mine))
                if told is not None:
                    row = {"receiver": receiver, "subject": subject, "at": told.at, "within": told.within}
                    text = _NOTICE.dump_json(replace(told.notice, before=None)).decode()
                    await connection.execute(sa.insert(table).values(**row, notice=text))


class Memory:
    """Sent notifications in memory, written in the background. A journal that is down delays only the writing."""

    def __init__(self, store: Store | None) -> None:
        self._store = store
        self._told: dict[Key, Told] = {}
        self._unsaved: dict[Key, Told | None] = {}
        self._news = asyncio.Event()
        self.loaded = store is None

    def of(self, receiver: str) -> dict[str, Told]:
        """Return the notifications that a receiver got, by subject."""
        return {subject: told for (name, subject), told in self._told.items() if name == receiver}

    def note(self, receiver: str, subject: str, told: Told | None) -> None:
        """Store a notification sent now; None forgets the subject."""
        key = receiver, subject
        if told is not None:
            self._told[key] = told
        elif self._told.pop(key, None) is None:
            return
        if self._store is not None:
            self._unsaved[key] = told
            self._news.set()

    async def load(self) -> None:
        """Read the notifications sent before the start; those sent since take precedence. Retries until it succeeds."""
        while not self.loaded and self._store is not None:
            try:
                self._told = {**await self._store.load(), **self._told}
                self.loaded = True
            except JournalError:
                await asyncio.sleep(_RETRY_SECONDS)
            except Exception:  # alarms must not depend on it
                _log.exception("stored notifications unreadable, sending again")
                self.loaded = True

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._news.wait()
            try:
                await self.flush()
            except JournalError:  # which the journal itself logs
                await asyncio.sleep(_RETRY_SECONDS)
            except Exception:
                _log.exception("sent notifications not stored")
                await asyncio.sleep(_RETRY_SECONDS)

    async def flush(self) -> None:
        """Write what is left. Raises JournalError."""
        self._news.clear()
        if self._store is None or not (changes := dict(self._unsaved)):
            return
        try:
            await self._store.save(changes)
        except JournalError:
            self._news.set()
            raise
        _forget_saved(self._unsaved, changes.items())


def _forget_saved(unsaved: dict[Key, Told | None], saved: Iterable[tuple[Key, Told | None]]) -> None:
    """Forget saved entries; what changed again while it was written is left for the next time."""
    for key, told in saved:
        if key in unsaved and unsaved[key] is told:
            del unsaved[key]
