"""The bullmq check against a real Redis, with the keys and client names that BullMQ leaves there.

Read in BullMQ 6.7.0's own database after it added, delayed, prioritised, failed and paused jobs: `PREFIX:QUEUE:meta` is
a hash with `version`, and `paused` 1 while paused; `wait` a list whose oldest job is its last; `prioritized` and
`delayed` sorted sets; `failed` one by the time of the failure in milliseconds; a job is a hash with `timestamp`, `opts`
(JSON) and, once tried, `finishedOn`; a worker's connection is named `PREFIX:BASE64(QUEUE)`, with `:w:NAME` behind it if
the worker has a name. Bull, before it, has `meta-paused` and no `meta`, and its jobs wait in `paused` while paused.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from redis import Redis

from healthd.model import FailureKind, Status
from tests.integration.healthd.checks.probing import watched
from tests.servers import redis


@pytest.fixture
def queue(request: pytest.FixtureRequest, redis_server: redis.Redis) -> Iterator[tuple[Redis, str]]:
    """A client, and the name of a queue that BullMQ has made."""
    name = f"mails-{abs(hash(request.node.name))}"
    with redis_server.client() as client:
        client.hset(f"bull:{name}:meta", mapping={"opts.maxLenEvents": "10000", "version": "bullmq:6.7.0"})
        yield client, name


def add(
    client: Redis, queue: str, job: str, *, age: float = 0.0, delay: float = 0.0, tried: float | None = None
) -> None:
    """A job that waits, added so many seconds ago."""
    now = time.time() * 1000
    fields: dict[bytes | str | int | float, bytes | str | int | float] = {
        "timestamp": str(int(now - age * 1000)),
        "delay": "0",
        "opts": json.dumps({"delay": delay * 1000}),
    }
    if tried is not None:
        fields["finishedOn"] = str(int(now - tried * 1000))
    for field, value in fields.items():
        client.hset(f"bull:{queue}:{job}", field, value)
    client.lpush(f"bull:{queue}:wait", job)


@contextmanager
def worker(server: redis.Redis, queue: str, suffix: str = "") -> Iterator[None]:
    """A connection with the name of a worker's."""
    with server.client() as client, client.client() as connection:
        connection.client_setname(f"bull:{base64.b64encode(queue.encode()).decode()}{suffix}")
        yield


@pytest.mark.parametrize("suffix", ["", ":w:mailer-1"])
async def test_workers_are_known_by_their_connections(
    redis_server: redis.Redis, queue: tuple[Redis, str], suffix: str
) -> None:
    """Those of other queues, and what listens to events, are none."""
    client, name = queue
    add(client, name, "1", age=2)
    async with watched("bullmq", uri=redis_server.url, queue=name) as check:
        with worker(redis_server, name, ":qe"), worker(redis_server, f"{name}-other"):
            result = await check.finds(Status.UNHEALTHY, FailureKind.THRESHOLD)
            assert "no worker is connected, and 1 job waits" in result.message
        with worker(redis_server, name, suffix):
            result = await check.finds(Status.HEALTHY)
        assert result.observed["workers"] == 1


async def test_the_job_that_waited_longest_counts(redis_server: redis.Redis, queue: tuple[Redis, str]) -> None:
    """A delay and a try before are no wait; a job that is gone does not matter."""
    client, name = queue
    client.lpush(f"bull:{name}:wait", "gone")
    add(client, name, "1", age=4000, delay=3960)
    add(client, name, "2", age=10)
    async with watched("bullmq", uri=redis_server.url, queue=name, workers=0) as check:
        assert (await check.finds(Status.HEALTHY)).observed["oldestSeconds"] is None
        client.lrem(f"bull:{name}:wait", 0, "gone")
        seen = (await check.finds(Status.HEALTHY)).observed
        assert 39 < float(str(seen["oldestSeconds"])) < 100
        client.rpop(f"bull:{name}:wait", 2)
        add(client, name, "3", age=4000, tried=400)
        result = await check.finds(Status.DEGRADED, FailureKind.THRESHOLD)
        assert "a job has waited for 6m" in result.message
        client.delete(f"bull:{name}:wait")
        add(client, name, "4", age=4000)
        client.delete(f"bull:{name}:wait")
        client.zadd(f"bull:{name}:prioritized", {"4": 5})
        await check.finds(Status.UNHEALTHY, FailureKind.THRESHOLD)


async def test_failed_jobs_of_the_last_hour_and_a_pause(redis_server: redis.Redis, queue: tuple[Redis, str]) -> None:
    client, name = queue
    now = time.time() * 1000
    client.zadd(f"bull:{name}:failed", {"1": now - 3_700_000, "2": now - 1000, "3": now})
    async with watched("bullmq", uri=redis_server.url, queue=name, workers=0, failed={"degraded": 1}) as check:
        result = await check.finds(Status.DEGRADED, FailureKind.THRESHOLD)
        assert "jobs that failed in the last hour: 2, more than 1" in result.message
        client.zrem(f"bull:{name}:failed", "3")
        await check.finds(Status.HEALTHY)
        client.hset(f"bull:{name}:meta", "paused", "1")
        assert "paused" in (await check.finds(Status.DEGRADED, FailureKind.THRESHOLD)).message


async def test_bull_before_bullmq(redis_server: redis.Redis, queue: tuple[Redis, str]) -> None:
    client, name = queue
    client.delete(f"bull:{name}:meta")
    async with watched("bullmq", uri=redis_server.url, queue=name, workers=0) as check:
        await check.finds(Status.UNHEALTHY, FailureKind.MISCONFIGURED)
        client.incr(f"bull:{name}:id")
        await check.finds(Status.HEALTHY)
        client.set(f"bull:{name}:meta-paused", "1")
        add(client, name, "1", age=400)
        client.rename(f"bull:{name}:wait", f"bull:{name}:paused")
        result = await check.finds(Status.DEGRADED, FailureKind.THRESHOLD)
        assert "the queue is paused, and 1 job" in result.message
        assert "a job has waited for 6m" in result.message


async def test_what_the_account_may_not_use_is_told(redis_server: redis.Redis, queue: tuple[Redis, str]) -> None:
    """The grants of the page are enough, and without CLIENT LIST the check can do without workers."""
    client, name = queue
    page = ["+ping", "+select", "+llen", "+lindex", "+zcard", "+zrange", "+zcount", "+exists", "+hget", "+hmget"]
    client.acl_setuser("queues", enabled=True, passwords=["+marked-s3cret"], keys=["bull:*"], commands=page, reset=True)
    uri = redis_server.url.replace("redis://", "redis://queues:marked-s3cret@")
    try:
        async with watched("bullmq", uri=uri, queue=name, workers=0) as check:
            await check.finds(Status.HEALTHY)
        async with watched("bullmq", uri=uri, queue=name) as check:
            await check.finds(Status.UNHEALTHY, FailureKind.PERMISSION)
    finally:
        client.acl_deluser("queues")
