"""The Redis that tests start is real and breaks as asked."""

import pytest
import redis.exceptions as redis_errors
from redis.exceptions import AuthenticationError, BusyLoadingError, OutOfMemoryError

from tests.servers import redis
from tests.servers.waiting import until_now


def test_password_is_asked_for() -> None:
    """A server with a password answers whoever has it, and nobody else."""
    with redis.standalone(password="redis-secret") as server:
        assert server.info("role") == "master"
        with redis.Redis(server.port, server.process).client() as stranger, pytest.raises(AuthenticationError):
            stranger.ping()


def test_freezes_and_restarts(redis_server: redis.Redis) -> None:
    """A frozen server stays silent, a stopped one comes back on its port."""
    with redis.standalone() as server, server.client() as client:
        server.pause()
        client.connection_pool.connection_kwargs["socket_timeout"] = 0.1
        with pytest.raises(redis_errors.TimeoutError):
            client.ping()
        server.resume()
        server.stop()
        assert server.process.exit_code == 0
        server.start()
        assert server.info("role") == "master"
        assert server.port != redis_server.port


def test_full_refuses_writes() -> None:
    """At `maxmemory` even a small write fails, while PING is answered."""
    with redis.full() as server, server.client() as client:
        assert client.ping()
        with pytest.raises(OutOfMemoryError):
            client.set("a", "b")


def test_failed_save_refuses_writes() -> None:
    """After a background save that failed, the server says so and refuses writes."""
    with redis.unable_to_save() as server, server.client() as client:
        assert server.info("rdb_last_bgsave_status") == "err"
        with pytest.raises(redis_errors.ResponseError, match="MISCONF"):
            client.set("a", "b")


def test_loading_says_so() -> None:
    """While it reads its data back, the server answers -LOADING."""
    with redis.loading() as server, server.client() as client:
        assert server.info("loading") == 1
        with pytest.raises(BusyLoadingError):
            client.get("key:1")


def test_replica_notices_its_master_gone() -> None:
    """A replica is in step, and says that the link is down once the master is killed."""
    with redis.standalone() as master, redis.replica(master) as replica:
        assert replica.info("role") == "slave"
        assert replica.info("master_link_status") == "up"
        master.kill()
        until_now(lambda: replica.info("master_link_status") == "down", "the link is down")


def test_cluster_loses_slots() -> None:
    """Three nodes form a cluster, which fails when one is killed."""
    with redis.cluster() as cluster:
        assert cluster.state(cluster.nodes[0]) == "ok"
        cluster.lose_slots()
        assert cluster.state(cluster.nodes[0]) == "fail"
