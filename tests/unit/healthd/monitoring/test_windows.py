"""Windows on several replicas that share a journal, and while it cannot be used."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from healthd.checks.contract import CheckConfig
from healthd.config.sections import Group
from healthd.config.window import Maintenance, Window
from healthd.journal import tables
from healthd.journal.database import Database
from healthd.journal.errors import JournalError
from healthd.journal.journal import AuditEntry
from healthd.journal.windows import WindowStore
from healthd.model import Probe, Status, Transition
from healthd.monitoring.cover import Watched
from healthd.monitoring.windows import Windows
from tests.fakes.monitoring import DOWN, MIDNIGHT, UP, HandClock, Stage


def window(key: str, clock: HandClock, **more: Any) -> Window:
    times = {"from": clock.now(), "to": clock.now() + timedelta(hours=1)}
    return Window.model_validate(
        {"id": key, "kind": "silence", "checks": ["*"], "reason": "x", "author": "ada", **times, **more}
    )


async def test_replicas_share_them(tmp_path: Path) -> None:
    """What one adds or ends, another has; the audit says who, once."""
    clock = HandClock()
    database = Database(f"sqlite:///{tmp_path}/j.db", clock, (tables.BRANCH,))
    await database.open()
    one, two = (Windows(Stage(clock=clock).board, WindowStore(database, clock), clock) for _ in range(2))
    await one.add(window("a", clock))
    await one.add(window("b", clock, kind="freeze", checks=[], services=["shop"], to=clock.now() + timedelta(days=1)))
    assert [it.freezes("shop", {}) for it in (await two.freezes())[0]] == [True]
    assert [it.id for it in two.all()] == ["a", "b"]
    assert (await two.end("a", "bob"), await two.end("a", "bob")) != (None, None)
    await one._load()
    assert [it.id for it in one.all()] == ["b"]
    async with database.read() as connection:
        rows = (await connection.execute(sa.select(tables.audit).order_by(tables.audit.c.id))).all()
    assert [(row.caller, row.action, row.subject) for row in rows] == [
        ("ada", "window.add", "a"), ("ada", "window.add", "b"), ("bob", "window.end", "a")
    ]  # fmt: skip
    await database.close()


async def test_a_recovery_that_two_replicas_see_is_one_entry(tmp_path: Path) -> None:
    """Both end the acknowledgement; what two people did stands for each."""
    clock = HandClock()
    database = Database(f"sqlite:///{tmp_path}/j.db", clock, (tables.BRANCH,))
    await database.open()
    replicas = []
    for _ in range(2):
        stage = Stage(clock=clock)
        stage.arrange({"db": CheckConfig(kind="scripted")})
        replicas.append((stage.board, Windows(stage.board, WindowStore(database, clock), clock)))
    await replicas[0][1].add(window("a", clock, kind="acknowledgement"))
    for _, windows in replicas:
        await windows._load()
    for _, windows in replicas:
        windows.changed(Transition("db", Status.UNHEALTHY, Status.HEALTHY, clock.now(), None))
    for _, windows in replicas:
        assert windows.all() == []
        await windows._save()
    async with database.read() as connection:
        rows = (await connection.execute(sa.select(tables.audit).order_by(tables.audit.c.id))).all()
    assert [(row.caller, row.action) for row in rows] == [("ada", "window.add"), ("healthd", "window.end")]
    await database.close()


async def test_one_of_several_recovers(tmp_path: Path) -> None:
    """It is left out on every replica, once in the audit; of what a pattern covers so is what never failed. One that a
    person has ended meanwhile does not come back."""
    clock = HandClock()
    database = Database(f"sqlite:///{tmp_path}/j.db", clock, (tables.BRANCH,))
    await database.open()
    replicas = []
    for _ in range(2):
        stage = Stage(clock=clock)
        stage.arrange({name: CheckConfig(kind="scripted") for name in ("api", "cache", "db")})
        for name, result in (("api", DOWN), ("cache", UP), ("db", DOWN)):
            state = stage.board.check(name)
            probe = Probe(clock.now(), 0.01, result)
            stage.board.put(replace(state, status=result.status, probe=probe, good_until=clock.steady() + 3600))
        replicas.append(Windows(stage.board, WindowStore(database, clock), clock))
    one, two = replicas
    later = {"to": clock.now() + timedelta(days=1)}
    await one.add(window("a", clock, kind="acknowledgement", **later))
    await two._load()
    for windows in replicas:
        windows.changed(Transition("db", Status.UNHEALTHY, Status.HEALTHY, clock.now(), None))
        assert [it.checks for it in windows.all()] == [("api", "cache")]
    for windows in replicas:
        await windows._save()
        windows._end_what_is_over()
    clock.seconds += 20
    await one._load()
    one._end_what_is_over()
    assert [it.checks for it in one.all()] == [("api",)], "what is healthy"
    await one._save()
    await two._load()
    two.changed(Transition("api", Status.DEGRADED, Status.UNHEALTHY, clock.now(), None))
    await two.end("a", "bob")
    one._put("a", one.all()[0], AuditEntry("healthd", "window.narrow", "a", {"because": "recovered"}))
    await one._save()
    await one._load()
    assert one.all() == []
    async with database.read() as connection:
        rows = (await connection.execute(sa.select(tables.audit).order_by(tables.audit.c.id))).all()
    narrowed = ("healthd", "window.narrow")
    assert [(row.caller, row.action) for row in rows] == [
        ("ada", "window.add"), narrowed, narrowed, ("bob", "window.end")
    ]  # fmt: skip
    await database.close()


@pytest.mark.parametrize(
    ("covers", "healthy", "left", "told"),
    [
        ({"checks": ["api", "cache", "db"]}, ("api", "db"), ("cache",), ["window.narrow", "window.narrow"]),
        ({"checks": ["*"]}, ("api", "db"), ("cache",), ["window.narrow", "window.narrow"]),
        ({"checks": [], "groups": ["ready"]}, ("api", "db"), ("cache",), ["window.narrow", "window.narrow"]),
        ({"checks": ["api", "db"]}, ("api", "db"), None, ["window.narrow", "window.end"]),
    ],
    ids=["named", "by a pattern", "by a group", "all there are"],
)
async def test_what_two_replicas_leave_out_at_once_is_left_out_by_both(
    tmp_path: Path, covers: dict[str, Any], healthy: tuple[str, str], left: tuple[str, ...] | None, told: list[str]
) -> None:
    """Each sees another check recover, and neither has heard of what the other has stored."""
    clock = HandClock()
    database = Database(f"sqlite:///{tmp_path}/j.db", clock, (tables.BRANCH,))
    await database.open()
    replicas = []
    for _ in range(2):
        stage = Stage(clock=clock)
        names = ("api", "cache", "db")
        stage.arrange({name: CheckConfig(kind="scripted") for name in names}, {"ready": Group(checks=names)})
        replicas.append((stage.board, Windows(stage.board, WindowStore(database, clock), clock)))
    await replicas[0][1].add(window("a", clock, kind="acknowledgement", **covers))
    await replicas[1][1]._load()
    for name, (_, windows) in zip(healthy, replicas, strict=True):
        windows.changed(Transition(name, Status.UNHEALTHY, Status.HEALTHY, clock.now(), None))
    for _, windows in replicas:
        await windows._save()
    board, windows = replicas[1]
    assert [it.checks for it in windows.all()] == [left] * (left is not None), "before it has read anything"
    assert [it.name for it in board.checks() if it.covers] == list(left or ())
    await replicas[0][1]._load()
    assert [it.checks for it in replicas[0][1].all()] == [left] * (left is not None)
    async with database.read() as connection:
        rows = (await connection.execute(sa.select(tables.audit).order_by(tables.audit.c.id))).all()
    assert [row.action for row in rows[1:]] == told
    assert json.loads(rows[-1].detail).get("left") == (list(left) if left else None)
    await database.close()


class Broken:
    """A store that is down until it is not; `hangs` is one that does not answer."""

    def __init__(self) -> None:
        self.rows: dict[str, Window] = {}
        self.down, self.hangs = True, False

    async def load(self) -> dict[str, Window]:
        await self._look()
        return dict(self.rows)

    async def save(
        self, changes: Mapping[str, Window | None], entries: list[AuditEntry]
    ) -> Mapping[str, Window | None]:
        await self._look()
        for key, value in changes.items():
            self.rows.pop(key, None)
            if value is not None:
                self.rows[key] = value
        return changes

    async def _look(self) -> None:
        if self.hangs:
            await asyncio.sleep(3600)
        if self.down:
            raise JournalError("it is down")


@pytest.mark.looptime
async def test_what_others_added_may_be_missing_while_the_journal_is_away() -> None:
    """Before its first read, and whenever the last one failed."""
    store = Broken()
    windows = Windows(Stage(clock=HandClock()).board, store, HandClock())
    seen = [windows.is_complete]
    running = asyncio.create_task(windows.run())
    for store.down in (False, True, False):
        await asyncio.sleep(6)
        seen.append(windows.is_complete)
    running.cancel()
    assert seen == [False, True, False, True]


@pytest.mark.looptime
@pytest.mark.parametrize("hangs", [False, True])
async def test_a_journal_that_cannot_be_used_delays_only_the_others(hangs: bool) -> None:
    """The window is in force, the caller hears of it within seconds, and it is stored once that is possible."""
    stage, store, clock = Stage(clock=HandClock()), Broken(), HandClock()
    store.hangs = hangs
    windows = Windows(stage.board, store, clock)
    start = asyncio.get_running_loop().time()
    await windows.add(window("a", clock))
    assert asyncio.get_running_loop().time() - start <= 3
    assert (windows.unsaved, [it.id for it in windows.all()]) == (1, ["a"])
    store.down = store.hangs = False
    running = asyncio.create_task(windows.run())
    await asyncio.sleep(6)
    assert (windows.unsaved, list(store.rows)) == (0, ["a"])
    store.down = True
    await windows.end("a", "ada")
    assert (windows.unsaved, windows.all()) == (1, [])
    await asyncio.sleep(6)
    assert windows.all() == []  # though the journal still has it
    store.down = False
    await asyncio.sleep(6)
    assert (windows.unsaved, store.rows) == (0, {})
    running.cancel()


async def test_of_two_reads_the_one_that_began_later_counts() -> None:
    """Whichever ends first."""
    store, clock = Broken(), HandClock()
    windows = Windows(Stage(clock=clock).board, store, clock)
    store.down, slow, found = False, asyncio.Event(), store.load

    async def ends_late() -> dict[str, Window]:
        rows = await found()
        await slow.wait()
        return rows

    store.load = ends_late  # type: ignore[method-assign]
    early = asyncio.create_task(windows.read())
    await asyncio.sleep(0)
    store.load, store.rows["a"] = found, window("a", clock)  # type: ignore[method-assign]
    await windows.read()
    slow.set()
    await early
    assert [it.id for it in windows.all()] == ["a"]


async def test_a_journal_that_stays_away_costs_no_memory() -> None:
    """Whatever is added and ended meanwhile; the latest audit is stored afterwards."""
    store, clock = Broken(), HandClock()
    windows = Windows(Stage(clock=clock).board, store, clock)
    for number in range(1500):
        await windows.add(window(str(number), clock))
        await windows.end(str(number), "ada")
    assert (len(windows._audit), windows.unsaved) == (1000, 0)
    store.down = False
    await windows._save()
    assert (len(windows._audit), store.rows) == (0, {})


@pytest.mark.looptime
async def test_a_bug_in_the_store_ends_nothing() -> None:
    store, clock = Broken(), HandClock()

    async def raise_it(*_: Any) -> Any:
        raise RuntimeError

    store.load = raise_it  # type: ignore[method-assign]
    windows = Windows(Stage(clock=clock).board, store, clock)
    running = asyncio.create_task(windows.run())
    await asyncio.sleep(20)
    assert not running.done()
    running.cancel()


def test_a_cron_line_is_asked_once_for_as_long_as_its_answer_holds() -> None:
    """Every minute of two days: the same answers as the window itself gives, and few questions, also when the clock is
    set back."""
    asked = 0

    class Counting(Maintenance):
        def until(self, moment: datetime) -> datetime | None:
            nonlocal asked
            asked += 1
            return super().until(moment)

    raw = {"checks": "*", "cron": "0 3 * * *", "for": "1h", "reason": "x"}
    watched, truth = Watched(Counting.model_validate(raw)), Maintenance.model_validate(raw)
    moments = [MIDNIGHT + timedelta(minutes=n) for n in (*range(0, 2880, 7), *range(1000, 1400, 7))]
    for moment in moments:
        cover = watched.cover(moment)
        assert (cover.until if cover else None) == truth.until(moment)
    assert asked < 12


@pytest.mark.parametrize(
    ("raw", "taken"),
    [
        ({"checks": "d*"}, {"db", "disk"}),
        ({"groups": ["ready"]}, {"db", "api"}),
        ({"checks": ["disk"], "groups": ["ready"]}, {"db", "api", "disk"}),
        ({"labels": {"team": "data"}}, {"db"}),
        ({"groups": ["ready"], "labels": {"team": ["x", "w*"]}}, {"api"}),
    ],
)
def test_what_a_window_takes(raw: dict[str, Any], taken: set[str]) -> None:
    """Named by check or group, and with the labels."""
    checks = {"db": {"team": "data"}, "disk": {}, "api": {"team": "web"}}
    it = Maintenance.model_validate({"cron": "0 3 * * *", "for": "1h", "reason": "x", **raw})
    assert {
        name for name, labels in checks.items() if it.takes(name, labels, {"ready"} if name != "disk" else ())
    } == taken
