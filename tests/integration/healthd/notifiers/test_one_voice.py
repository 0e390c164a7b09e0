"""Replicas that share a journal in a real PostgreSQL, and one file of SQLite."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from healthd.journal import tables
from healthd.journal.database import Database
from healthd.journal.leases import Identity
from healthd.notifiers.notice import Notice, Severity
from healthd.notify.quiet import Quiet
from healthd.notify.replica_store import ReplicaStore
from healthd.notify.told import Answer as Claims
from healthd.notify.told import Change, Told
from healthd.notify.told_store import JournalStore
from healthd.notify.view import Seen, View
from healthd.runtime.clock import SystemClock
from healthd_gates.store import tables as gate_tables
from tests.servers import daemon
from tests.servers.peers import Answer, Peer
from tests.servers.ports import free_port
from tests.servers.waiting import until

CLOCK = SystemClock()
BRANCHES = (tables.BRANCH, gate_tables.BRANCH)
NOW = CLOCK.now()
DOWN = Notice("check:db", "check", "db", "unhealthy", True, Severity.CRITICAL, "db is unhealthy", NOW)
WELL = replace(DOWN, standing="healthy", firing=False, severity=Severity.INFO)


class Member:
    """One replica's stores, with connections of its own."""

    def __init__(self, url: str, name: str) -> None:
        self.database = Database(url, CLOCK, BRANCHES)
        self.told = JournalStore(self.database, CLOCK, name)
        identity = Identity(name, f"{name} 127.0.0.1:1", name, lambda: "production")
        self.replicas = ReplicaStore(self.database, identity)


@asynccontextmanager
async def members(url: str, *names: str) -> AsyncIterator[list[Member]]:
    found = [Member(url, name) for name in names]
    try:
        for member in found:
            await member.database.open()
            await member.replicas.exchange(View(""), {}, 10.0)
        yield found
    finally:
        for member in found:
            await member.database.close()


