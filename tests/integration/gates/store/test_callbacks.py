"""Replies that are owed, on SQLite and on PostgreSQL: two replicas on one database."""

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from healthd.journal.database import Database
from healthd.runtime.clock import SystemClock
from healthd_gates.domain.callback import PendingCallback, ReplyState
from healthd_gates.domain.standing import Verdict
from healthd_gates.engine.validation import validate
from healthd_gates.store.callbacks import CallbackBacklog, CallbackStore
from healthd_gates.store.gate_store import GateStore
from healthd_gates.store.gate_update import LeaseLost
from tests.fakes.gates import config, request
from tests.integration.gates.conftest import BRANCHES

pytestmark = pytest.mark.usefixtures("_scripted")
CLOCK = SystemClock()


def owed(key: str) -> PendingCallback:
    return PendingCallback(key, "github", {"to": key}, request())


@pytest.fixture
async def sides(url: str) -> AsyncIterator[tuple[CallbackStore, CallbackStore]]:
    databases = [Database(url, CLOCK, BRANCHES) for _ in range(2)]
    for database in databases:  # one makes the tables: who waits for SQLite meanwhile gives up on a busy machine
        await database.open()
    yield CallbackStore(databases[0]), CallbackStore(databases[1])
    for database in databases:
        await database.close()


async def test_a_reply_is_kept_once(sides: tuple[CallbackStore, CallbackStore]) -> None:
    """However many replicas hear of it at the same moment."""
    left, right = sides
    taken = await asyncio.gather(*(side.take(owed("run-1")) for side in (left, right) * 4))
    assert sorted(taken) == [False] * 7 + [True]
    (reply,) = await left.claim(60.0, 10)
    assert (reply.key, reply.address, reply.request, reply.word) == ("run-1", {"to": "run-1"}, request(), None)


async def test_each_reply_is_worked_at_by_one(sides: tuple[CallbackStore, CallbackStore]) -> None:
    """And none is left out."""
    left, right = sides
    for number in range(20):
        await left.take(owed(f"run-{number}"))
    claimed = await asyncio.gather(*(side.claim(60.0, 5) for side in (left, right) * 4))
    keys = [reply.key for replies in claimed for reply in replies]
    assert len(keys) == len(set(keys))
    keys += [reply.key for reply in await left.claim(60.0, 20)]
    assert sorted(keys) == sorted(f"run-{number}" for number in range(20))
    backlog = await right.backlog()
    assert not backlog.is_claimable
    assert 0 < backlog.due_in <= 60, "claims end"


async def test_who_fell_silent_is_fenced_off(sides: tuple[CallbackStore, CallbackStore]) -> None:
    """What it was about to say is stored, and what it says too late is refused."""
    left, right = sides
    await left.take(owed("run-1"))
    (before,) = await left.claim(0.0, 1)
    await left.note(replace(before, said=Verdict.PASS, reports=3), 0.0)
    (after,) = await right.claim(60.0, 1)
    assert (after.said, after.reports) == (Verdict.PASS, 3)
    with pytest.raises(LeaseLost):
        await left.note(replace(before, said=Verdict.FAIL), 60.0)
    with pytest.raises(LeaseLost):
        await left.settle(replace(before, state=ReplyState.DONE))
    await right.settle(replace(after, state=ReplyState.DONE))
    assert await left.backlog() == CallbackBacklog(is_claimable=False, due_in=math.inf)
    assert not await left.take(owed("run-1"))
    assert not (await left.backlog()).is_claimable


async def test_a_note_renews_the_claim(sides: tuple[CallbackStore, CallbackStore]) -> None:
    """Nobody else makes the call that follows it."""
    left, right = sides
    await left.take(owed("run-1"))
    (reply,) = await left.claim(0.0, 1)
    await left.note(replace(reply, said=Verdict.PASS), 60.0)
    assert not await right.claim(60.0, 1)


async def test_a_reply_that_waits_is_due_with_its_verdict(
    sides: tuple[CallbackStore, CallbackStore], database: Database
) -> None:
    """And not before, unless it is time for a word on how it goes."""
    left, right = sides
    admission, _ = validate(request(), config(), caller="hook:github", key="k", replica="left", moment=CLOCK.now())
    gate_store = GateStore(database, CLOCK)
    await gate_store.start(admission)
    await left.take(owed("run-1"))
    (reply,) = await left.claim(60.0, 1)
    await left.settle(replace(reply, gate_id=admission.gate.id, state=ReplyState.WAITING), again_in=3600.0)
    assert await right.backlog() == CallbackBacklog(is_claimable=False, due_in=0.0), "the verdict may come at any time"
    async with database.write() as connection:
        await connection.exec_driver_sql("UPDATE healthd_gates SET verdict = 'pass'")
    (reply,) = await right.claim(60.0, 1)
    await right.settle(replace(reply, state=ReplyState.DUE), again_in=3600.0)
    backlog = await left.backlog()
    assert not backlog.is_claimable
    assert 3000 < backlog.due_in <= 3600


async def test_what_was_given_up_can_be_asked_for_again(
    sides: tuple[CallbackStore, CallbackStore], database: Database
) -> None:
    """What is over is forgotten in the end."""
    left, _ = sides
    await left.take(owed("run-1"))
    (reply,) = await left.claim(60.0, 1)
    await left.settle(replace(reply, state=ReplyState.GIVEN_UP, said=Verdict.FAIL, tries=9))
    assert not await left.take(owed("run-1"))
    (reply,) = await left.claim(60.0, 1)
    assert (reply.said, reply.tries) == (Verdict.FAIL, 0)
    await left.settle(replace(reply, state=ReplyState.DONE))
    gate_store = GateStore(database, CLOCK)
    await gate_store.clean(3600.0, 3600.0)
    assert not await left.take(owed("run-1"))
    await gate_store.clean(0.0, 0.0)
    assert await left.take(owed("run-1"))
