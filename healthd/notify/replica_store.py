"""Living replicas and their views, in the journal, read together with what they have told."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog
from pydantic import TypeAdapter, ValidationError

from healthd.journal import tables
from healthd.journal.async_engine import AsyncConnection
from healthd.journal.database import Database
from healthd.journal.leases import Identity, is_valid
from healthd.notifiers.notice import Notice
from healthd.notify.told import Key, Told
from healthd.notify.told_store import left_by_the_dead, living_replicas, read_claim, read_told
from healthd.notify.view import Seen, View, in_order

_log = structlog.get_logger(__name__)
_FORGOTTEN = timedelta(days=1)
_FIRING = TypeAdapter(dict[str, Seen])


@dataclass(frozen=True, slots=True)
class Exchanged:
    """State of the journal after an exchange: the other replicas, environments other than this one, the entries that
    changed, the keys of all entries, what dead replicas may have told without storing that, and in how many seconds
    the first of the others' leases ends unless it is renewed."""

    others: tuple[View, ...]
    foreign: Collection[str]
    changed: Mapping[Key, Told]
    kept: Collection[Key]
    doubtful: Mapping[Key, Notice] = field(default_factory=dict)
    lapses: float = math.inf


class ReplicaStore:
    """Table of the replicas. Every method raises JournalError."""

    def __init__(self, database: Database, identity: Identity) -> None:
        self._database, self._me = database, identity
        self._written: View | None = None
        self._parsed: dict[str, tuple[str, str, View]] = {}  # by id, with the texts that it was read from
        self._unreadable: dict[Key, datetime] = {}

    @property
    def is_sqlite(self) -> bool:
        return self._database.is_sqlite

    async def exchange(self, view: View, known: Mapping[Key, datetime], seconds: float) -> Exchanged:
        """Renew this replica's lease, write its view, and read the others'."""
        await self._database.open()
        async with self._database.write() as connection:
            moment = await self._database.moment(connection)
            await self._renew(connection, view, moment, moment + timedelta(seconds=seconds))
            others, foreign, lapses = await self._others(connection, moment)
            changed, kept = await self._changed(connection, {**known, **self._unreadable})
            doubtful = await self._doubtful(connection, moment)
        self._written = view
        return Exchanged(others, foreign, changed, kept, doubtful, lapses)

    async def leave(self, *, at_once: bool) -> None:
        """Remove this replica; unless `at_once` it counts until its lease ends."""
        if at_once and self._written is not None:
            async with self._database.write() as connection:
                await connection.execute(sa.delete(tables.observers).where(tables.observers.c.id == self._me.id))

    async def _renew(self, connection: AsyncConnection, view: View, moment: datetime, ends: datetime) -> None:
        table, before = tables.observers, self._written
        values: dict[str, Any] = {"environment": self._me.environment(), "expires_at": ends}
        if before is None or before.firing != view.firing:
            values["failing"] = _FIRING.dump_json(dict(view.firing)).decode()
        if before is None or before.subjects != view.subjects:
            values["subjects"] = json.dumps(sorted(view.subjects))
            values["subjects_mark"] = hashlib.blake2b(values["subjects"].encode(), digest_size=8).hexdigest()
        mine = sa.update(table).where(table.c.id == self._me.id).values(**values)
        if before is not None:
            if not (await connection.execute(mine)).rowcount:  # it was removed meanwhile
                self._written = None
                await self._renew(connection, view, moment, ends)
            return
        await connection.execute(
            sa.delete(table).where((table.c.id == self._me.id) | (table.c.expires_at < moment - _FORGOTTEN))
        )
        row = {"id": self._me.id, "address": self._me.address, "host": self._me.host}
        await connection.execute(sa.insert(table).values(**row, **values))

    async def _others(self, connection: AsyncConnection, moment: datetime) -> tuple[tuple[View, ...], set[str], float]:
        table = tables.observers
        columns = [column for column in table.c if column is not table.c.subjects]
        rows = (await connection.execute(sa.select(*columns).where(table.c.id != self._me.id))).all()
        living = [row for row in rows if is_valid(row.expires_at, moment)]
        near = [row for row in living if row.environment == self._me.environment()]
        near.sort(key=lambda row: row.expires_at)
        views = [await self._view(connection, row) for row in near]
        self._parsed = {row.id: self._parsed[row.id] for row in near}
        lapses = min(((row.expires_at - moment).total_seconds() for row in near), default=math.inf)
        return in_order(views, self._me.address), {row.environment for row in living} - {self._me.environment()}, lapses

    async def _view(self, connection: AsyncConnection, row: Any) -> View:
        failing, mark, view = self._parsed.get(row.id, ("", "", View(row.host, address=row.address)))
        if mark != row.subjects_mark:
            table = tables.observers
            query = sa.select(table.c.subjects_mark, table.c.subjects).where(table.c.id == row.id)
            mark, subjects = (await connection.execute(query)).one()
            view = replace(view, subjects=frozenset(json.loads(subjects)))
        if failing != row.failing:
            failing = row.failing
            try:
                view = replace(view, firing=_FIRING.validate_json(failing))
            except ValidationError:  # written by another release
                _log.warning("view of another replica unreadable, left out", host=row.host)
                view = replace(view, firing={})
        self._parsed[row.id] = failing, mark, view
        return view

    async def _doubtful(self, connection: AsyncConnection, moment: datetime) -> dict[Key, Notice]:
        """Return what those who died while they told something may have told."""
        rows = (await connection.execute(sa.select(tables.claims))).all()
        living = await living_replicas(connection, moment) | {self._me.id} if rows else set()
        left = {(row.receiver, row.subject): left_by_the_dead(read_claim(row), living) for row in rows}
        return {key: notice for key, notice in left.items() if notice is not None}

    async def _changed(
        self, connection: AsyncConnection, known: Mapping[Key, datetime]
    ) -> tuple[dict[Key, Told], set[Key]]:
        """Return the entries that are not as `known`, and the keys of all there are."""
        table = tables.told
        rows = (await connection.execute(sa.select(table.c.receiver, table.c.subject, table.c.at))).all()
        kept = {(row.receiver, row.subject) for row in rows}
        changed: dict[Key, Told] = {}
        for key, at in (((row.receiver, row.subject), row.at) for row in rows):
            if known.get(key) == at:
                continue
            query = sa.select(table).where(table.c.receiver == key[0], table.c.subject == key[1])
            row = (await connection.execute(query)).first()
            told = read_told(row) if row is not None else None
            if told is not None:
                changed[key] = told
            else:
                self._unreadable[key] = at
        return changed, kept
