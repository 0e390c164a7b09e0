"""Checks that are spread over replicas: none is left unwatched, whoever dies and whatever becomes of the journal."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from healthd import checks
from healthd.config.settings import Settings
from healthd.journal.leases import LEASE, LOOK
from healthd.model import FailureKind, Result, Status
from healthd.monitoring.rendezvous import in_order
from tests.fakes import findings
from tests.fakes.findings import FindingsJournal, Played, Replica
from tests.fakes.monitoring import DOWN, UP, LoopClock, forever

pytestmark = pytest.mark.looptime
INTERVAL, NUMBER = 10, 12


@pytest.fixture(autouse=True)
def _kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(checks.KINDS, "played", f"{findings.__name__}:Played")
    monkeypatch.setattr(Played, "world", {})
    monkeypatch.setattr(Played, "asked", [])


def settings(number: int = NUMBER, *, more: dict[str, Any] | None = None, **options: Any) -> Settings:
    played = {"kind": "played", "interval": f"{INTERVAL}s", "timeout": "2s", "spread": 1, **options}
    return Settings.model_validate({"checks": {**{f"c{n}": played for n in range(number)}, **(more or {})}})


@asynccontextmanager
async def running(hosts: str, config: Settings | None = None) -> AsyncIterator[tuple[FindingsJournal, list[Replica]]]:
    """Replicas that have known of each other for a while."""
    journal = FindingsJournal(LoopClock())
    replicas = [await Replica(journal, host, config or settings()).start() for host in hosts]
    try:
        await asyncio.sleep(3 * INTERVAL)
        Played.asked.clear()
        yield journal, replicas
    finally:
        for replica in replicas:
            if replica.desk.reachable:
                await replica.kill()


def by_check() -> dict[str, set[str]]:
    """Who has asked, by check."""
    asked: dict[str, set[str]] = {}
    for _, host, check in Played.asked:
        asked.setdefault(check, set()).add(host)
    return asked


def unknown(*replicas: Replica) -> list[str]:
    """Checks that a replica knows nothing of, or nothing valid."""
    return [f"{it.host}: {s.name}" for it in replicas for s in it.board.checks() if s.status is Status.UNKNOWN]


async def watched(seconds: float, *replicas: Replica) -> None:
    """Let time pass, in which nothing may become unknown on any of them."""
    for _ in range(int(seconds)):
        await asyncio.sleep(1)
        assert not unknown(*replicas)


@pytest.mark.parametrize("hosts", ["ab", "abc"])
async def test_each_check_runs_on_one_and_shows_on_all(hosts: str) -> None:
    """As often as configured; every replica shows it, with its age and who ran it."""
    async with running(hosts) as (_, replicas):
        await watched(6 * INTERVAL, *replicas)
        who = by_check()
        assert len(who) == NUMBER
        assert all(len(by) == 1 for by in who.values())
        shares = Counter(host for by in who.values() for host in by)
        assert min(shares[host] for host in hosts) >= NUMBER / len(hosts) / 3
        assert len(Played.asked) == pytest.approx(6 * NUMBER, rel=0.15)
        now = replicas[0].stage.clock.now()
        for replica in replicas:
            for state in replica.board.checks():
                assert {state.replica} == who[state.name]
                assert state.elsewhere is (state.replica != replica.host)
                assert state.probe is not None
                assert (now - state.probe.at).total_seconds() < 1.1 * INTERVAL + 2 * LOOK + 1
        assert replicas[-1].spread.shares == Counter({f"{host} :8080": shares[host] for host in hosts})
        assert replicas[0].spread.runs == Counter(here=shares["a"], elsewhere=NUMBER - shares["a"])


async def test_each_check_runs_on_as_many_as_it_wants() -> None:
    """Two of three; more than there are is all of them."""
    config = settings(8, spread=2, more={"all": {**settings(1).checks["c0"].model_dump(), "spread": 9}})
    async with running("abc", config) as (_, replicas):
        await watched(3 * INTERVAL, *replicas)
        assert {name: len(by) for name, by in by_check().items()} == {**{f"c{n}": 2 for n in range(8)}, "all": 3}


async def test_who_dies_is_followed_within_a_lease() -> None:
    """Killed: nothing becomes unknown on the others meanwhile. Its next start takes its checks back."""
    async with running("abc") as (journal, replicas):
        before = by_check
        await watched(2 * INTERVAL, *replicas)
        his = {check for check, by in before().items() if by == {"c"}}
        assert his
        began = asyncio.get_running_loop().time()
        await replicas[2].kill()
        Played.asked.clear()
        await watched(5 * INTERVAL, *replicas[:2])
        first: dict[str, float] = {}
        for at, _, check in Played.asked:
            first.setdefault(check, at)
        assert max(first[check] - began for check in his) < LEASE + LOOK + INTERVAL
        replicas[2] = await Replica(journal, "c", replicas[0].settings).start()
        await asyncio.sleep(3 * INTERVAL)
        Played.asked.clear()
        await watched(3 * INTERVAL, *replicas)
        assert {check for check, by in by_check().items() if by == {"c"}} == his
        assert all(len(by) == 1 for by in by_check().values())


@pytest.mark.parametrize("minutes", [10, pytest.param(60, marks=pytest.mark.proof)])
async def test_a_check_at_long_intervals(minutes: int) -> None:
    """It is as well known on the replica that does not run it: neither unknown between two runs, after the death of the
    one that ran it or the restart of the other, nor green for longer than its interval once that is dead."""
    async with running("ab", settings(4, interval=f"{minutes}m", fall=1)) as (journal, replicas):
        one, two = replicas
        for _ in range(int(2.2 * minutes)):
            await asyncio.sleep(60)
            assert not unknown(one, two)
        who = by_check()
        assert {len(by) for by in who.values()} == {1}
        assert 4 <= len(Played.asked) <= 3 * 4
        his = [name for name, by in who.items() if by == {"b"}]
        assert his
        assert all(one.board.check(name).replica == "b" for name in his)
        await one.stop()
        one = replicas[0] = await Replica(journal, "a", two.settings).start()
        await asyncio.sleep(3 * LOOK)
        assert not unknown(one, two)
        await two.kill()
        Played.world.update(dict.fromkeys(his, DOWN))
        await asyncio.sleep(LEASE + 2 * LOOK)
        assert not unknown(one)
        for _ in range(int(1.2 * minutes)):
            await asyncio.sleep(60)
            assert not unknown(one)
        assert [one.board.check(name).status for name in his] == [Status.UNHEALTHY] * len(his)


async def test_who_stops_hands_over_at_once() -> None:
    """SIGTERM: the others run its checks when they are due, not a lease later."""
    async with running("ab") as (_, (one, two)):
        await two.stop()
        began = asyncio.get_running_loop().time()
        await watched(2 * INTERVAL, one)
        assert {check for at, _, check in Played.asked if at - began < INTERVAL + 2 * LOOK} == {*one.settings.checks}


@pytest.mark.parametrize("trouble", ["down", "hung"])
async def test_without_the_journal_each_runs_all(trouble: str) -> None:
    """Health never goes blind: nothing becomes unknown, and once the journal is back the load is shared again."""
    async with running("ab") as (journal, replicas):
        setattr(journal, trouble, True)
        await watched(LEASE + 2 * INTERVAL, *replicas)
        Played.asked.clear()
        await watched(2 * INTERVAL, *replicas)
        assert all(by == {"a", "b"} for by in by_check().values())
        assert not any(state.elsewhere for it in replicas for state in it.board.checks())
        setattr(journal, trouble, False)
        await watched(2 * INTERVAL, *replicas)
        Played.asked.clear()
        await watched(3 * INTERVAL, *replicas)
        assert all(len(by) == 1 for by in by_check().values())


async def test_who_is_cut_off_runs_all_and_the_others_theirs() -> None:
    """One replica cannot reach the journal: it sees for itself, and its checks are run by those that can."""
    async with running("abc") as (_, replicas):
        replicas[0].desk.reachable = False
        await watched(LEASE + 3 * INTERVAL, *replicas)
        Played.asked.clear()
        await watched(2 * INTERVAL, *replicas)
        assert all("a" in by and len(by - {"a"}) == 1 for by in by_check().values())
        replicas[0].desk.reachable = True


async def test_a_check_that_its_replica_does_not_run_is_run_by_another() -> None:
    """Alive by its lease, but its probes do not come: the others do not wait for its end."""
    async with running("ab") as (_, (one, two)):
        await watched(INTERVAL, one, two)
        for name in two.settings.checks:
            two.schedule.remove(name)
        Played.asked.clear()
        await watched(6 * INTERVAL, one, two)
        assert by_check() == {name: {"a"} for name in two.settings.checks}


async def test_a_failure_is_found_once_and_shown_by_all() -> None:
    """After `fall` failures, by the one that runs it; the others show it within two exchanges, and tell nobody."""
    async with running("abc") as (_, replicas):
        await watched(2 * INTERVAL, *replicas)
        (runner,) = by_check()["c0"]
        Played.world["c0"] = DOWN
        seen: dict[str, float] = {}
        while len(seen) < 3:
            await asyncio.sleep(0.1)
            for it in replicas:
                if it.board.check("c0").status is Status.UNHEALTHY:
                    seen.setdefault(it.host, asyncio.get_running_loop().time())
        assert max(seen.values()) - seen[runner] <= 2 * LOOK + 0.5
        changes = {it.host: [t.new for t in it.stage.transitions if t.new is Status.UNHEALTHY] for it in replicas}
        assert changes == {host: [Status.UNHEALTHY] if host == runner else [] for host in "abc"}
        other = next(it for it in replicas if it.host != runner)
        state = other.board.check("c0")
        assert (state.probe and state.probe.result, state.replica, state.elsewhere) == (DOWN, runner, True)


async def test_a_successor_goes_on_from_where_it_was() -> None:
    """One success after a takeover is not yet `rise`, and the failure keeps its beginning."""
    async with running("ab", settings(fall=2, rise=3)) as (_, replicas):
        await watched(2 * INTERVAL, *replicas)
        name, (host,) = next((check, by) for check, by in by_check().items() if by == {"b"})
        one, two = replicas
        assert host == two.host
        Played.world[name] = DOWN
        await asyncio.sleep(4 * INTERVAL)
        since = two.board.check(name).since
        await two.kill()
        Played.world[name] = UP
        Played.asked.clear()
        while not any(check == name for *_, check in Played.asked):
            await asyncio.sleep(0.1)
        await asyncio.sleep(1)
        assert (one.board.check(name).status, one.board.check(name).since) == (Status.UNHEALTHY, since)
        await asyncio.sleep(2 * INTERVAL)
        assert one.board.check(name).status is Status.HEALTHY
        assert [(t.old, t.new) for t in one.stage.transitions if t.check == name][-1:] == [
            (Status.UNHEALTHY, Status.HEALTHY)
        ]


async def test_a_check_that_others_do_not_know_is_run_by_those_that_do() -> None:
    """A rolling update: what only the new configuration has, or has otherwise, is run by those that have it."""
    async with running("abc", settings(6)) as (_, replicas):
        new = settings(6, more={f"new{n}": settings(1).checks["c0"].model_dump() for n in range(6)})
        changed = {**{name: check.model_dump() for name, check in new.checks.items()}}
        changed["c0"] = {**changed["c0"], "timeout": "1s"}
        await replicas[0].reload(Settings.model_validate({"checks": changed}))
        await asyncio.sleep(3 * INTERVAL)
        Played.asked.clear()
        await watched(3 * INTERVAL, *replicas)
        who = by_check()
        assert all(who[f"new{n}"] == {"a"} for n in range(6))
        assert "a" in who["c0"]
        assert len(who["c0"] & {"b", "c"}) == 1
        assert all(len(who[f"c{n}"]) == 1 for n in range(1, 6))


async def test_what_decides_about_readiness_runs_everywhere() -> None:
    """A load balancer's answer never depends on the journal or on another replica; nor does what is of this host."""
    played = {"kind": "played", "interval": "10s", "timeout": "1s", "spread": 1}
    named = {
        "critical": {**played, "critical": True},
        "local": {**played, "scope": "local"},
        "quick": {**played, "interval": "4s"},
        "named": played,
        "beat": {"kind": "heartbeat", "period": "1d", "spread": 1},
        "free": played,
    }
    groups = {"ready": {"checks": ["named", "critical"]}}
    config = Settings.model_validate({"checks": named, "groups": groups})
    assert [*config.spread_checks] == ["free"]
    async with running("ab", config) as (_, replicas):
        await watched(2 * INTERVAL, *replicas)
        assert all(by_check()[name] == {"a", "b"} for name in ("critical", "local", "quick", "named"))
        assert len(by_check()["free"]) == 1


