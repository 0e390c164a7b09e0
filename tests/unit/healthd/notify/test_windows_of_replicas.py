"""What a window holds back no replica tells, though it was added at another a moment ago."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from healthd.config.settings import Settings
from healthd.config.window import Window
from healthd.model import Result
from tests.fakes.monitoring import DOWN, SLOW, UP, LoopClock
from tests.fakes.replicas import Receiver, Replica, SharedJournal, WindowSeat

pytestmark = pytest.mark.looptime
TCP = {"kind": "tcp", "host": "db.invalid", "port": 1, "interval": "1h", "timeout": "1s", "critical": True}
CHAT = {"kind": "slack", "url": "http://chat.invalid/hook", "group_wait": "1s"}
HOOK = {"kind": "webhook", "url": "http://hook.invalid/hook", "group_wait": "1s"}
MANAGER = {"kind": "alertmanager", "url": "http://manager.invalid", "group_wait": "1s"}


def settings(notifier: dict[str, Any] = CHAT, **route: Any) -> Settings:
    return Settings.model_validate(
        {
            "environment": "production",
            "checks": {"db": TCP},
            "notifiers": {"team": notifier},
            "routes": [{"to": "team", **route}],
        }
    )


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Receiver:
    return Receiver(monkeypatch)


@asynccontextmanager
async def running(config: Settings | None = None) -> AsyncIterator[list[Replica]]:
    """Two replicas that know of each other, both of which have just looked at the windows."""
    journal = SharedJournal(LoopClock())
    replicas = [Replica(journal, host, config or settings()) for host in "ab"]
    await asyncio.sleep(10.2)
    yield replicas
    for replica in replicas:
        await replica.stop()


async def add(replica: Replica, kind: str = "silence", key: str = "w") -> None:
    now = replica.stage.clock.now()
    times = {"from": now, "to": now + timedelta(hours=1)}
    await replica.windows.add(
        Window.model_validate({"id": key, "kind": kind, "checks": ["db"], "reason": "x", "author": "ada", **times})
    )


def put(replicas: list[Replica], result: Result) -> None:
    for replica in replicas:
        replica.put("db", result)


@pytest.mark.parametrize("notifier", [CHAT, HOOK, MANAGER], ids=["together", "one by one", "repeated"])
@pytest.mark.parametrize("kind", ["silence", "maintenance", "pause"])
@pytest.mark.parametrize("seeing", ["both", "who was asked", "the other"])
async def test_a_failure_is_told_by_none(receiver: Receiver, seeing: str, kind: str, notifier: dict[str, Any]) -> None:
    """Neither by the replica that has not heard of the window, nor because of what that one sees; its end tells it."""
    async with running(settings(notifier)) as (one, two):
        put([one, two], UP)
        await add(one, kind)
        failing = {"both": [one, two], "who was asked": [one], "the other": [two]}[seeing]
        put(failing, DOWN)
        await asyncio.sleep(30)
        assert receiver.words == []
        await one.windows.end("w", "ada")
        await asyncio.sleep(10)
        assert set(receiver.words) == {"db unhealthy"}
        assert len(receiver.words) == (1 if notifier is not MANAGER else len(receiver.words))


async def test_what_another_ran_is_told_by_none(receiver: Receiver) -> None:
    """Checks that replicas run for each other: the one that did not run it was told of the silence."""
    async with running() as (one, two):
        await add(one)
        two.put("db", DOWN)
        one.put("db", DOWN)
        one.stage.board.put(replace(one.stage.board.check("db"), elsewhere=True))
        await asyncio.sleep(30)
    assert receiver.words == []


async def test_what_gets_worse_is_told_by_none(receiver: Receiver) -> None:
    """What was told before the silence is not told anew."""
    async with running() as (one, two):
        put([one, two], SLOW)
        await asyncio.sleep(10.2)
        await add(one)
        put([one, two], DOWN)
        await asyncio.sleep(30)
        assert receiver.words == ["db degraded"]
        put([one, two], UP)
        await asyncio.sleep(10)
    assert receiver.words == ["db degraded", "db healthy"]


@pytest.mark.parametrize("kind", ["silence", "acknowledgement"])
async def test_nobody_is_reminded(receiver: Receiver, kind: str) -> None:
    """The reminder is due at both a moment after somebody has said to take care."""
    async with running(settings({**CHAT, "repeat_interval": "1m"})) as (one, two):
        put([one, two], DOWN)
        await asyncio.sleep(60)
        await add(one, kind)
        await asyncio.sleep(100)
    assert receiver.words == ["db unhealthy"]


@pytest.mark.parametrize("kind", ["silence", "acknowledgement"])
async def test_nothing_is_escalated(receiver: Receiver, kind: str) -> None:
    """The same, of a route that waits."""
    async with running(settings(after="1m")) as (one, two):
        put([one, two], DOWN)
        await asyncio.sleep(59.5)
        await add(one, kind)
        await asyncio.sleep(100)
    assert receiver.words == []


async def test_the_end_of_a_failure_is_told_in_every_window(receiver: Receiver) -> None:
    """Once, by its reason: the replica that has not heard of the maintenance neither contradicts nor repeats it."""
    async with running() as (one, two):
        put([one, two], DOWN)
        await asyncio.sleep(10.2)
        await add(one, "maintenance")
        await asyncio.sleep(30)
    assert receiver.words == ["db unhealthy", "db in maintenance"]


async def test_a_silence_that_has_ended_holds_nothing_back(receiver: Receiver) -> None:
    """Ended at one replica, while the other, which alone sees the failure, has not heard of that."""
    async with running() as (one, two):
        await add(one)
        await asyncio.sleep(6)
        await one.windows.end("w", "ada")
        put([two], DOWN)
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(20)
    assert receiver.words == ["db unhealthy"]
    assert receiver.at[0] - began < 8


async def test_a_replica_that_starts_reads_them_before_it_tells(receiver: Receiver) -> None:
    """Though the journal was away when it looked first, and answers again."""
    async with running() as replicas:
        one, two = replicas
        await add(one)
        await two.stop()
        one.seat.journal.down = True
        replicas[1] = again = Replica(one.seat.journal, "b", settings())
        again.put("db", DOWN)
        await asyncio.sleep(0.5)
        one.seat.journal.down = False
        await asyncio.sleep(30)
        assert receiver.words == []


async def test_an_acknowledgement_ends_with_the_alert(receiver: Receiver) -> None:
    """Not by the recovery that one replica sees while another still sees the failure; nobody is reminded meanwhile."""
    async with running(settings({**CHAT, "repeat_interval": "1m"})) as (one, two):
        put([one, two], DOWN)
        await asyncio.sleep(5)
        await add(one, "acknowledgement")
        await asyncio.sleep(30)
        two.put("db", UP)
        await asyncio.sleep(200)
        assert receiver.words == ["db unhealthy"]
        assert [it.id for it in two.windows.all()] == ["w"]
        one.put("db", UP)
        await asyncio.sleep(30)
        assert (one.windows.all(), two.windows.all()) == ([], [])
        assert receiver.words == ["db unhealthy", "db healthy"]


async def test_what_fails_again_a_moment_after_the_end_is_not_acknowledged(receiver: Receiver) -> None:
    """However little later both saw the recovery: its end was told."""
    async with running(settings({**CHAT, "repeat_interval": "1m"})) as (one, two):
        put([one, two], DOWN)
        await asyncio.sleep(5)
        await add(one, "acknowledgement")
        await asyncio.sleep(30)
        put([one, two], UP)
        while receiver.words != ["db unhealthy", "db healthy"]:
            await asyncio.sleep(0.1)
        put([one, two], DOWN)
        await asyncio.sleep(10)
        assert (one.windows.all(), two.windows.all()) == ([], [])
        await asyncio.sleep(60)
    assert receiver.words == ["db unhealthy", "db healthy", "db unhealthy", "db unhealthy"]


async def test_an_acknowledgement_ends_with_a_failure_that_was_over_before_the_start(receiver: Receiver) -> None:
    """No transition tells of that."""
    async with running() as replicas:
        one, two = replicas
        put(replicas, DOWN)
        await asyncio.sleep(5)
        await add(one, "acknowledgement")
        await two.kill()
        await one.kill()
        await asyncio.sleep(60)
        replicas[:] = [Replica(one.seat.journal, host, settings()) for host in "ab"]
        put(replicas, UP)
        await asyncio.sleep(40)
        assert [it.windows.all() for it in replicas] == [[], []]


@pytest.mark.parametrize("away", ["from all", "from who sees none", "from who sees it"])
async def test_an_acknowledgement_outlives_a_journal_that_is_away(receiver: Receiver, away: str) -> None:
    """What the other replica sees is not known then: that is no recovery. Nothing is told anew when it is back, nor
    meanwhile what was acknowledged."""
    async with running(settings(after="1m")) as (one, two):
        one.put("db", UP)
        two.put("db", DOWN)
        await asyncio.sleep(5)
        await add(two, "acknowledgement")
        await asyncio.sleep(20)
        cut = {"from all": [one, two], "from who sees none": [one], "from who sees it": [two]}[away]
        for replica in cut:
            replica.seat.reachable = False
        await asyncio.sleep(20)
        for replica in cut:
            replica.seat.reachable = True
        await asyncio.sleep(100)
        assert [[it.id for it in replica.windows.all()] for replica in (one, two)] == [["w"], ["w"]]
        assert receiver.words == []
        two.put("db", UP)
        await asyncio.sleep(30)
        assert (one.windows.all(), two.windows.all()) == ([], [])


async def test_slow_windows_leave_the_claim_its_time(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal that reads the windows too slowly is still asked who tells: one replica does."""
    async with running() as (one, two):
        load = WindowSeat.load

        async def slowly(seat: WindowSeat) -> dict[str, Window]:
            await asyncio.sleep(2)
            return await load(seat)

        monkeypatch.setattr(WindowSeat, "load", slowly)
        one.seat.journal.takes = 0.5
        put([one, two], DOWN)
        await asyncio.sleep(20)
    assert receiver.words == ["db unhealthy"]


@pytest.mark.parametrize("trouble", ["down", "hung"])
async def test_a_journal_that_is_away_holds_up_nothing_for_long(receiver: Receiver, trouble: str) -> None:
    """Told within what docs/notifications.md says; a window that is known holds all the same."""
    async with running() as (one, two):
        journal = one.seat.journal
        setattr(journal, trouble, True)
        began = asyncio.get_running_loop().time()
        put([one, two], DOWN)
        await asyncio.sleep(10)
        assert receiver.words == ["db unhealthy"] * 2
        assert max(receiver.at) - began - 1.0 < 3.2  # beside `group_wait`
        setattr(journal, trouble, False)
        await asyncio.sleep(20)
        put([one, two], UP)
        await asyncio.sleep(10)
        await add(one)
        await asyncio.sleep(6)
        setattr(journal, trouble, True)
        put([one, two], DOWN)
        await asyncio.sleep(20)
        setattr(journal, trouble, False)
    assert receiver.words == [*["db unhealthy"] * 2, "db healthy"]
