"""The redis check's truth table, against real servers."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import psutil
import pytest

from healthd.model import FailureKind, Status
from tests.integration.healthd.checks.probing import Watched, watched
from tests.servers import peers, redis, tcp
from tests.servers.waiting import until


@pytest.fixture(scope="module")
def guarded() -> Iterator[redis.Redis]:
    """A server with a password, which a test may pause as long as it wakes it up again."""
    with redis.standalone(password="marked-s3cret") as server:
        yield server


async def test_primary_is_healthy(redis_server: redis.Redis) -> None:
    """What PING does not tell is observed: role, version, memory, connections."""
    async with watched("redis", uri=redis_server.url) as check:
        result = await check.finds(Status.HEALTHY)
        assert result.latency is not None
        assert 0 < result.latency < 1
        seen = result.observed
        assert (seen["role"], seen["mode"], seen["maxMemoryBytes"]) == ("primary", "standalone", None)
        assert str(seen["version"])[0].isdigit()
        assert int(str(seen["usedMemoryBytes"])) > 0
        assert 1 <= int(str(seen["connectionsUsed"])) < int(str(seen["maxConnections"]))


async def test_words_of_an_application(redis_server: redis.Redis) -> None:
    """ioredis', and what would change how the driver here waits and reads: none of them makes a server ill."""
    for query in (
        "family=4&tls=false&keepAlive=true",
        "socket_timeout=0.000001&decode_responses=false&protocol=3&db=0",
    ):
        async with watched("redis", uri=f"{redis_server.url}?{query}") as check:
            await check.finds(Status.HEALTHY)


async def test_one_connection_serves_all_probes(redis_server: redis.Redis) -> None:
    """No connection storm: ten probes are one client."""
    async with watched("redis", uri=redis_server.url) as check:
        before = int(str(redis_server.info("total_connections_received")))
        for _ in range(10):
            await check.finds(Status.HEALTHY)
        # One is the check's, one is this test's own.
        assert int(str(redis_server.info("total_connections_received"))) == before + 2


async def test_loading() -> None:
    """A server that reads its data set back is not there yet, and says how long it will take."""
    with redis.loading() as server:
        async with watched("redis", uri=server.url) as check:
            result = await check.finds(Status.UNHEALTHY, FailureKind.NOT_PRIMARY)
            assert "loading" in result.message


async def test_out_of_memory() -> None:
    """Full under noeviction: PING answers, writes are refused. The same server that may evict is fine."""
    with redis.full() as server:
        async with watched("redis", uri=server.url) as check:
            result = await check.finds(Status.UNHEALTHY, FailureKind.EXHAUSTED)
            assert float(str(result.observed["usedMemoryPercent"])) > 100
        # Its figures may be overlooked on purpose; then the canary still tells.
        relaxed = {"degraded": "100%", "unhealthy": "100%"}
        with server.client() as client:
            client.config_set("maxmemory-policy", "volatile-lru")
        async with watched("redis", uri=server.url, memory=relaxed) as check:
            await check.finds(Status.HEALTHY)
        async with watched("redis", uri=server.url, memory=relaxed, canary="healthd") as check:
            await check.finds(Status.UNHEALTHY, FailureKind.EXHAUSTED)


async def test_replica_and_its_lost_primary() -> None:
    """In step it is healthy; without its primary it is first a warning, then red, and never a primary."""
    with redis.standalone() as primary, redis.replica(primary) as replica:
        async with (
            watched("redis", uri=replica.url, require="replica") as patient,
            watched("redis", uri=replica.url, require="any", max_lag="500ms") as strict,
        ):
            result = await patient.finds(Status.HEALTHY)
            assert result.observed["role"] == "replica"
            async with watched("redis", uri=replica.url) as writer:
                await writer.finds(Status.UNHEALTHY, FailureKind.NOT_PRIMARY)
            async with watched("redis", uri=primary.url, require="replica") as reader:
                await reader.finds(Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)
            primary.kill()
            await until(lambda: _has(patient, Status.DEGRADED, FailureKind.LAGGING), "the link is down")
            await until(lambda: _has(strict, Status.UNHEALTHY, FailureKind.LAGGING), "it lags too far")
            with replica.client() as client:
                client.config_set("replica-serve-stale-data", "no")
            result = await patient.finds(Status.UNHEALTHY, FailureKind.LAGGING)
            assert "stale" in result.message


