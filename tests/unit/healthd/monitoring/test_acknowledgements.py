"""Acknowledgements of checks that are renamed or removed, and of checks that one replica alone has."""

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from healthd.config.settings import Settings
from healthd.config.window import Window
from healthd.journal import tables
from healthd.journal.database import Database
from healthd.journal.windows import WindowStore
from healthd.monitoring.windows import Windows
from tests.fakes.monitoring import DOWN, UP, HandClock, Stage
from tests.fakes.replicas import Receiver, Replica, SharedJournal

TCP = {"kind": "tcp", "host": "db.invalid", "port": 1, "interval": "1h", "timeout": "1s", "labels": {"team": "shop"}}


def settings(*checks: str) -> Settings:
    return Settings.model_validate({"environment": "production", "checks": dict.fromkeys(checks, TCP)})


def acknowledgement(clock: Any, **covers: Any) -> Window:
    times = {"from": clock.now(), "to": clock.now() + timedelta(days=30)}
    given = {"id": "a", "kind": "acknowledgement", "reason": "x", "author": "ada", **times, **covers}
    return Window.model_validate(given)


def arrange(replica: Replica, *checks: str) -> None:
    """As a reload does."""
    replica.stage.arrange(dict(settings(*checks).active_checks))
    replica.notifications.changed()


async def ends_after(*replicas: Replica) -> float:
    """Return after how many seconds no replica has it any more; infinite if one has it after a quarter of an hour."""
    began = asyncio.get_running_loop().time()
    while any(replica.windows.all() for replica in replicas):
        await asyncio.sleep(1)
        if asyncio.get_running_loop().time() - began > 900:
            return float("inf")
    return asyncio.get_running_loop().time() - began


@pytest.mark.looptime
@pytest.mark.parametrize("covers", [{"checks": ["db"]}, {"checks": ["d*"]}, {"labels": {"team": "shop"}}])
async def test_it_ends_once_no_replica_has_the_check(monkeypatch: pytest.MonkeyPatch, covers: dict[str, Any]) -> None:
    """Not while one of them is still to be reloaded, and not by a check that is away for a minute."""
    Receiver(monkeypatch)
    journal = SharedJournal(Stage().clock)
    one, two = (Replica(journal, host, settings("db")) for host in "ab")
    for replica in (one, two):
        replica.put("db", DOWN)
    await asyncio.sleep(10)
    await one.windows.add(acknowledgement(journal.clock, **covers))
    arrange(one)
    assert await ends_after(one, two) == float("inf")
    arrange(two)
    await asyncio.sleep(60)
    arrange(two, "db")
    two.put("db", DOWN)
    assert await ends_after(one, two) == float("inf")
    arrange(two)
    assert 290 < await ends_after(one, two) < 330
    for replica in (one, two):
        await replica.stop()


@pytest.mark.looptime
async def test_it_waits_for_a_journal_that_does_not_tell_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether another replica has the check is not known then."""
    Receiver(monkeypatch)
    journal = SharedJournal(Stage().clock)
    one, two = Replica(journal, "a", settings()), Replica(journal, "b", settings("db"))
    two.put("db", DOWN)
    await asyncio.sleep(10)
    await two.windows.add(acknowledgement(journal.clock, checks=["db"]))
    await asyncio.sleep(10)
    one.seat.reachable = False
    assert await ends_after(one) == float("inf")
    for replica in (one, two):
        await replica.stop()


@pytest.mark.looptime
@pytest.mark.parametrize("covers", [{"checks": ["api", "db"]}, {"labels": {"team": "shop"}}])
async def test_one_replica_alone_has_a_check_that_still_fails(
    monkeypatch: pytest.MonkeyPatch, covers: dict[str, Any]
) -> None:
    """The recovery of the only check that the other has ends it for that one alone."""
    Receiver(monkeypatch)
    journal = SharedJournal(Stage().clock)
    one, two = Replica(journal, "a", settings("api")), Replica(journal, "b", settings("db"))
    one.put("api", DOWN)
    two.put("db", DOWN)
    await asyncio.sleep(10)
    await one.windows.add(acknowledgement(journal.clock, **covers))
    await asyncio.sleep(20)
    one.put("api", UP)
    await asyncio.sleep(20)
    assert [it.checks for it in two.windows.all()] == [("db",)]
    two.put("db", UP)
    assert await ends_after(one, two) < 20
    for replica in (one, two):
        await replica.stop()


async def test_the_audit_says_why(tmp_path: Path) -> None:
    """Of a check that was renamed; one that begins later covers nothing yet, and stays."""
    clock = HandClock()
    database = Database(f"sqlite:///{tmp_path}/j.db", clock, (tables.BRANCH,))
    await database.open()
    stage = Stage(clock=clock)
    stage.arrange(dict(settings("db").active_checks))
    windows = Windows(stage.board, WindowStore(database, clock), clock)
    await windows.add(acknowledgement(clock, checks=["db"]))
    later: Mapping[str, Any] = {"from": clock.now() + timedelta(days=1)}
    await windows.add(acknowledgement(clock, id="later", checks=["postgres"], **later))
    await windows.read()
    stage.arrange(dict(settings("postgresql").active_checks))
    for _ in range(62):
        windows._end_what_is_over()
        clock.seconds += 5
    await windows._save()
    async with database.read() as connection:
        rows = (await connection.execute(sa.select(tables.audit).order_by(tables.audit.c.id))).all()
    assert [(row.caller, row.action, row.subject) for row in rows[2:]] == [("healthd", "window.end", "a")]
    assert json.loads(rows[-1].detail) == {"checks": ["db"], "because": "no replica has a check of it any more"}
    await database.close()
