"""Replicas that share a journal tell each thing once, whoever of them dies, and tell it without the journal."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from healthd.config.settings import Settings
from healthd.journal.errors import JournalError
from healthd.journal.leases import LEASE
from healthd.model import Status
from healthd.notifiers.notice import Notice, Severity
from tests.fakes.monitoring import DOWN, SLOW, UP, LoopClock
from tests.fakes.replicas import Receiver, Replica, Seat, SharedJournal

pytestmark = pytest.mark.looptime
TCP = {"kind": "tcp", "host": "db.invalid", "port": 1, "interval": "1h", "timeout": "1s"}
CHAT = {"kind": "slack", "url": "http://chat.invalid/hook", "group_wait": "1s"}
HOOK = {"kind": "webhook", "url": "http://hook.invalid/hook"}
UNASKED = "The journal could not be asked"


def settings(notifier: dict[str, Any] = CHAT, **options: Any) -> Settings:
    checks = options.pop("checks", {"db": {**TCP, "critical": True}})
    document = {
        "environment": "production",
        "checks": checks,
        "notifiers": {"team": notifier},
        "routes": [{"to": "team"}],
    }
    return Settings.model_validate({**document, **options})


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Receiver:
    return Receiver(monkeypatch)


@asynccontextmanager
async def running(hosts: str = "ab", config: Settings | None = None) -> AsyncIterator[list[Replica]]:
    """Replicas that know of each other."""
    journal = SharedJournal(LoopClock())
    replicas = [Replica(journal, host, config or settings()) for host in hosts]
    try:
        await asyncio.sleep(6)
        yield replicas
    finally:
        for replica in replicas:
            if replica.seat.reachable:
                await replica.stop()


def put(replicas: Sequence[Replica], result: Any, name: str = "db") -> None:
    for replica in replicas:
        replica.put(name, result)


@pytest.mark.parametrize("later", [0.0, 0.3, 3.0, 20.0])
async def test_each_thing_is_told_once(receiver: Receiver, later: float) -> None:
    """A failure and its end, however far apart the replicas see them."""
    async with running("abc") as replicas:
        for result in (DOWN, UP):
            for replica in replicas:
                replica.put("db", result)
                await asyncio.sleep(later)
            await asyncio.sleep(10)
        assert receiver.words == ["db unhealthy", "db healthy"]
        assert replicas[0].metrics.registry.get_sample_value("healthd_replicas") == 3
        assert not replicas[0].seat.journal.told
        assert not replicas[0].seat.journal.claims


async def test_the_end_is_told_when_no_replica_sees_it_down(receiver: Receiver) -> None:
    """One that is well again does not end what another still sees, and the notice says how many see it."""
    async with running() as (one, two):
        put([one, two], UP)
        await asyncio.sleep(5)
        two.put("db", DOWN)
        await asyncio.sleep(20)
        assert receiver.told[0].facts["seen_by"] == "1 of 2 replicas (b)"
        one.put("db", DOWN)
        await asyncio.sleep(5)
        two.put("db", UP)
        await asyncio.sleep(30)
        assert receiver.words == ["db unhealthy"]
        one.put("db", UP)
        await asyncio.sleep(5)
        assert receiver.words == ["db unhealthy", "db healthy"]


async def test_replicas_on_one_host_are_told_apart(receiver: Receiver) -> None:
    """By their addresses; one that is alone on its host by that."""
    journal = SharedJournal(LoopClock())
    places = [("vm", "vm :1"), ("vm", "vm :2"), ("web", "web :1")]
    replicas = [Replica(journal, host, settings(), address) for host, address in places]
    await asyncio.sleep(6)
    put(replicas, UP)
    await asyncio.sleep(5)
    put(replicas[1:], DOWN)
    await asyncio.sleep(20)
    assert receiver.told[0].facts["seen_by"] == "2 of 3 replicas (vm :2, web)"
    for replica in replicas:
        await replica.stop()


async def test_what_another_has_found_is_looked_at_at_once(receiver: Receiver) -> None:
    """A failure and its end, once each, within an exchange, and only where it stands otherwise; nothing is believed."""
    disk = {"disk": {**TCP, "scope": "local"}, "db": TCP, "mail": TCP}
    async with running("abc", settings(checks=disk)) as replicas:
        looked: list[tuple[str, list[str]]] = []
        for host, replica in zip("abc", replicas, strict=True):
            replica.notifications.look_again = partial(_noted, looked, host)
            for name in disk:
                replica.put(name, UP)
        one, two, three = replicas
        await asyncio.sleep(10)
        assert looked == []
        three.put("db", DOWN)
        one.put("db", DOWN)
        one.put("disk", DOWN)
        await asyncio.sleep(3)
        assert looked == [("b", ["db"])]
        assert two.stage.board.check("db").status is Status.HEALTHY
        two.put("db", DOWN)
        await asyncio.sleep(10)
        assert len(looked) == 1
        one.put("db", UP)
        await asyncio.sleep(3)
        assert sorted(looked[1:]) == [("b", ["db"]), ("c", ["db"])]
        two.put("db", UP)
        three.put("db", UP)
        await asyncio.sleep(10)
        assert len(looked) == 3


async def test_the_worst_that_is_seen_is_told(receiver: Receiver) -> None:
    """Degraded for one and unhealthy for another is unhealthy."""
    async with running() as (one, two):
        one.put("db", SLOW)
        await asyncio.sleep(10)
        two.put("db", DOWN)
        await asyncio.sleep(10)
        two.put("db", SLOW)
        await asyncio.sleep(10)
    assert receiver.words == ["db degraded", "db unhealthy", "db degraded"]


async def test_who_dies_while_it_tells_is_followed(receiver: Receiver) -> None:
    """After the lease, by the same name."""
    async with running() as (one, two):
        receiver.takes = 4.0
        put([one, two], DOWN)
        await asyncio.sleep(1.5)
        holders = {claim.holder for claim in one.seat.journal.claims.values()}
        (dying,) = [replica for replica in (one, two) if replica.seat.name in holders]
        (since,) = [claim.since for claim in one.seat.journal.claims.values()]
        await dying.kill()
        await asyncio.sleep(LEASE + 10)
        assert receiver.words == ["db unhealthy"]
        assert receiver.told[0].since == since


async def test_what_only_a_dead_replica_saw_is_over(receiver: Receiver) -> None:
    """Told by one that sees it healthy, after the lease."""
    async with running() as (one, two):
        one.put("db", UP)
        two.put("db", DOWN)
        await asyncio.sleep(5)
        await two.kill()
        await asyncio.sleep(5)
        assert receiver.words == ["db unhealthy"]
        await asyncio.sleep(LEASE)
        assert receiver.words == ["db unhealthy", "db healthy"]


async def test_an_end_is_told_in_the_light_of_what_was_written_meanwhile(receiver: Receiver) -> None:
    """A replica that starts in a failure writes that it sees it, and is killed before it writes that it is over:
    whoever is about to tell the end reads that first. It is told once, after the lease, and no failure after it."""
    async with running("a") as (one,):
        one.put("db", DOWN)
        await asyncio.sleep(10)
        two = Replica(one.seat.journal, "b", settings())
        await asyncio.sleep(6)
        one.put("db", UP)
        await asyncio.sleep(0.3)  # it has read that the other sees nothing
        two.put("db", DOWN)
        await asyncio.sleep(0.3)
        two.put("db", UP)
        await asyncio.sleep(0.05)
        await two.kill()
        assert two.seat.journal.replicas[two.seat.name][-1].firing.keys() == {"check:db"}
        await asyncio.sleep(5)
        assert receiver.words == ["db unhealthy"]
        await asyncio.sleep(30)
        assert receiver.words == ["db unhealthy", "db healthy"]


async def test_a_restart_says_nothing(receiver: Receiver) -> None:
    """Neither that of the one replica that sees it, nor of all; the end comes afterwards, once."""
    journal, config = SharedJournal(LoopClock()), settings()
    first = [Replica(journal, host, config) for host in "ab"]
    first[0].put("db", UP)
    first[1].put("db", DOWN)
    await asyncio.sleep(10)
    await first[1].stop()
    first[1] = Replica(journal, "b", config)
    await asyncio.sleep(4)
    first[1].put("db", DOWN)
    await asyncio.sleep(20)
    for replica in first:
        await replica.stop()
    second = [Replica(journal, host, config) for host in "ab"]
    await asyncio.sleep(4)
    put(second, DOWN)
    await asyncio.sleep(20)
    assert receiver.words == ["db unhealthy"]
    put(second, UP)
    await asyncio.sleep(10)
    assert receiver.words == ["db unhealthy", "db healthy"]
    for replica in second:
        await replica.stop()


async def test_who_cannot_reach_the_journal_tells_and_says_so(receiver: Receiver) -> None:
    """Cut off alone, it tells what it sees; the others as always."""
    async with running("abc") as replicas:
        replicas[2].seat.reachable = False
        put(replicas, DOWN)
        await asyncio.sleep(20)
        assert receiver.words == ["db unhealthy", "db unhealthy"]
        assert [UNASKED in notice.detail for notice in receiver.told].count(True) == 1
        replicas[2].seat.reachable = True
        await asyncio.sleep(20)
        put(replicas, UP)
        await asyncio.sleep(10)
        assert receiver.words[2:] == ["db healthy"]


@pytest.mark.parametrize("trouble", ["down", "hung"])
async def test_a_journal_that_fails_delays_nothing_for_long(receiver: Receiver, trouble: str) -> None:
    """Each replica tells within seconds; when the journal is back, nothing again."""
    async with running() as (one, two):
        journal = one.seat.journal
        setattr(journal, trouble, True)
        began = asyncio.get_running_loop().time()
        put([one, two], DOWN)
        await asyncio.sleep(20)
        assert receiver.words == ["db unhealthy"] * 2
        assert max(receiver.at) - began < 5
        assert all(UNASKED in notice.detail for notice in receiver.told)
        setattr(journal, trouble, False)
        await asyncio.sleep(30)
        put([one, two], UP)
        await asyncio.sleep(20)
        assert receiver.words == ["db unhealthy"] * 2 + ["db healthy"]


async def test_a_journal_that_can_only_be_read_forgets_nothing(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a right that is missing: what was told before the start is not told again."""

    async def refuse(*_: object) -> None:
        raise JournalError("permission denied for table healthd_observers")

    journal = SharedJournal(LoopClock())
    first = Replica(journal, "a", settings())
    first.put("db", DOWN)
    await asyncio.sleep(10)
    await first.stop()
    monkeypatch.setattr(Seat, "exchange", refuse)
    second = Replica(journal, "a", settings())
    second.put("db", DOWN)
    await asyncio.sleep(20)
    assert receiver.words == ["db unhealthy"]
    second.put("db", UP)
    await asyncio.sleep(10)
    assert receiver.words == ["db unhealthy", "db healthy"]
    await second.stop()


