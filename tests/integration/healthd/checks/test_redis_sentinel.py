"""The redis_sentinel check, against real Sentinels."""

from collections.abc import Iterator
from functools import partial

import pytest

from healthd.model import FailureKind, Result, Status
from tests.integration.healthd.checks.probing import watched
from tests.servers import ports, redis, sentinel, tcp
from tests.servers.sentinel import MASTER
from tests.servers.waiting import until

look_at = partial(watched, "redis_sentinel", timeout="5s", interval="5s")


@pytest.fixture(scope="module")
def watchers() -> Iterator[list[sentinel.Sentinel]]:
    """Three that watch a master with one replica. Change nothing of them."""
    with redis.standalone() as master, redis.replica(master), sentinel.watching(master) as running:
        yield running


async def test_well(watchers: list[sentinel.Sentinel]) -> None:
    """All reach the master and each other, and a replica is in step; twice, over the same connections."""
    async with look_at(sentinels=[one.url for one in watchers], master=MASTER) as check:
        for _ in range(2):
            result = await check.finds(Status.HEALTHY)
    assert result.observed == {"sentinelsAnswering": 3, "sentinelsKnown": 3, "quorum": 2, "replicasInStep": 1}
    assert {each.name: each.value for each in result.measures} == {"sentinels": 3, "replicas": 1}


async def test_too_few_replicas(watchers: list[sentinel.Sentinel]) -> None:
    async with look_at(sentinels=[watchers[0].url], master=MASTER, healthy_replicas=2) as check:
        result = await check.finds(Status.DEGRADED, FailureKind.THRESHOLD)
    assert result.message == "1 of 2 replicas that a failover could choose from are in step"


async def test_what_is_configured_wrongly(watchers: list[sentinel.Sentinel], redis_server: redis.Redis) -> None:
    """A master that is unknown; a Redis in a Sentinel's place."""
    async with look_at(sentinels=[one.url for one in watchers], master="other") as check:
        result = await check.finds(Status.UNHEALTHY, FailureKind.MISCONFIGURED)
        assert result.message == "none of 3 Sentinels tells of the master: the first: knows no master other"
    async with look_at(sentinels=[redis_server.url], master=MASTER) as check:
        assert "is no Sentinel" in (await check.finds(Status.UNHEALTHY, FailureKind.MISCONFIGURED)).message


async def test_some_that_cannot_be_asked(watchers: list[sentinel.Sentinel]) -> None:
    """The others are asked all the same; where nobody answers, nothing is known."""
    nobody = f"redis://127.0.0.1:{ports.free_port()}"
    async with look_at(sentinels=[nobody, watchers[0].url], master=MASTER) as check:
        result = await check.finds(Status.DEGRADED, FailureKind.CONNECT)
        assert result.message.startswith("1 of 2 Sentinels cannot be asked: ")
    async with look_at(sentinels=[nobody, nobody], master=MASTER) as check:
        await check.finds(Status.UNHEALTHY, FailureKind.CONNECT)
    with tcp.silent() as listener:
        silent = f"redis://127.0.0.1:{listener.port}"
        async with look_at(sentinels=[silent, watchers[0].url], master=MASTER, timeout="4s") as check:
            result = await check.finds(Status.DEGRADED, FailureKind.TIMEOUT)
            assert check.overrun < 0


async def test_a_night_of_losses() -> None:
    """The master dies and a replica takes its place; then the Sentinels go, and with them the next failover."""
    with redis.standalone() as master, redis.replica(master) as replica, sentinel.watching(master) as watchers:
        async with look_at(sentinels=[one.url for one in watchers], master=MASTER) as check:
            results: list[Result] = []

            async def has(status: Status, words: str) -> bool:
                results.append(await check.look())
                return results[-1].status is status and words in results[-1].message

            await check.finds(Status.HEALTHY)
            master.kill()
            await until(lambda: has(Status.UNHEALTHY, "is down"), "the death is seen")
            assert results[-1].kind is FailureKind.NOT_PRIMARY
            await until(lambda: has(Status.DEGRADED, "0 of 1 replicas"), "the replica is the master")
            assert all(int(str(one.told("port"))) == replica.port for one in watchers)
            for one in watchers[1:]:
                one.kill()
            await until(lambda: has(Status.DEGRADED, "no failover is possible"), "the quorum is lost")
            assert "2 of 3 Sentinels cannot be asked: " in results[-1].message  # the last failover may not be over yet
            replica.kill()
            await until(lambda: has(Status.UNHEALTHY, "no Sentinel that answers reaches"), "nobody is left")
