"""The sql check, against a real server."""

import pytest

from healthd.model import FailureKind, Status
from tests.integration.healthd.checks.probing import watched
from tests.servers import postgresql

_BAND = {"degraded": {"above": 10}, "timeout": "30s", "interval": "30s"}


@pytest.mark.parametrize(
    ("query", "status", "kind"),
    [
        ("SELECT 3", Status.HEALTHY, None),
        ("SELECT count(*) FROM generate_series(1, 11);", Status.DEGRADED, FailureKind.THRESHOLD),
        ("SELECT interval '11 seconds'", Status.DEGRADED, FailureKind.THRESHOLD),
        ("SELECT generate_series(3, 2000000000)", Status.HEALTHY, None),
        ("SELECT 3 WHERE false", Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE),
        ("SELECT oops", Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE),
        ("SELECT 3; SELECT 4", Status.UNHEALTHY, FailureKind.UNEXPECTED_RESPONSE),
        ("CREATE TABLE written (n integer)", Status.UNHEALTHY, FailureKind.READ_ONLY),
        ("SELECT 1 FROM pg_authid", Status.UNHEALTHY, FailureKind.PERMISSION),
    ],
)
async def test_truth_table(postgresql_dsn: str, query: str, status: Status, kind: FailureKind | None) -> None:
    """Each answer of the server, twice: a failure leaves nothing behind that the next probe meets."""
    async with watched("sql", uri=postgresql_dsn, query=query, **_BAND) as check:
        for _ in range(2):
            result = await check.look()
            assert (result.status, result.kind) == (status, kind), result.message


async def test_the_server_ends_a_query_that_takes_too_long(
    postgresql_server: postgresql.PostgreSQL, postgresql_dsn: str
) -> None:
    """It does not run on after the probe is over."""
    query = "SELECT count(pg_sleep(0.1)) /* slow-one */ FROM generate_series(1, 1000)"
    async with watched(
        "sql", uri=postgresql_dsn, query=query, degraded={"above": 10}, timeout="1s", interval="1s"
    ) as check:
        result = await check.look()
        assert (result.status, result.kind) == (Status.UNHEALTHY, FailureKind.TIMEOUT)
    running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%slow-' || 'one%'"
    for _ in range(300):
        if await postgresql_server.execute(running) == 0:
            return
        await postgresql_server.execute("SELECT pg_sleep(0.1)")
    raise AssertionError("the query still runs")