async def test_one_replica_that_loses_its_journal_speaks_of_no_other(receiver: Receiver) -> None:
    """Nobody else shares it."""
    async with running("a") as (one,):
        one.seat.journal.down = True
        one.put("db", DOWN)
        await asyncio.sleep(10)
    assert receiver.words == ["db unhealthy"]
    assert UNASKED not in receiver.told[0].detail


async def test_a_replica_that_starts_while_the_journal_is_away_is_reckoned_with(receiver: Receiver) -> None:
    """The one that ran all along cannot know of it: both say that another may tell the failure and its end."""
    async with running() as (one, two):
        await one.kill()
        await asyncio.sleep(2 * LEASE)
        two.seat.journal.down = True
        again = Replica(two.seat.journal, "a", settings())
        await asyncio.sleep(2 * LEASE)
        for result in (DOWN, UP):
            put([again, two], result)
            await asyncio.sleep(20)
        assert Counter(receiver.words) == {"db unhealthy": 2, "db healthy": 2}
        assert all(UNASKED in notice.detail for notice in receiver.told)
        await again.kill()


async def test_a_replica_that_cannot_reach_the_receiver_leaves_it_to_another(receiver: Receiver) -> None:
    """It is told all the same, once."""
    refusals = iter([True])
    receiver.refuse = lambda _: next(refusals, False)
    async with running() as replicas:
        put(replicas, DOWN)
        await asyncio.sleep(4)
        assert receiver.words == ["db unhealthy"]
        await asyncio.sleep(30)
    assert receiver.words == ["db unhealthy"]


