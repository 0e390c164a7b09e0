"""A replica is killed between sending a notice and storing that: nobody knows whether the receiver got it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from healthd.checks.contract import CheckConfig
from healthd.config.settings import Settings
from healthd.config.window import CheckWindow
from healthd.journal.leases import LEASE
from healthd.model import Result
from healthd.notifiers.notice import Notice, Severity
from tests.fakes.monitoring import DOWN, SLOW, UP, LoopClock
from tests.fakes.replicas import Receiver, Replica, SharedJournal

pytestmark = pytest.mark.looptime
TCP = {"kind": "tcp", "host": "db.invalid", "port": 1, "interval": "1h", "timeout": "1s"}
CHAT = {"kind": "slack", "url": "http://chat.invalid/hook", "group_wait": "1s"}


def settings(notifier: dict[str, Any] = CHAT, **options: Any) -> Settings:
    document = {
        "environment": "production",
        "checks": {"db": {**TCP, "critical": True}},
        "notifiers": {"team": notifier},
        "routes": [{"to": "team"}],
    }
    return Settings.model_validate({**document, **options})


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Receiver:
    found = Receiver(monkeypatch)
    found.takes = 1.0
    return found


@asynccontextmanager
async def running(hosts: str, config: Settings) -> AsyncIterator[list[Replica]]:
    """Replicas that know of each other."""
    journal = SharedJournal(LoopClock())
    replicas = [Replica(journal, host, config) for host in hosts]
    try:
        await asyncio.sleep(6)
        yield replicas
    finally:
        for replica in replicas:
            if replica.seat.reachable:
                await replica.stop()


def put(replicas: Sequence[Replica], result: Result, name: str = "db") -> None:
    for replica in replicas:
        if replica.seat.reachable:
            replica.put(name, result)


def anything(_: Notice) -> bool:
    return True


async def killed_while_telling(
    replicas: Sequence[Replica], receiver: Receiver, *, sent: bool = True, of: Callable[[Notice], bool] = anything
) -> list[Replica]:
    """Kill the replica that tells the next notice, before that was `sent` or before it is stored; return the others."""
    journal, before = replicas[0].seat.journal, len(receiver.messages)
    while not (any(map(of, receiver.messages[before:])) if sent else journal.claims):
        await asyncio.sleep(0.1)
    (holder,) = {claim.holder for claim in journal.claims.values()}
    (dying,) = [replica for replica in replicas if replica.seat.name == holder]
    await dying.kill()
    return [replica for replica in replicas if replica.seat.reachable]


@pytest.mark.parametrize("hosts", ["ab", "abc"])
async def test_the_end_of_what_the_dead_one_told_is_told(receiver: Receiver, hosts: str) -> None:
    """Once, of the failure that was told, though every survivor saw only that it is well again."""
    async with running(hosts, settings()) as replicas:
        put(replicas, DOWN)
        left = await killed_while_telling(replicas, receiver)
        put(left, UP)
        await asyncio.sleep(LEASE + 10)
        assert receiver.words == ["db unhealthy", "db healthy"]
        before = receiver.told[1].before
        assert before is not None
        assert before.id == receiver.told[0].id
        journal = replicas[0].seat.journal
        assert (journal.told, journal.claims) == ({}, {})
        put(left, DOWN)
        await asyncio.sleep(10)
        assert receiver.words == ["db unhealthy", "db healthy", "db unhealthy"]


async def test_the_end_is_told_also_by_the_third_after_two_died(receiver: Receiver) -> None:
    """The second dies while it tells the end: the third tells it once more, by the same name."""
    async with running("abc", settings()) as replicas:
        put(replicas, DOWN)
        left = await killed_while_telling(replicas, receiver)
        put(left, UP)
        left = await killed_while_telling(left, receiver)
        assert receiver.words == ["db unhealthy", "db healthy"]
        await asyncio.sleep(LEASE + 10)
        assert receiver.words == ["db unhealthy", "db healthy", "db healthy"]
        assert receiver.ids[1] == receiver.ids[2]


@pytest.mark.parametrize("sent", [True, False])
async def test_a_failure_after_an_end_of_which_nobody_knows_is_told(receiver: Receiver, sent: bool) -> None:
    """The journal says that the receiver knows it down, and it may know it well."""
    async with running("ab", settings()) as replicas:
        put(replicas, DOWN)
        await asyncio.sleep(10)
        put(replicas, UP)
        left = await killed_while_telling(replicas, receiver, sent=sent)
        put(left, DOWN)
        await asyncio.sleep(LEASE + 10)
        assert receiver.words == ["db unhealthy", *["db healthy"] * sent, "db unhealthy"]


async def test_what_is_less_bad_again_is_told(receiver: Receiver) -> None:
    """The receiver may take it for worse than the journal says."""
    async with running("ab", settings()) as replicas:
        put(replicas, SLOW)
        await asyncio.sleep(10)
        put(replicas, DOWN)
        left = await killed_while_telling(replicas, receiver)
        put(left, SLOW)
        await asyncio.sleep(LEASE + 10)
        assert receiver.words == ["db degraded", "db unhealthy", "db degraded"]


async def test_what_goes_on_is_told_once_more_by_the_same_name(receiver: Receiver) -> None:
    """And its end once."""
    async with running("ab", settings()) as replicas:
        put(replicas, DOWN)
        left = await killed_while_telling(replicas, receiver)
        await asyncio.sleep(LEASE + 10)
        put(left, UP)
        await asyncio.sleep(10)
        assert receiver.words == ["db unhealthy", "db unhealthy", "db healthy"]
        assert receiver.ids[0] == receiver.ids[1]


async def test_maintenance_that_begins_meanwhile_ends_it(receiver: Receiver) -> None:
    """As it ends what is known to be told."""
    async with running("ab", settings()) as replicas:
        put(replicas, DOWN)
        (left,) = await killed_while_telling(replicas, receiver)
        times = {"from": "2026-03-29T00:00:00Z", "to": "2026-03-29T01:00:00Z"}
        window = CheckWindow.model_validate({"checks": "db", "reason": "update", **times})
        left.stage.arrange(dict(settings().active_checks), {}, (window,))
        await asyncio.sleep(LEASE + 10)
        assert receiver.words == ["db unhealthy", "db in maintenance"]


async def test_what_is_held_back_meanwhile_is_over_in_the_end(receiver: Receiver) -> None:
    """Its cause is found and told after the kill; what may have been told of it stays open until it is well."""
    checks = {"db": {**TCP, "interval": "2s"}, "api": {**TCP, "interval": "2s", "depends_on": "db"}}
    async with running("ab", settings(checks=checks)) as replicas:
        put(replicas, UP)
        put(replicas, DOWN, "api")
        left = await killed_while_telling(replicas, receiver)
        put(left, DOWN)
        await asyncio.sleep(LEASE + 10)
        assert receiver.words == ["api unhealthy", "db unhealthy"]
        put(left, UP, "api")
        put(left, UP)
        await asyncio.sleep(10)
        assert sorted(receiver.words[2:]) == ["api healthy", "db healthy"]


async def test_a_check_that_is_removed_meanwhile_ends_it(receiver: Receiver) -> None:
    """Nobody looks at it any more."""
    async with running("ab", settings()) as replicas:
        put(replicas, DOWN)
        (left,) = await killed_while_telling(replicas, receiver)
        left.stage.arrange({"other": CheckConfig(kind="scripted")})
        left.notifications.reconfigure(settings(checks={"other": TCP}))
        await asyncio.sleep(LEASE + 10)
        assert receiver.words == ["db unhealthy", "db removed"]


async def test_one_replica_that_starts_again_tells_the_end(receiver: Receiver) -> None:
    """A file of SQLite on one host has what its former process left."""
    async with running("a", settings()) as (one,):
        put([one], DOWN)
        await killed_while_telling([one], receiver)
        again = Replica(one.seat.journal, "a", settings())
        await asyncio.sleep(1)
        again.put("db", UP)
        await asyncio.sleep(LEASE + 10)
        assert receiver.words == ["db unhealthy", "db healthy"]
        await again.stop()


async def test_another_host_ends_nothing_that_it_cannot_see(receiver: Receiver) -> None:
    """A check of one host alone is told by that."""
    config = settings(checks={"db": {**TCP, "scope": "local"}})
    async with running("ab", config) as replicas:
        replicas[1].put("db", UP)
        replicas[0].put("db", DOWN)
        await killed_while_telling(replicas, receiver)
        await asyncio.sleep(2 * LEASE)
        assert receiver.words == ["db unhealthy"]
        again = Replica(replicas[0].seat.journal, "a", config)
        await asyncio.sleep(1)
        again.put("db", UP)
        await asyncio.sleep(LEASE + 10)
        assert receiver.words == ["db unhealthy", "db healthy"]
        await again.stop()


async def test_what_was_escalated_is_over_there_too(receiver: Receiver) -> None:
    """The route takes the end of what may have been told that way, however short it was."""
    config = settings(
        notifiers={"team": CHAT, "lead": {**CHAT, "url": "http://lead.invalid/hook"}},
        routes=[{"to": "team"}, {"to": "lead", "after": "1m"}],
    )
    async with running("ab", config) as replicas:
        put(replicas, DOWN)
        await asyncio.sleep(30)
        assert receiver.words == ["db unhealthy"]
        left = await killed_while_telling(replicas, receiver)
        put(left, UP)
        await asyncio.sleep(LEASE + 10)
        assert receiver.words == ["db unhealthy"] * 2 + ["db healthy"] * 2


@pytest.mark.parametrize("kept", [0, 2, 4])
async def test_the_incident_of_what_was_told_together_is_over_too(receiver: Receiver, kept: int) -> None:
    """PagerDuty keeps one for all that is more than the rate allows. What goes on has it, or one of its own."""
    names = [f"t{number}" for number in range(5)]
    pager = {"kind": "pagerduty", "routing_key": "0" * 32, "per_minute": 2}
    async with running("ab", settings(pager, checks=dict.fromkeys(names, TCP))) as replicas:
        for name in names:
            put(replicas, DOWN, name)
        left = await killed_while_telling(replicas, receiver, of=lambda it: it.about == "summary")
        for name in names[1 + kept :]:
            put(left, UP, name)
        await asyncio.sleep(LEASE + 300)
        open_ = [it for it in receiver.messages if _is_open(it.key, receiver)]
        assert {f"check:{name}" for name in names[: 1 + kept]} <= {each.key for it in open_ for each in (it, *it.parts)}
        for name in names:
            put(left, UP, name)
        await asyncio.sleep(600)
        assert any(it.about == "summary" for it in receiver.messages)
        assert not [it for it in receiver.messages if _is_open(it.key, receiver)]


def _is_open(key: str, receiver: Receiver) -> bool:
    return [it.firing for it in receiver.messages if it.key == key][-1]


@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize("over", [False, True])
async def test_a_reminder_on_the_way_leaves_nothing_open(receiver: Receiver, sent: bool, over: bool) -> None:
    """What is reminded of is known to be told. A reminder that is sent once more has the same name."""
    async with running("ab", settings({**CHAT, "repeat_interval": "1m"})) as replicas:
        put(replicas, DOWN)
        await asyncio.sleep(30)
        left = await killed_while_telling(replicas, receiver, sent=sent)
        if over:
            put(left, UP)
        await asyncio.sleep(LEASE + 10)
        told = ["db unhealthy"] * (1 + sent) + (["db healthy"] if over else ["db unhealthy"])
        assert receiver.words == told
        assert len({it.id for it in receiver.told if it.firing}) == 1 + (sent or not over)


@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize(("about", "standing"), [("rollback", "failed g1 1"), ("gate", "pass g1")])
async def test_what_a_dead_one_tells_of_a_gate_is_told(
    receiver: Receiver, sent: bool, about: Any, standing: str
) -> None:
    """By who never heard of the gate: once more only where it was sent, and then by the same name."""
    async with running("abc", settings()) as replicas:
        notice = _of_a_gate(replicas[0], about, standing, firing=about == "rollback")
        replicas[0].notifications.tell(notice)
        await killed_while_telling(replicas, receiver, sent=sent)
        await asyncio.sleep(LEASE + 10)
        assert receiver.words == [f"api {standing}"] * (1 + sent)
        assert set(receiver.ids) == {notice.id}


async def test_a_ramp_that_goes_on_meanwhile_waits_for_nobody(receiver: Receiver) -> None:
    """Whoever takes the gate over knows only that it goes on, which nobody is told who was told of no pause."""
    async with running("ab", settings()) as replicas:
        paused = _of_a_gate(replicas[0], "gate", "ramp paused 1 g1", firing=True, always=False)
        replicas[0].notifications.tell(paused)
        (left,) = await killed_while_telling(replicas, receiver)
        await asyncio.sleep(5)
        left.notifications.tell(_of_a_gate(left, "gate", "ramp resumed 1 g1", firing=False, always=False))
        await asyncio.sleep(LEASE + 10)
        assert receiver.words == ["api ramp paused 1 g1", "api ramp resumed 1 g1"]


async def test_an_old_verdict_is_not_told_after_its_time(receiver: Receiver) -> None:
    """As when all were down for longer than it is told for."""
    async with running("a", settings()) as (one,):
        one.notifications.tell(_of_a_gate(one, "gate", "fail g1", firing=True))
        await killed_while_telling([one], receiver, sent=False)
        await asyncio.sleep(timedelta(hours=2).total_seconds())
        again = Replica(one.seat.journal, "a", settings())
        await asyncio.sleep(20)
        assert receiver.words == []
        await again.stop()


def _of_a_gate(replica: Replica, about: Any, standing: str, *, firing: bool, always: bool = True) -> Notice:
    severity = Severity.CRITICAL if firing else Severity.INFO
    now = replica.stage.clock.now()
    return Notice(f"{about}:api", about, "api", standing, firing, severity, standing, now, always=always, lasts=3600.0)