async def test_a_pause_that_a_dependency_asked_for_is_heeded_by_all() -> None:
    """Its result stays valid on every replica for as long, and nobody probes it meanwhile."""
    async with running("ab", settings(4)) as (_, replicas):
        Played.world["c0"] = Result.degraded(FailureKind.RATE_LIMITED, "slow down", retry_after=120.0)
        await watched(INTERVAL * 1.2, *replicas)
        Played.asked.clear()
        await watched(100, *replicas)
        assert "c0" not in by_check()


async def test_little_is_written() -> None:
    """A result is written when its status changes, and its numbers once a minute: not at each probe."""
    counter = iter(range(10_000))

    async def measured() -> Result:
        return Result.healthy(observed={"n": next(counter)})

    Played.world.update((f"c{n}", measured) for n in range(NUMBER))
    async with running("ab") as (_, replicas):
        before = sum(it.desk.written for it in replicas)
        await asyncio.sleep(100)
        assert sum(it.desk.written for it in replicas) - before <= 3 * NUMBER
        assert len(Played.asked) > 8 * NUMBER


async def test_many_changes_at_once_are_written_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """No exchange grows with the outage, and no old status is shown as a young one."""
    monkeypatch.setattr("healthd.monitoring.findings.MOST_WRITTEN", 5)
    async with running("ab", settings(fall=1)) as (_, replicas):
        Played.world.update((f"c{n}", DOWN) for n in range(NUMBER))
        await asyncio.sleep(3 * INTERVAL)
        assert all(state.status is Status.UNHEALTHY for it in replicas for state in it.board.checks())