@pytest.fixture(params=["postgresql", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/j.db"
    dsn: str = request.getfixturevalue("postgresql_dsn")
    return dsn


async def test_of_all_who_ask_at_once_one_may_tell(url: str) -> None:
    """Two hundred subjects, three replicas: each subject has one teller; once told, the others learn of it."""
    wanted = {f"check:t{number:03}": (replace(DOWN, key=f"check:t{number:03}"), None) for number in range(200)}
    async with members(url, "a", "b", "c") as found:
        answers = await asyncio.gather(*(member.told.claim("chat", wanted, 30.0) for member in found))
        assert Counter(it for answer in answers for it in answer.mine) == dict.fromkeys(wanted, 1)
        for member, answer in zip(found, answers, strict=True):
            told = {("chat", key): Told(wanted[key][0], CLOCK.now()) for key in answer.mine}
            await member.told.save({key: Change(it, it.at) for key, it in told.items()})
        for member in found:
            answer = await member.told.claim("chat", wanted, 30.0)
            assert (answer.mine, answer.changed.keys()) == ({}, wanted.keys())
        async with found[0].database.read() as connection:
            assert (await connection.execute(sa.select(tables.claims))).all() == []


async def test_a_claim_ends_with_its_holder_or_its_time(url: str) -> None:
    """Whoever takes it over tells it by the same name."""
    wanted = {DOWN.key: (DOWN, None)}
    later = {DOWN.key: (replace(DOWN, since=NOW + timedelta(seconds=3)), None)}
    async with members(url, "a", "b") as (one, two):
        assert (await one.told.claim("chat", wanted, 30.0)).mine == {DOWN.key: NOW}
        assert (await two.told.claim("chat", later, 30.0)).mine == {}
        await one.replicas.leave(at_once=True)
        assert (await two.told.claim("chat", later, 0.0)).mine == {DOWN.key: NOW}
        assert (await one.told.claim("chat", wanted, 30.0)).mine == {DOWN.key: NOW}
        await one.told.save({}, {("chat", DOWN.key)})
        assert (await two.told.claim("chat", later, 30.0)).mine == {DOWN.key: NOW + timedelta(seconds=3)}


async def test_what_a_dead_replica_may_have_told_counts_as_told_for_who_has_something_else_to_tell(url: str) -> None:
    """Its failure, and then an end that is told always or not. What a living one tells is its own business."""
    passed = replace(DOWN, standing="pass g2", firing=False, always=True)
    async with members(url, "a", "b") as (one, two):
        for left, now in ((DOWN, WELL), (WELL, DOWN), (passed, DOWN)):
            await one.replicas.exchange(View("a"), {}, 10.0)
            assert (await one.told.claim("chat", {DOWN.key: (left, None)}, 30.0)).mine
            assert (await two.replicas.exchange(View("b"), {}, 10.0)).doubtful == {}
            assert (await two.told.claim("chat", {DOWN.key: (now, None)}, 30.0)) == Claims({})
            await one.replicas.exchange(View("a"), {}, 0.0)
            assert (await two.replicas.exchange(View("b"), {}, 10.0)).doubtful == {("chat", DOWN.key): left}
            answer = await two.told.claim("chat", {DOWN.key: (now, None)}, 30.0)
            adopted = answer.changed[DOWN.key]
            kept = left.firing or left.always
            assert (answer.mine, adopted.notice if adopted else None) == ({}, left if kept else None)
            assert await two.told.load() == ({("chat", DOWN.key): adopted} if kept else {})
            assert (await two.replicas.exchange(View("b"), {}, 10.0)).doubtful == {}
            assert (await two.told.claim("chat", {DOWN.key: (now, adopted)}, 30.0)).mine == {DOWN.key: NOW}
            await two.told.save({("chat", DOWN.key): Change(None, CLOCK.now())})


async def test_what_was_told_since_is_not_undone_by_who_did_not_know(url: str) -> None:
    """As by a replica that was cut off: an entry is replaced by a newer one alone."""
    first, second = Told(DOWN, NOW), Told(DOWN, NOW + timedelta(minutes=5))
    async with members(url, "a", "b") as (one, two):
        await one.told.save({("chat", DOWN.key): Change(second, second.at)})
        await two.told.save({("chat", DOWN.key): Change(first, first.at)})
        await two.told.save({("chat", DOWN.key): Change(None, first.at)})
        assert await one.told.load() == {("chat", DOWN.key): second}
        exchanged = await two.replicas.exchange(View("b"), {("chat", DOWN.key): first.at}, 10.0)
        assert exchanged.changed == {("chat", DOWN.key): second}
        again = await two.replicas.exchange(View("b"), {("chat", DOWN.key): second.at}, 10.0)
        assert (again.changed, again.kept) == ({}, {("chat", DOWN.key)})


async def test_what_replicas_see_of_each_other(url: str) -> None:
    """As it was shown, until the lease ends; a replica of another environment is named, and not heard."""
    seen = View("a", {DOWN.key: Seen(DOWN, Quiet.DEPENDENT)}, frozenset({DOWN.key, "check:api"}))
    async with members(url, "a", "b") as (one, two):
        await one.replicas.exchange(seen, {}, 10.0)
        for _ in range(2):
            (view,) = (await two.replicas.exchange(View("b"), {}, 10.0)).others
            assert (view.host, view.firing, view.subjects) == ("a", seen.firing, seen.subjects)
        strange = ReplicaStore(two.database, Identity("c", "c 1", "c", lambda: "staging"))
        found = await strange.exchange(View("c"), {}, 10.0)
        assert (found.others, found.foreign) == ((), {"production"})
        await one.replicas.exchange(seen, {}, 0.0)
        assert (await two.replicas.exchange(View("b"), {}, 10.0)).others == ()


async def test_daemons_tell_once(postgresql_dsn: str, peer: Peer) -> None:
    """Processes on one journal: of two failures and an end each is told once, though one daemon is killed meanwhile.

    What it had sent and not written down yet is told again, by the same id."""
    async with AsyncExitStack() as stack:
        peer.answer("POST", "/hook", Answer(status=202))
        ports = {"web": free_port(), "mail": free_port()}
        tcp = {"kind": "tcp", "host": "127.0.0.1", "interval": "1s", "timeout": "1s", "fall": 1, "rise": 1}
        configuration: dict[str, Any] = {
            "environment": "production",
            "journal": postgresql_dsn,
            "checks": {name: {**tcp, "port": port, "critical": True} for name, port in ports.items()},
            "notifiers": {"team": {"kind": "webhook", "url": f"{peer.url}/hook", "group_wait": "1s"}},
            "routes": [{"to": "team"}],
        }
        daemons = [await stack.enter_async_context(daemon.running(configuration)) for _ in range(2)]

        def told() -> list[str]:
            events = [json.loads(request.body) for request in peer.received]
            events = [it for event in events for it in event["data"].get("events", [event])]
            words = {event["id"]: f"{event['subject']} {event['type'].rpartition('.')[2]}" for event in events}
            return sorted(words.values())

        await until(lambda: len(told()) >= 2, "both failures are told")
        await daemons[0].kill()
        server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", ports["web"])
        try:
            await until(lambda: "web over" in told(), "the end is told")
            await asyncio.sleep(3)  # in which another would tell it again
        finally:
            server.close()
    assert told() == ["mail firing", "web firing", "web over"]