async def _has(check: Watched, status: Status, kind: FailureKind | None) -> bool:
    result = await check.look()
    return (result.status, result.kind) == (status, kind)


async def test_cluster_with_lost_slots() -> None:
    """Any node of a whole cluster is healthy; when slots have no primary the cluster is down for everybody."""
    with redis.cluster() as cluster:
        async with watched("redis", uri=cluster.url, canary="healthd") as check:
            result = await check.finds(Status.HEALTHY)
            assert (result.observed["clusterState"], result.observed["uncoveredSlots"]) == ("ok", 0)
            cluster.lose_slots()
            result = await check.finds(Status.UNHEALTHY, FailureKind.NOT_PRIMARY)
            assert "hash slots have no primary" in result.message
            with cluster.nodes[0].client() as client:
                client.config_set("cluster-require-full-coverage", "no")
            await until(lambda: _has(check, Status.DEGRADED, FailureKind.NOT_PRIMARY), "the rest is served")


async def test_wrong_password(guarded: redis.Redis) -> None:
    """A login that is refused, and one that is missing."""
    for login in (":marked-other-s3cret@", "somebody:marked-other-s3cret@", ""):
        uri = f"redis://{login}{guarded.host}:{guarded.port}/0"
        async with watched("redis", uri=uri) as check:
            await check.finds(Status.UNHEALTHY, FailureKind.AUTH)


async def test_least_grants(guarded: redis.Redis) -> None:
    """The rules in the documentation are enough, and with less the check says what is missing."""
    with guarded.client() as client:
        client.acl_setuser("watcher", enabled=True, passwords=["+marked-w4tcher"], commands=["+ping", "+info"])
        client.acl_setuser("blind", enabled=True, passwords=["+marked-bl1nd"], commands=["+ping"])
    where = f"{guarded.host}:{guarded.port}"
    async with watched("redis", uri=f"redis://watcher:marked-w4tcher@{where}") as check:
        await check.finds(Status.HEALTHY)
    async with watched("redis", uri=f"redis://blind:marked-bl1nd@{where}") as check:
        result = await check.finds(Status.UNHEALTHY, FailureKind.PERMISSION)
        assert "info" in result.message
    async with watched("redis", uri=f"redis://watcher:marked-w4tcher@{where}", canary="healthd") as check:
        await check.finds(Status.UNHEALTHY, FailureKind.PERMISSION)


async def test_canary_and_refused_writes(redis_server: redis.Redis) -> None:
    """A write that needs replicas which are not there: only the canary sees it."""
    with redis_server.client() as client:
        async with (
            watched("redis", uri=redis_server.url, canary="healthd:canary") as check,
            watched("redis", uri=redis_server.url) as without,
        ):
            await check.finds(Status.HEALTHY)
            (key,) = client.keys("healthd:canary:*")
            assert 0 < client.pttl(key) <= 15_000
            client.config_set("min-replicas-to-write", 1)
            try:
                await check.finds(Status.UNHEALTHY, FailureKind.READ_ONLY)
                await without.finds(Status.HEALTHY)
            finally:
                client.config_set("min-replicas-to-write", 0)


async def test_failed_background_save() -> None:
    """Without a place to save to, Redis refuses writes and says so to PING; where it goes on, that is a warning."""
    with redis.standalone({"save": "3600 1000000"}) as server, server.client() as client:
        shutil.rmtree(str(client.config_get("dir")["dir"]))
        client.set("key", "value")
        client.bgsave()
        async with watched("redis", uri=server.url) as check:
            await until(lambda: _has(check, Status.UNHEALTHY, FailureKind.READ_ONLY), "the save has failed")
            client.config_set("stop-writes-on-bgsave-error", "no")
            await check.finds(Status.DEGRADED, FailureKind.EXHAUSTED)