@pytest.mark.proof
async def test_killed_and_cut_off_at_random() -> None:
    """Nothing that lives is ever blind, and a hung dependency is red for everybody."""
    chance = random.Random(7)
    Played.world["c3"] = forever
    async with running("abc", settings(5)) as (journal, replicas):
        for _ in range(12):
            victim = chance.randrange(3)
            match chance.choice(["kill", "cut", "journal", "none"]):
                case "kill":
                    await replicas[victim].kill()
                    await watched(chance.uniform(1, 30), *(it for n, it in enumerate(replicas) if n != victim))
                    replicas[victim] = await Replica(journal, "abc"[victim], replicas[victim].settings).start()
                    await asyncio.sleep(chance.uniform(15, 30))
                case "cut":
                    replicas[victim].desk.reachable = False
                    await watched(chance.uniform(1, 60), *replicas)
                    replicas[victim].desk.reachable = True
                case "journal":
                    journal.down = True
                    await watched(chance.uniform(1, 60), *replicas)
                    journal.down = False
                case "none":
                    await watched(chance.uniform(1, 30), *replicas)
            assert {it.board.check("c3").status for it in replicas} == {Status.UNHEALTHY}


def test_one_that_comes_or_goes_moves_only_its_own() -> None:
    """Rendezvous: the others keep what they have, and shares are even."""
    three, four = ["a", "b", "c"], ["a", "b", "c", "d"]
    names = [f"check-{number}" for number in range(4000)]
    moved = [name for name in names if in_order(name, three)[0] != in_order(name, four)[0]]
    assert all(in_order(name, four)[0] == "d" for name in moved)
    shares = Counter(in_order(name, four)[0] for name in names)
    assert max(shares.values()) / min(shares.values()) < 1.2