@pytest.mark.parametrize(
    ("agreement", "seeing", "told"),
    [("any", 1, True), ("most", 1, False), ("most", 2, True), ("all", 2, False), ("all", 3, True)],
)
async def test_replicas_that_must_agree(receiver: Receiver, agreement: str, seeing: int, told: bool) -> None:
    """A failure is told when so many of three see it, and is over when they do not any more."""
    checks = {"db": {**TCP, "replicas": agreement}}
    async with running("abc", settings(checks=checks)) as replicas:
        put(replicas, UP)
        await asyncio.sleep(5)
        put(replicas[:seeing], DOWN)
        await asyncio.sleep(20)
        assert receiver.words == ["db unhealthy"] * told
        put(replicas[:1], UP)
        await asyncio.sleep(20)
        assert receiver.words == ["db unhealthy", "db healthy"] * told


async def test_a_cut_off_replica_does_not_hold_up_those_who_must_agree(receiver: Receiver) -> None:
    """After the lease it is not asked any more."""
    checks = {"db": {**TCP, "replicas": "all"}}
    async with running("abc", settings(checks=checks)) as replicas:
        put(replicas, UP)
        await asyncio.sleep(5)
        await replicas[2].kill()
        put(replicas[:2], DOWN)
        await asyncio.sleep(LEASE + 10)
    assert receiver.words == ["db unhealthy"]