async def test_too_many_clients() -> None:
    """Nobody else gets in: red for a check that must connect, and for one that still holds its connection."""
    with redis.standalone({"maxclients": "3"}) as server:
        async with watched("redis", uri=server.url) as old, watched("redis", uri=server.url) as new:
            await old.finds(Status.HEALTHY)
            with server.client() as one, server.client() as two:
                one.ping()
                two.ping()
                await old.finds(Status.UNHEALTHY, FailureKind.EXHAUSTED)
                await new.finds(Status.UNHEALTHY, FailureKind.EXHAUSTED)


async def test_paused_server(guarded: redis.Redis) -> None:
    """SIGSTOP: no answer in time, nothing left behind, then recovery."""
    async with watched("redis", uri=guarded.url, timeout="3s") as check:
        await check.finds(Status.HEALTHY)
        sockets = len(psutil.Process().net_connections())
        guarded.pause()
        try:
            for _ in range(2):
                await check.finds(Status.UNHEALTHY, FailureKind.TIMEOUT)
            assert len(psutil.Process().net_connections()) <= sockets
        finally:
            guarded.resume()
        await check.finds(Status.HEALTHY)


async def test_stopped_and_started_again() -> None:
    """A server that ends says connect at once; when it is back, so is the check, without a restart."""
    with redis.standalone() as server:
        async with watched("redis", uri=server.url) as check:
            await check.finds(Status.HEALTHY)
            server.stop()
            await check.finds(Status.UNHEALTHY, FailureKind.CONNECT)
            server.start()
            await check.finds(Status.HEALTHY)
            server.kill()
            server.start()
            await check.finds(Status.HEALTHY)


@pytest.mark.parametrize("hole", [tcp.silent, tcp.unconnectable])
@pytest.mark.parametrize("scheme", ["redis", "rediss"])
async def test_black_hole(hole: Callable[[], AbstractContextManager[tcp.Listener]], scheme: str) -> None:
    """Packets vanish after connecting, or before; with TLS and without."""
    with hole() as listener:
        sockets = len(psutil.Process().net_connections())
        uri = f"{scheme}://:marked-s3cret@{listener.host}:{listener.port}/0"
        async with watched("redis", uri=uri, timeout="300ms") as check:
            for _ in range(2):
                await check.finds(Status.UNHEALTHY, FailureKind.TIMEOUT)
        assert len(asyncio.all_tasks()) == 1
        assert len(psutil.Process().net_connections()) <= sockets


async def test_tls_to_a_server_that_speaks_none(redis_server: redis.Redis) -> None:
    """It waits for the end of a command: its silence is told with what may be its reason."""
    uri = f"rediss://127.0.0.1:{redis_server.port}/0"
    async with watched("redis", uri=uri, timeout="500ms") as check:
        result = await check.finds(Status.UNHEALTHY, FailureKind.TIMEOUT)
        assert result.message.endswith("is silent; perhaps it speaks no TLS at this port")


async def test_a_connection_that_a_firewall_forgot(redis_server: redis.Redis) -> None:
    """Its silence is not the server's: half of the time is for it, and the rest for a new one in the same probe."""
    async with (
        tcp.proxy(redis_server.port) as proxy,
        watched("redis", uri=f"redis://{proxy.host}:{proxy.port}/0", timeout="3s") as check,
    ):
        await check.finds(Status.HEALTHY)
        proxy.forget()
        await check.finds(Status.HEALTHY)
        assert proxy.accepted == 2


async def test_peer_that_speaks_something_else(peer: peers.Peer) -> None:
    """An HTTP server on Redis' port is no Redis."""
    async with watched("redis", uri=f"redis://:marked-s3cret@{peer.host}:{peer.port}/0") as check:
        await check.finds(Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)


async def test_database_that_does_not_exist(redis_server: redis.Redis) -> None:
    """The server is fine; what was configured is not."""
    async with watched("redis", uri=redis_server.url.removesuffix("0") + "99") as check:
        await check.finds(Status.UNHEALTHY, FailureKind.MISCONFIGURED)
