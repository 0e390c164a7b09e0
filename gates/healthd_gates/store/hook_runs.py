"""Runs of deploy tools in the journal: the gate of each, the tool's last call, and whether the run is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa

from healthd.journal.database import Database
from healthd_gates.domain.hook_run import HookRun, RunOver
from healthd_gates.store.tables import hook_runs

_SAME_CALL = 2.0  # seconds: a call that is repeated so soon says nothing about the tool's pace


class HookRuns:
    """Stores runs of deploy tools. Every method raises JournalError when the journal cannot be used now."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, hook: str, subject: str, run: str) -> HookRun | None:
        """Return a run; None for one that has no gate."""
        async with self._database.read() as connection:
            query = sa.select(hook_runs).where(_is(hook, subject, run))
            row = (await connection.execute(query)).mappings().one_or_none()
        return None if row is None else _stored(row)

    async def of_gate(self, gate_id: str) -> Sequence[HookRun]:
        """Return the runs that ask about a gate, the latest caller first."""
        async with self._database.read() as connection:
            query = sa.select(hook_runs).where(hook_runs.c.gate_id == gate_id).order_by(hook_runs.c.asked_at.desc())
            return [_stored(row) for row in (await connection.execute(query)).mappings()]

    async def moment(self) -> datetime:
        """Return the present time, by the clock of `asked_at`."""
        async with self._database.read() as connection:
            return await self._database.moment(connection)

    async def begin(self, run: HookRun, kind: str | None = None) -> None:
        """Store a run that begins, or begins again, with a call of this kind. Other runs of its subject that have other
        gates are over."""
        async with self._database.write() as connection:
            await self._database.one_at_a_time(connection, f"hook {run.hook} {run.subject}")
            moment = await self._database.moment(connection)
            others = sa.and_(
                hook_runs.c.hook == run.hook,
                hook_runs.c.subject == run.subject,
                hook_runs.c.gate_id != run.gate_id,
                hook_runs.c.over.is_(None),
            )
            await connection.execute(sa.update(hook_runs).where(others).values(over=RunOver.SUPERSEDED.value))
            kept = sa.select(hook_runs.c.gate_id).where(_is(run.hook, run.subject, run.id))
            known = (await connection.execute(kept)).scalar_one_or_none()
            if known == run.gate_id:  # another call was faster
                return
            await connection.execute(sa.delete(hook_runs).where(_is(run.hook, run.subject, run.id)))
            called = {kind: moment.isoformat()} if kind else None
            await connection.execute(sa.insert(hook_runs).values(**_columns(run), asked_at=moment, called=called))

    async def note(
        self, run: HookRun, *, since: datetime, advanced: bool, told: bool, kind: str | None = None
    ) -> HookRun:
        """Note a call of its tool. A pause that began before `since` says nothing about the tool, as healthd was away;
        nor does one that was a silence."""
        async with self._database.write() as connection:
            moment = await self._database.moment(connection)
            before = run.called.get(kind) if kind else run.asked_at
            gap = (moment - before).total_seconds() if before else 0.0
            paced = before is not None and gap >= _SAME_CALL and before >= since and run.over is None
            noted = replace(
                run,
                asked_at=moment,
                pause=max(gap, run.pause or 0.0) if paced else run.pause,
                advanced=run.advanced or advanced,
                told=run.told or told,
                called={**run.called, kind: moment} if kind else run.called,
            )
            is_news = before is None or (noted.advanced, noted.told) != (run.advanced, run.told)
            if gap < _SAME_CALL and not is_news:
                return run
            mine = sa.and_(_is(run.hook, run.subject, run.id), hook_runs.c.gate_id == run.gate_id)
            values = {"pause": noted.pause, "advanced": noted.advanced, "told": noted.told, "asked_at": moment}
            called = {name: at.isoformat() for name, at in noted.called.items()} or None
            await connection.execute(sa.update(hook_runs).where(mine).values(**values, called=called))
        return noted

    async def end(self, run: HookRun, why: RunOver) -> None:
        """End a run."""
        async with self._database.write() as connection:
            mine = sa.and_(_is(run.hook, run.subject, run.id), hook_runs.c.gate_id == run.gate_id)
            await connection.execute(sa.update(hook_runs).where(mine).values(over=why.value))


def _is(hook: str, subject: str, run: str) -> sa.ColumnElement[bool]:
    return sa.and_(hook_runs.c.hook == hook, hook_runs.c.subject == subject, hook_runs.c.run == run)


def _columns(run: HookRun) -> dict[str, object]:
    return {
        "hook": run.hook,
        "subject": run.subject,
        "run": run.id,
        "gate_id": run.gate_id,
        "pause": run.pause,
        "advanced": run.advanced,
        "told": run.told,
        "over": run.over.value if run.over else None,
    }


def _stored(row: sa.RowMapping) -> HookRun:
    return HookRun(
        hook=row["hook"],
        subject=row["subject"],
        id=row["run"],
        gate_id=row["gate_id"],
        asked_at=row["asked_at"],
        pause=row["pause"],
        advanced=row["advanced"],
        told=row["told"],
        over=RunOver(row["over"]) if row["over"] else None,
        called={kind: datetime.fromisoformat(at) for kind, at in (row["called"] or {}).items()},
    )
