"""How the redis check judges what a server says of itself."""

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError
from redis import exceptions as errors

from healthd.checks.redis_connection import failure
from healthd.checks.redis_options import RedisConfig
from healthd.checks.redis_state import Standing, judge
from healthd.model import FailureKind, Result, Status

PRIMARY = {
    "redis_version": "7.2.0", "redis_mode": "standalone", "role": "master", "loading": "0", "connected_clients": "5",
    "maxclients": "100", "used_memory": "50", "mem_not_counted_for_evict": "0", "maxmemory": "100",
    "maxmemory_policy": "noeviction", "rdb_last_bgsave_status": "ok", "aof_last_write_status": "ok",
}  # fmt: skip
REPLICA = {**PRIMARY, "role": "slave", "master_link_status": "up", "master_last_io_seconds_ago": "9"}
CLUSTER = {"cluster_state": "ok", "cluster_slots_assigned": "16384", "cluster_slots_ok": "16384"}


def judged(
    info: dict[str, str],
    cluster: dict[str, str] | None = None,
    refusal: errors.ResponseError | None = None,
    **options: Any,
) -> Result:
    config = RedisConfig(uri=SecretStr("redis://host"), **options)
    return judge(Standing(info, cluster or {}, refusal), config, latency=0.001)


def outcome(result: Result) -> tuple[Status, FailureKind | None]:
    return result.status, result.kind


def test_memory_counts_only_where_nothing_is_evicted() -> None:
    """A full cache that evicts is doing its work; a full store that may not is about to refuse writes."""
    full = {**PRIMARY, "used_memory": "99"}
    assert outcome(judged(full)) == (Status.UNHEALTHY, FailureKind.EXHAUSTED)
    assert outcome(judged({**full, "used_memory": "85"})) == (Status.DEGRADED, FailureKind.EXHAUSTED)
    assert outcome(judged({**full, "maxmemory_policy": "allkeys-lru"})) == (Status.HEALTHY, None)
    assert outcome(judged({**full, "maxmemory": "0"})) == (Status.HEALTHY, None)
    assert outcome(judged({**full, "mem_not_counted_for_evict": "30"})) == (Status.HEALTHY, None)


def test_a_sentinel_is_told_as_one() -> None:
    """It answers PING and INFO, and has no role."""
    sentinel = {"redis_version": "7.2.0", "redis_mode": "sentinel", "sentinel_masters": "1"}
    result = judged(sentinel, require="any")
    assert outcome(result) == (Status.UNHEALTHY, FailureKind.MISCONFIGURED)
    assert "a Sentinel" in result.message


def test_idle_primary_does_not_make_a_lagging_replica() -> None:
    """An idle primary is heard of every ten seconds: silence within that is no lag, however strict the limit."""
    assert outcome(judged(REPLICA, require="replica", max_lag="1s")) == (Status.HEALTHY, None)
    silent = {**REPLICA, "master_last_io_seconds_ago": "31"}
    assert outcome(judged(silent, require="replica")) == (Status.UNHEALTHY, FailureKind.LAGGING)


def test_lost_primary_is_first_a_warning() -> None:
    """The data are old only after a while; a replica that never was in step has none."""
    lost = {**REPLICA, "master_link_status": "down", "master_link_down_since_seconds": "3"}
    assert outcome(judged(lost, require="any")) == (Status.DEGRADED, FailureKind.LAGGING)
    later = {**lost, "master_link_down_since_seconds": "31"}
    assert outcome(judged(later, require="any")) == (Status.UNHEALTHY, FailureKind.LAGGING)
    never = {**lost, "master_link_down_since_seconds": "-1"}
    assert outcome(judged(never, require="any")) == (Status.UNHEALTHY, FailureKind.LAGGING)
    assert judged(never, require="any").observed["lagSeconds"] is None


def test_cluster_speaks_for_all_its_nodes() -> None:
    """A node that happens to be a replica is fine; slots without a primary are not."""
    assert outcome(judged(REPLICA, CLUSTER)) == (Status.HEALTHY, None)
    partial = {**CLUSTER, "cluster_slots_ok": "16000"}
    assert outcome(judged(PRIMARY, partial)) == (Status.DEGRADED, FailureKind.NOT_PRIMARY)
    down = judged(PRIMARY, {**partial, "cluster_state": "fail"})
    assert outcome(down) == (Status.UNHEALTHY, FailureKind.NOT_PRIMARY)
    assert down.message == "the cluster is down: 384 of 16384 hash slots have no primary"
    assert "majority" in judged(PRIMARY, {**CLUSTER, "cluster_state": "fail"}).message


def test_refused_ping() -> None:
    """A server that cannot save to its disk refuses PING like a write."""
    refused = errors.ResponseError("MISCONF Redis is configured to save RDB snapshots, but it's currently unable to")
    assert outcome(judged(PRIMARY, refusal=refused)) == (Status.UNHEALTHY, FailureKind.READ_ONLY)


def test_info_without_a_role() -> None:
    """A proxy that answers INFO with something of its own is not known to be Redis."""
    assert outcome(judged({"version": "1"})) == (Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.AuthenticationError("invalid username-password pair"), FailureKind.AUTH),
        (errors.NoPermissionError("x"), FailureKind.PERMISSION),
        (errors.ConnectionError("max number of clients reached"), FailureKind.EXHAUSTED),
        (errors.ConnectionError("Connection closed by server."), FailureKind.CONNECT),
        (errors.TimeoutError("x"), FailureKind.TIMEOUT),
        (errors.OutOfMemoryError("x"), FailureKind.EXHAUSTED),
        (errors.ReadOnlyError("x"), FailureKind.READ_ONLY),
        (errors.ResponseError("NOREPLICAS Not enough good replicas to write."), FailureKind.READ_ONLY),
        (errors.ClusterDownError("The cluster is down"), FailureKind.NOT_PRIMARY),
        (errors.BusyLoadingError("x"), FailureKind.NOT_PRIMARY),
        (errors.InvalidResponse("x"), FailureKind.UNEXPECTED_RESPONSE),
        (errors.ResponseError("SELECT is not allowed in cluster mode"), FailureKind.MISCONFIGURED),
        (errors.ResponseError("unknown command"), FailureKind.UNEXPECTED_RESPONSE),
    ],
)
def test_errors_have_kinds(error: Exception, kind: FailureKind) -> None:
    """Each error of the driver, and what it means."""
    assert outcome(failure(error)) == (Status.UNHEALTHY, kind)


@pytest.mark.parametrize("uri", ["http://h", "redis://:marked@h/0?tls=marked", "redis://:marked@h/0?db=marked"])
def test_unusable_uris_are_refused_without_a_word_of_them(uri: str) -> None:
    """Values that the driver would stumble over at every probe are found when the file is read."""
    with pytest.raises(ValidationError) as refused:
        RedisConfig(uri=SecretStr(uri))
    assert "marked" not in str(refused.value)


def test_an_active_replica_of_keydb_is_a_primary() -> None:
    """It takes writes."""
    assert Standing({**PRIMARY, "role": "active-replica"}, {}).is_primary


def test_protected_mode_is_a_permission() -> None:
    """Its explanation is what helps."""
    told = "DENIED Redis is running in protected mode because protected mode is enabled and no password is set"
    result = failure(errors.ResponseError(told))
    assert (result.kind, result.message) == (FailureKind.PERMISSION, told)
