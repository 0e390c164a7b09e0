"""Results of the checks that replicas run for each other, in the journal.

A result is written when it changes; how old it is, each replica says of all its checks in one row.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog
from pydantic import TypeAdapter

from healthd.journal import tables
from healthd.journal.async_engine import AsyncConnection
from healthd.journal.database import Database
from healthd.journal.leases import LEASE, Identity, is_valid
from healthd.model import Result, Status

_log = structlog.get_logger(__name__)
_FORGOTTEN = timedelta(seconds=6 * LEASE)  # after which what a dead replica found is deleted


@dataclass(frozen=True, slots=True)
class Finding:
    """State of one check as the replica that runs it shows it: after rise and fall, with its last result."""

    status: Status
    since: datetime | None
    duration: float
    result: Result
    last_healthy: datetime | None = None
    up_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Runner:
    """Another living replica: the checks that it can run, each with a mark of its options, and the seconds since its
    last result of each that it runs."""

    id: str
    address: str
    host: str
    offers: Mapping[str, str] = field(default_factory=dict)
    ages: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Exchange:
    """State of the journal after an exchange. `findings` are those that are new, by the id of their runner and check;
    `anew` says that the journal had nothing of this replica before, so that all its own have to be written."""

    runners: tuple[Runner, ...]
    findings: Mapping[tuple[str, str], Finding]
    anew: bool = False


_FINDING = TypeAdapter(Finding)


class FindingStore:
    """Tables of runners and findings. Every method raises JournalError."""

    def __init__(self, database: Database, identity: Identity) -> None:
        self._database, self._me = database, identity
        self._number = 0
        self._offers: Mapping[str, str] | None = None  # as written
        self._known: dict[str, tuple[str, Runner]] = {}  # with the mark of their offers
        self._read_to: dict[str, int] = {}

    async def exchange(
        self, offers: Mapping[str, str], ages: Mapping[str, float], changed: Mapping[str, Finding]
    ) -> Exchange:
        """Renew this replica's lease, write what it offers and found, and read what the others did."""
        self._number += 1  # also where the answer to a commit is lost: a number is never used for two writes
        await self._database.open()
        async with self._database.write() as connection:
            moment = await self._database.moment(connection)
            anew = await self._renew(connection, offers, ages, moment)
            await self._write(connection, changed)
            rows = await self._living(connection, moment)
            found = {row.id: await self._new(connection, row.id) for row in rows}
        self._offers = offers
        self._known = {row.id: self._known[row.id] for row in rows}
        before = self._read_to
        self._read_to = {key: max([before.get(key, 0), *(row.number for row in new)]) for key, new in found.items()}
        parsed = ((row, _read(row)) for new in found.values() for row in new)
        findings = {(row.runner, row.check_name): finding for row, finding in parsed if finding is not None}
        return Exchange(tuple(self._runner(row, moment) for row in rows), findings, anew)

    async def leave(self) -> None:
        """Remove this replica: the others run its checks from their next exchange on."""
        if self._offers is None:
            return
        async with self._database.write() as connection:
            await connection.execute(sa.delete(tables.runners).where(tables.runners.c.id == self._me.id))
            await connection.execute(sa.delete(tables.findings).where(tables.findings.c.runner == self._me.id))
        self._offers = None

    async def _renew(
        self, connection: AsyncConnection, offers: Mapping[str, str], ages: Mapping[str, float], moment: datetime
    ) -> bool:
        """Write the row of this replica. Returns True where there was none."""
        table = tables.runners
        values: dict[str, Any] = {
            "environment": self._me.environment(),
            "expires_at": moment + timedelta(seconds=LEASE),
            "written_at": moment,
            "ages": _packed(offers, ages),
        }
        if offers is not self._offers:
            values["offers"] = json.dumps(dict(sorted(offers.items())))
            values["offers_mark"] = hashlib.blake2b(values["offers"].encode(), digest_size=8).hexdigest()
        if self._offers is not None:
            mine = sa.update(table).where(table.c.id == self._me.id).values(**values)
            if (await connection.execute(mine)).rowcount:
                return False
            self._offers = None  # it was removed meanwhile
            return await self._renew(connection, offers, ages, moment)
        await connection.execute(
            sa.delete(table).where((table.c.id == self._me.id) | (table.c.expires_at < moment - _FORGOTTEN))
        )
        findings = tables.findings
        living = sa.select(table.c.id)
        await connection.execute(sa.delete(findings).where(findings.c.runner.not_in(living)))
        row = {"id": self._me.id, "address": self._me.address, "host": self._me.host}
        await connection.execute(sa.insert(table).values(**row, **values))
        return True

    async def _write(self, connection: AsyncConnection, changed: Mapping[str, Finding]) -> None:
        if not changed:
            return
        table = tables.findings
        names = sorted(changed)
        await connection.execute(sa.delete(table).where(table.c.runner == self._me.id, table.c.check_name.in_(names)))
        await connection.execute(
            sa.insert(table),
            [
                {
                    "runner": self._me.id,
                    "check_name": name,
                    "number": self._number,
                    "finding": _written(changed[name]),
                }
                for name in names
            ],
        )

    async def _living(self, connection: AsyncConnection, moment: datetime) -> list[Any]:
        """Return the rows of the other living replicas, without their offers, which are read where they changed."""
        table = tables.runners
        columns = [column for column in table.c if column is not table.c.offers]
        others = sa.select(*columns).where(table.c.id != self._me.id, table.c.environment == self._me.environment())
        rows = [row for row in (await connection.execute(others)).all() if is_valid(row.expires_at, moment)]
        stale = {row.id for row in rows if row.offers_mark != self._known.get(row.id, ("",))[0]}
        if not stale:
            return rows
        full = {row.id: row for row in (await connection.execute(sa.select(table).where(table.c.id.in_(stale)))).all()}
        for row in full.values():
            self._known[row.id] = row.offers_mark, Runner(row.id, row.address, row.host, _offers(row))
        return [full.get(row.id, row) for row in rows if row.id in full or row.id not in stale]

    async def _new(self, connection: AsyncConnection, runner: str) -> list[Any]:
        """Return what a runner has written since the last read."""
        table = tables.findings
        query = sa.select(table).where(table.c.runner == runner, table.c.number > self._read_to.get(runner, 0))
        return list((await connection.execute(query)).all())

    def _runner(self, row: Any, moment: datetime) -> Runner:
        runner = self._known[row.id][1]
        passed = max((moment - row.written_at).total_seconds(), 0.0)
        return replace(runner, ages=_unpacked(row, runner.offers, passed))


