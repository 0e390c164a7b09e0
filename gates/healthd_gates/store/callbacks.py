"""Callbacks to deploy tools that did not wait for the verdict: stored from the moment in which the tool got its
acknowledgement, until the callback is accepted or given up.

A callback is stored before its gate is: its answer is read from the gate's stored decision, so that it needs no second
copy of it. The delivery is not done here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa
import structlog

from healthd.checks.failures import describe
from healthd.journal.columns import Moment
from healthd.journal.database import Database
from healthd.journal.journal import AuditEntry, write_audit
from healthd_gates.domain.callback import FinalWord, PendingCallback, Reply, ReplyState
from healthd_gates.domain.gate import GateState
from healthd_gates.domain.request import VerifyRequest
from healthd_gates.domain.standing import Verdict
from healthd_gates.store.gate_update import LeaseLost
from healthd_gates.store.lease_terms import NOW, at, holds
from healthd_gates.store.tables import gates, replies

_log = structlog.get_logger(__name__)
_LONGEST_WAIT = 7200.0  # seconds; no pause between two attempts is longer
_OUT_OF_REACH = sa.bindparam("out_of_reach", type_=Moment)
"""A later time than any pause allows: it was written by a clock that has been set back since."""


@dataclass(frozen=True, slots=True)
class CallbackBacklog:
    """The remaining work: true if a callback is due now; and in how many seconds one may be, at once if one waits for
    its gate."""

    is_claimable: bool = False
    due_in: float = math.inf


class CallbackStore:
    """Stores callbacks. Every method raises JournalError when the journal cannot be used now."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, owed: PendingCallback) -> bool:
        """Store a callback; False if it is stored already. One that was given up is tried again by that."""
        async with self._database.write() as connection:
            await self._database.one_at_a_time(connection, f"reply {owed.key}")
            moment = await self._database.moment(connection)
            known = sa.select(replies.c.state).where(replies.c.key == owed.key)
            state = (await connection.execute(known)).scalar_one_or_none()
            if state is None:
                await connection.execute(sa.insert(replies).values(_first_row(owed, moment)))
            elif state == ReplyState.GIVEN_UP.value:
                again = sa.update(replies).where(replies.c.key == owed.key)
                due = {"state": ReplyState.DUE.value, "created_at": moment, "next_try_at": moment, "finished_at": None}
                await connection.execute(again.values(due | {"tries": 0}))
        return state is None

    async def backlog(self) -> CallbackBacklog:
        """Return the remaining work; on SQLite this waits for no writer and blocks none."""
        async with self._database.read() as connection:
            is_waiting, next_at = (await connection.execute(_earliest())).one()
            if not is_waiting and next_at is None:
                return CallbackBacklog()
            moment = await self._database.moment(connection)
            is_claimable = (await connection.execute(_any_claimable(), _times(moment))).first() is not None
            due_in = 0.0 if is_waiting or next_at is None else (next_at - moment).total_seconds()
            return CallbackBacklog(is_claimable, max(0.0, due_in))

    async def claim(self, seconds: float, at_most: int) -> Sequence[Reply]:
        """Claim callbacks that are due; they are this worker's for that many seconds."""
        async with self._database.write() as connection:
            moment = await self._database.moment(connection)
            keys = (await connection.execute(_claimable_now(), {**_times(moment), "at_most": at_most})).scalars().all()
            if not keys:
                return []
            claimed = sa.update(replies).where(replies.c.key.in_(keys))
            claimed = claimed.values(token=replies.c.token + 1, leased_until=moment + timedelta(seconds=seconds))
            rows = (await connection.execute(claimed.returning(replies))).mappings().all()
        return [reply for row in rows if (reply := _readable(row)) is not None]

    async def note(self, reply: Reply, seconds: float) -> None:
        """Store what is about to be said, before it is said, and renew the claim for that many seconds. Raises
        LeaseLost."""
        async with self._database.write() as connection:
            lease = (await self._database.moment(connection)) + timedelta(seconds=seconds)
            noted = sa.update(replies).where(_is(reply))
            noted = noted.values(said=reply.said, reports=reply.reports, leased_until=lease)
            if (await connection.execute(noted)).rowcount == 0:
                raise LeaseLost

    async def settle(self, reply: Reply, again_in: float = 0.0) -> None:
        """Store the result of a claimed callback, and release it; while it is not over, it is due again in that many
        seconds, or sooner when its gate is decided. Raises LeaseLost."""
        async with self._database.write() as connection:
            moment = await self._database.moment(connection)
            values: dict[str, Any] = {
                "gate_id": reply.gate_id,
                "word": reply.word,
                "why": reply.why,
                "word_at": reply.word_at,
                "state": reply.state.value,
                "said": reply.said,
                "reports": reply.reports,
                "tries": reply.tries,
                "detail": reply.detail,
                "next_try_at": moment + timedelta(seconds=again_in),
                "finished_at": moment if reply.state.is_over else None,
                "leased_until": None,
            }
            if (await connection.execute(sa.update(replies).where(_is(reply)).values(values))).rowcount == 0:
                raise LeaseLost
            if reply.state.is_over:
                told = {"said": reply.said, "why": reply.why, "detail": reply.detail, "state": reply.state.value}
                entry = AuditEntry(f"hook:{reply.hook}", "gate.reply", reply.gate_id or reply.key, told)
                await write_audit(connection, moment, entry)

    async def let_go(self, claimed: Iterable[Reply]) -> None:
        """Release claims, so that nobody waits for their end."""
        async with self._database.write() as connection:
            for reply in claimed:
                await connection.execute(sa.update(replies).where(_is(reply)).values(leased_until=None))