async def test_a_check_that_only_one_replica_has_left_is_not_removed(receiver: Receiver) -> None:
    """As while a new configuration is rolled out: the replica that has it tells."""
    journal = SharedJournal(LoopClock())
    both = {"db": {**TCP}, "api": {**TCP}}
    old, new = Replica(journal, "a", settings(checks=both)), Replica(journal, "b", settings())
    await asyncio.sleep(5)
    put([old, new], UP)
    old.put("api", DOWN)
    await asyncio.sleep(20)
    assert receiver.words == ["api unhealthy"]
    old.put("api", UP)
    await asyncio.sleep(20)
    assert receiver.words == ["api unhealthy", "api healthy"]
    for replica in (old, new):
        await replica.stop()


async def test_another_environment_in_the_same_journal(receiver: Receiver) -> None:
    """Its database of the same name is another: each tells its own."""
    journal = SharedJournal(LoopClock())
    replicas = [Replica(journal, it[0], settings(environment=it)) for it in ("production", "staging")]
    await asyncio.sleep(5)
    put(replicas, DOWN)
    await asyncio.sleep(10)
    assert receiver.words == ["db unhealthy"] * 2
    replicas[0].put("db", UP)
    await asyncio.sleep(10)
    assert receiver.words[2:] == ["db healthy"]
    for replica in replicas:
        await replica.stop()


async def test_reminders_are_counted_once(receiver: Receiver) -> None:
    """Every minute one, from whichever replica, each by a name of its own."""
    async with running("abc", settings({**CHAT, "repeat_interval": "1m"})) as replicas:
        put(replicas, DOWN)
        await asyncio.sleep(200)
        assert receiver.words == ["db unhealthy"] * 4
        assert len(set(receiver.ids)) == 4


@pytest.mark.parametrize("notifier", [HOOK, CHAT], ids=["one by one", "together"])
async def test_a_storm_is_told_once_within_seconds(receiver: Receiver, notifier: dict[str, Any]) -> None:
    """Sixty checks at once on three replicas."""
    names = [f"t{number}" for number in range(60)]
    checks = {name: {**TCP} for name in names}
    async with running("abc", settings(notifier, checks=checks)) as replicas:
        for result, word in ((DOWN, "unhealthy"), (UP, "healthy")):
            receiver.told, receiver.at = [], []
            began = asyncio.get_running_loop().time()
            for name in names:
                put(replicas, result, name)
            await asyncio.sleep(12)
            assert Counter(receiver.words) == {f"{name} {word}": 1 for name in names}
            assert max(receiver.at) - began < 5 or word == "healthy"


@pytest.mark.proof
async def test_a_hundred_kills(receiver: Receiver) -> None:
    """One of three is killed at a random moment of each failure or end. Each is told, and twice only where the killed
    replica had sent it and not written that down: by the same name."""
    journal, config, dice = SharedJournal(LoopClock()), settings(), random.Random(7)
    replicas = [Replica(journal, host, config) for host in "abc"]
    await asyncio.sleep(6)
    put(replicas, UP)
    again = 0
    for round_ in range(100):
        result = UP if round_ % 2 else DOWN
        before = len(receiver.told)
        for replica in replicas:
            replica.put("db", result)
            await asyncio.sleep(dice.choice([0.0, 0.1, 0.5]))
        await asyncio.sleep(dice.uniform(0.0, 1.5))
        index = dice.randrange(3)
        sending = replicas[index].seat.name in {claim.holder for claim in journal.claims.values()}
        await replicas[index].kill()
        replicas[index] = Replica(journal, "abc"[index], config)
        await asyncio.sleep(1)
        replicas[index].put("db", result)
        while len(receiver.told) == before or journal.claims:
            await asyncio.sleep(1)
        await asyncio.sleep(4)
        told = receiver.told[before:]
        assert {notice.standing for notice in told} == {"unhealthy" if result is DOWN else "healthy"}
        assert len(told) == 1 or (sending and len(told) == 2)
        assert len({notice.id for notice in told}) == 1
        again += len(told) - 1
    assert again < 30
    for replica in replicas:
        await replica.stop()


async def test_notices_of_gates_are_told_by_whoever_runs_them(receiver: Receiver) -> None:
    """The next verdict of a service comes from another replica, and follows on the first."""
    async with running() as (one, two):
        first = _verdict(one, "fail g1", firing=True)
        one.notifications.tell(first)
        await asyncio.sleep(10)
        two.notifications.tell(first)  # as after a takeover, which tells again what may not have been told
        await asyncio.sleep(10)
        two.notifications.tell(_verdict(two, "pass g2", firing=False))
        await asyncio.sleep(10)
    assert receiver.words == ["api fail g1", "api pass g2"]


def _noted(looked: list[tuple[str, list[str]]], host: str, names: Sequence[str]) -> None:
    looked.append((host, list(names)))


def _verdict(replica: Replica, standing: str, *, firing: bool) -> Notice:
    severity = Severity.WARNING if firing else Severity.INFO
    now = replica.stage.clock.now()
    return Notice("gate:api", "gate", "api", standing, firing, severity, standing, now, always=True, lasts=3600.0)
