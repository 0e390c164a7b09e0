"""Sent notifications in the journal, and the claims by which one replica sends each."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog
from pydantic import TypeAdapter, ValidationError

from healthd.journal import tables
from healthd.journal.async_engine import AsyncConnection
from healthd.journal.database import Database
from healthd.journal.leases import LONGEST_LEASE, is_valid
from healthd.notifiers.notice import Notice
from healthd.notify.told import Answer, Change, Key, Told, kept_of
from healthd.runtime.clock import Clock

_log = structlog.get_logger(__name__)
_LONGEST = timedelta(days=90)  # an entry that was not updated for so long is deleted
_RECENT = timedelta(minutes=2)
NOTICE = TypeAdapter(Notice)


class JournalStore:
    """Table of sent notifications in the journal. Replicas that share a journal share it. `replica` names this one."""

    def __init__(self, database: Database, clock: Clock, replica: str = "") -> None:
        self._database, self._clock, self._replica = database, clock, replica

    async def load(self) -> Mapping[Key, Told]:
        async with self._database.read() as connection:
            rows = (await connection.execute(sa.select(tables.told))).all()
        return {(row.receiver, row.subject): told for row in rows if (told := read_told(row)) is not None}

    async def save(self, changes: Mapping[Key, Change], released: Collection[Key] = ()) -> None:
        """Store changes, and end the claims of these subjects and of the `released` ones. May be repeated."""
        table = tables.told
        async with self._database.write() as connection:
            await self._database.one_at_a_time(connection, "told")
            oldest = self._clock.now() - _LONGEST
            await connection.execute(sa.delete(table).where(table.c.at < oldest))
            await connection.execute(sa.delete(tables.claims).where(tables.claims.c.expires_at < oldest))
            for (receiver, subject), change in changes.items():
                mine = (table.c.receiver == receiver) & (table.c.subject == subject)
                await connection.execute(sa.delete(table).where(mine, table.c.at <= change.until))
                if change.told is None or (await connection.execute(sa.select(table.c.at).where(mine))).first():
                    continue
                await self._insert(connection, receiver, subject, change.told)
            for receiver, subject in {*changes, *released}:
                await connection.execute(sa.delete(tables.claims).where(*self._own(receiver, [subject])))

    async def claim(self, receiver: str, wanted: Mapping[str, tuple[Notice, Told | None]], seconds: float) -> Answer:
        """Claim subjects whose entry is what is known here, and that no living replica has claimed. What a dead one may
        have told is stored as told, where it is something else."""
        async with self._database.write() as connection:
            await self._database.one_at_a_time(connection, "told")
            moment = await self._database.moment(connection)
            stored = await self._stored(connection, receiver, wanted)
            claims = await self._claims(connection, receiver, wanted)
            living = await living_replicas(connection, moment)
            answer = decided(wanted, stored, claims, living | {self._replica}, moment, self._replica)
            for subject in answer.adopted:
                await self._adopt(connection, receiver, subject, answer.changed[subject])
            ends = moment + min(timedelta(seconds=seconds), LONGEST_LEASE)
            mine = {subject: (wanted[subject][0], since) for subject, since in answer.mine.items()}
            await self._write(connection, receiver, mine, ends)
        return answer

    async def _stored(self, connection: AsyncConnection, receiver: str, wanted: Collection[str]) -> dict[str, Told]:
        table = tables.told
        query = sa.select(table).where(table.c.receiver == receiver, table.c.subject.in_(sorted(wanted)))
        rows = (await connection.execute(query)).all()
        return {row.subject: told for row in rows if (told := read_told(row)) is not None}

    async def _claims(self, connection: AsyncConnection, receiver: str, wanted: Collection[str]) -> dict[str, Claim]:
        table = tables.claims
        query = sa.select(table).where(table.c.receiver == receiver, table.c.subject.in_(sorted(wanted)))
        rows = (await connection.execute(query)).all()
        return {row.subject: read_claim(row) for row in rows}

    async def _insert(self, connection: AsyncConnection, receiver: str, subject: str, told: Told) -> None:
        row = {"receiver": receiver, "subject": subject, "at": told.at, "within": told.within}
        await connection.execute(sa.insert(tables.told).values(**row, notice=_text(told.notice)))

    async def _adopt(self, connection: AsyncConnection, receiver: str, subject: str, told: Told | None) -> None:
        for table in (tables.told, tables.claims):
            mine = (table.c.receiver == receiver) & (table.c.subject == subject)
            await connection.execute(sa.delete(table).where(mine))
        if told is not None:
            await self._insert(connection, receiver, subject, told)

    async def _write(
        self, connection: AsyncConnection, receiver: str, mine: Mapping[str, tuple[Notice, datetime]], ends: datetime
    ) -> None:
        if not mine:
            return
        table = tables.claims
        await connection.execute(
            sa.delete(table).where(table.c.receiver == receiver, table.c.subject.in_(sorted(mine)))
        )
        holder = {"receiver": receiver, "holder": self._replica, "expires_at": ends}
        rows = [
            {"subject": it, "standing": notice.standing, "since": since, "notice": _text(notice), **holder}
            for it, (notice, since) in mine.items()
        ]
        await connection.execute(sa.insert(table), rows)

    def _own(self, receiver: str, subjects: Collection[str]) -> tuple[sa.ColumnElement[bool], ...]:
        table = tables.claims
        return table.c.receiver == receiver, table.c.subject.in_(sorted(subjects)), table.c.holder == self._replica


@dataclass(frozen=True, slots=True)
class Claim:
    """Claim of one subject, as stored. Another release stores no `notice`."""

    holder: str
    expires_at: datetime
    standing: str
    since: datetime
    notice: Notice | None = None


def decided(
    wanted: Mapping[str, tuple[Notice, Told | None]],
    stored: Mapping[str, Told],
    claims: Mapping[str, Claim],
    living: Collection[str],
    moment: datetime,
    replica: str,
) -> Answer:
    """Return which subjects `replica` may tell. A claim binds while its holder is another of the `living`. Whoever
    takes one over that ended just now tells it by the same name. Who has something else to tell takes what a dead
    holder claimed for told first: it may have been sent."""
    changed: dict[str, Told | None] = {}
    mine: dict[str, datetime] = {}
    adopted: set[str] = set()
    for subject, (notice, known) in wanted.items():
        row, claim = stored.get(subject), claims.get(subject)
        if (row is None) != (known is None) or (row and known and not known.is_as_new_as(row)):
            changed[subject] = row
        elif claim is not None and (left := left_by_the_dead(claim, living)) is not None and notice.differs_from(left):
            changed[subject] = kept_of(left, moment)
            adopted.add(subject)
        elif claim is None or claim.holder not in {*living} - {replica} or not is_valid(claim.expires_at, moment):
            inherited = claim is not None and claim.standing == notice.standing and claim.expires_at > moment - _RECENT
            mine[subject] = claim.since if claim is not None and inherited else notice.since
    return Answer(mine, changed, adopted)


def left_by_the_dead(claim: Claim, living: Collection[str]) -> Notice | None:
    """Return what the holder of a claim may have told before it died."""
    if claim.notice is None or claim.holder in living:
        return None
    return replace(claim.notice, since=claim.since)


async def living_replicas(connection: AsyncConnection, moment: datetime) -> set[str]:
    """Return the replicas whose lease holds."""
    table = tables.observers
    rows = (await connection.execute(sa.select(table.c.id, table.c.expires_at))).all()
    return {row.id for row in rows if is_valid(row.expires_at, moment)}


def read_claim(row: Any) -> Claim:
    try:
        notice = NOTICE.validate_json(row.notice) if row.notice is not None else None
    except ValidationError:  # written by another release
        notice = None
    return Claim(row.holder, row.expires_at, row.standing, row.since, notice)


def _text(notice: Notice) -> str:
    return NOTICE.dump_json(replace(notice, before=None)).decode()


def read_told(row: Any) -> Told | None:
    try:
        return Told(NOTICE.validate_json(row.notice), row.at, row.within)
    except ValidationError:  # written by another release
        _log.warning("stored notification unreadable, sending again", subject=row.subject)
        return None