def _is(reply: Reply) -> sa.ColumnElement[bool]:
    """Match the callback while it is claimed under this token."""
    return sa.and_(replies.c.key == reply.key, replies.c.token == reply.token)


@cache
def _earliest() -> sa.Select[int, datetime | None]:
    """Select how many callbacks wait for their gates, and when the first of the others may be tried."""
    waiting, due = (replies.c.state == state.value for state in (ReplyState.WAITING, ReplyState.DUE))
    claimed = replies.c.leased_until > replies.c.next_try_at
    free_at = sa.case((claimed, replies.c.leased_until), else_=replies.c.next_try_at)
    found = sa.select(sa.func.count(sa.case((waiting, 1))), sa.func.min(sa.case((due, free_at))))
    return found.where(sa.or_(waiting, due))


@cache
def _any_claimable() -> sa.Select[str]:
    return sa.select(replies.c.key).where(_claimable()).limit(1)


@cache
def _claimable_now() -> sa.Select[str]:
    query = sa.select(replies.c.key).where(_claimable()).order_by(replies.c.next_try_at)
    return query.limit(sa.bindparam("at_most", type_=sa.Integer)).with_for_update(skip_locked=True)


def _claimable() -> sa.ColumnElement[bool]:
    """Match the callbacks that are due at `_times`."""
    over = [state.value for state in GateState if state.is_over]
    answered = sa.exists().where(
        gates.c.id == replies.c.gate_id, sa.or_(gates.c.verdict.is_not(None), gates.c.state.in_(over))
    )
    waiting = replies.c.state == ReplyState.WAITING.value
    open_ = sa.or_(waiting, replies.c.state == ReplyState.DUE.value)
    free = sa.or_(replies.c.leased_until.is_(None), sa.not_(holds(replies.c.leased_until)))
    is_time = sa.or_(replies.c.next_try_at <= NOW, replies.c.next_try_at > _OUT_OF_REACH)
    return sa.and_(open_, free, sa.or_(is_time, sa.and_(waiting, answered)))


def _times(moment: datetime) -> dict[str, datetime]:
    return {**at(moment), _OUT_OF_REACH.key: moment + timedelta(seconds=_LONGEST_WAIT)}


def _first_row(owed: PendingCallback, moment: datetime) -> dict[str, Any]:
    return {
        "key": owed.key,
        "hook": owed.hook,
        "address": json.dumps(owed.address),
        "request": owed.request.model_dump_json() if owed.request else None,
        "word": None if owed.request else Verdict.FAIL.value,
        "why": owed.why,
        "state": ReplyState.DUE.value,
        "reports": 0,
        "tries": 0,
        "detail": "",
        "created_at": moment,
        "next_try_at": moment,
        "token": 0,
    }


def _readable(row: sa.RowMapping) -> Reply | None:
    """Return the callback, or None if another release wrote it, or it is broken: the others are still delivered."""
    try:
        return _stored(row)
    except (ValueError, TypeError, KeyError) as error:
        _log.error("callback unreadable, left unchanged", key=row["key"], problem=describe(error))
        return None


def _stored(row: sa.RowMapping) -> Reply:
    words: dict[str | None, FinalWord | None] = {None: None, "pass": Verdict.PASS, "fail": Verdict.FAIL}
    return Reply(
        key=row["key"],
        hook=row["hook"],
        address=json.loads(row["address"]),
        request=VerifyRequest.model_validate_json(row["request"]) if row["request"] else None,
        word=words[row["word"]],
        why=row["why"],
        word_at=row["word_at"],
        gate_id=row["gate_id"],
        state=ReplyState(row["state"]),
        said=words[row["said"]],
        reports=row["reports"],
        tries=row["tries"],
        detail=row["detail"],
        created_at=row["created_at"],
        token=row["token"],
    )