def _packed(offers: Mapping[str, str], ages: Mapping[str, float]) -> str:
    """Return the ages in tenths of a second, in the order of the offers' names."""
    return json.dumps([round(ages[name] * 10) if name in ages else None for name in sorted(offers)])


def _unpacked(row: Any, offers: Mapping[str, str], passed: float) -> dict[str, float]:
    try:
        tenths = json.loads(row.ages)
        return {name: each / 10 + passed for name, each in zip(offers, tenths, strict=True) if each is not None}
    except (ValueError, TypeError):  # written by another release
        _log.warning("results of another replica unreadable, its checks are run here", host=row.host)
        return {}


def _offers(row: Any) -> dict[str, str]:
    try:
        return {str(name): str(mark) for name, mark in json.loads(row.offers).items()}
    except (ValueError, AttributeError):
        return {}


def _written(finding: Finding) -> str:
    """Return a finding as JSON in ASCII: text decoded from foreign bytes may hold half surrogate pairs."""
    return json.dumps(_FINDING.dump_python(finding, mode="json"))


def _read(row: Any) -> Finding | None:
    try:
        return _FINDING.validate_python(json.loads(row.finding))
    except ValueError:  # written by another release
        _log.debug("result of another replica unreadable, left out", check=row.check_name)
        return None
