"""Numbers in a real PostgreSQL: exact, read only, ended in time, and nothing made of what is not there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from healthd.model import FailureKind
from healthd.runtime.redaction import Redactor, secrets_of
from healthd_gates.domain.evidence import Counts, Events, Values
from healthd_gates.sources import build_source
from healthd_gates.sources.contract import Arm, ArmError, Arms, Series, SourceContext, SourceUnavailable
from healthd_gates.sources.inspection import InspectableSource
from healthd_gates.sources.sql_config import SqlSourceConfig, parametrized
from tests.fakes.sources import Desk, WallClock

ARMS = Arms("shop", Arm("2"), Arm("1"))
COUNT = "SELECT count(*) FROM gate_payments WHERE version = $version"
PAYMENTS = Series("payments", "counts", {"of": COUNT, "bad": f"{COUNT} AND state = 'failed'"})
FAILED = Series("failed", "events", {"events": f"{COUNT} AND state = 'failed'"})
OLDEST = Series("oldest", "values", {"value": "SELECT max(age) FROM gate_payments WHERE version = $version"})


def desk(dsn: str, *series: Series, arms: Arms = ARMS, **more: Any) -> Desk:
    model = SqlSourceConfig.model_validate({"kind": "sql", "uri": dsn, "timeout": "30s", **more})
    model.check(arms)
    for each in series:
        model.check_series(each)
        model.check_series_of(each, arms)
    clock = WallClock()
    return Desk(build_source(model, arms, SourceContext(clock, Redactor(secrets_of(model)), series=series)), clock)


@pytest.fixture
async def table(postgresql_dsn: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(postgresql_dsn)
    await connection.execute("DROP TABLE IF EXISTS gate_payments")
    await connection.execute("CREATE TABLE gate_payments (version text, state text, age interval)")
    yield connection
    await connection.execute("DROP TABLE gate_payments")
    await connection.close()


async def pay(table: asyncpg.Connection[asyncpg.Record], version: str, good: int, bad: int) -> None:
    states = ["paid"] * good + ["failed"] * bad
    await table.executemany(
        "INSERT INTO gate_payments VALUES ($1, $2, '90 seconds')", [(version, state) for state in states]
    )


async def test_counts_are_those_of_the_table(postgresql_dsn: str, table: asyncpg.Connection[asyncpg.Record]) -> None:
    """What was there before the gate does not count, and each version has its own."""
    await pay(table, "2", 40, 3)
    await pay(table, "1", 10, 0)
    config: dict[str, Any] = {"requests": COUNT, "errors": f"{COUNT} AND state = 'failed'"}
    gate = desk(postgresql_dsn, PAYMENTS, FAILED, OLDEST, **config)
    await gate.look()
    await pay(table, "2", 5, 2)
    await pay(table, "1", 11, 1)
    evidence = await gate.seen()
    await gate.source.close()
    assert (evidence.candidate, evidence.baseline) == (Counts(7, 2), Counts(12, 1))
    assert evidence.streams["payments"].candidate == Counts(7, 2)
    assert evidence.streams["failed"].baseline == Events(1, None, 1)
    assert evidence.streams["oldest"].candidate == Values((90.0,))
    await pay(table, "2", 1, 0)
    again = desk(postgresql_dsn, PAYMENTS, **config)
    again.cursor = gate.cursor  # another process, after a kill
    assert (await again.seen()).streams["payments"].candidate == Counts(1, 0)
    await again.source.close()


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("SELECT oops", "the query fails: .*oops"),
        ("SELECT 1; SELECT 2", "the query fails: "),
        ("SELECT 1 AS n INTO written", "the query fails: .*read-only"),
        ("SELECT 1 FROM pg_authid", "the query fails: permission denied"),
        ("SELECT 1 / 0", "the query fails: division by zero"),
        ("SELECT 1 WHERE false", "found no row"),
        ("SELECT NULL", "found NULL"),
        ("SELECT 'hush'::text", "found a value of type str, no number"),
    ],
)
async def test_a_query_that_finds_nothing_is_no_telemetry_of_its_criterion_alone(
    postgresql_dsn: str, query: str, says: str, table: asyncpg.Connection[asyncpg.Record]
) -> None:
    """Never zero; and the others are judged."""
    gate = desk(postgresql_dsn, PAYMENTS, Series("odd", "values", {"value": query}))
    await gate.look()
    await pay(table, "2", 4, 1)
    look = await gate.look()
    assert isinstance(gate.source, InspectableSource)
    found = await gate.source.inspect()
    await gate.source.close()
    assert look.evidence is not None
    assert look.evidence.streams["odd"].candidate is None
    assert look.evidence.streams["payments"].candidate == Counts(5, 1)
    assert {text.partition(":")[0] for text in found.refused} == {"candidate", "baseline"}
    assert all(re.search(says, text) for text in found.refused)
    assert "hush" not in str((look.notes, found))


async def test_the_server_ends_a_query_and_an_outage_shows_no_password(postgresql_dsn: str) -> None:
    """Both are no telemetry."""
    slow = Series("slow", "values", {"value": "SELECT 1 FROM pg_sleep(60)"})
    gate = desk(postgresql_dsn, slow, timeout="1s")
    with pytest.raises(SourceUnavailable) as late:
        await gate.look()
    await gate.source.close()
    assert late.value.kind is FailureKind.TIMEOUT
    gate = desk("postgresql://healthd:hush-hush@127.0.0.1:1/shop", PAYMENTS)
    with pytest.raises(SourceUnavailable) as down:
        await gate.look()
    await gate.source.close()
    assert down.value.kind is FailureKind.CONNECT
    assert "hush" not in str(down.value)


async def test_a_value_of_a_request_never_becomes_a_part_of_the_query(
    postgresql_dsn: str, table: asyncpg.Connection[asyncpg.Record]
) -> None:
    """It is a parameter, whatever it holds."""
    await pay(table, "2", 3, 0)
    arms = Arms("shop", Arm("2", {"region": "eu"}))
    query = f"{COUNT} AND $region = 'eu' AND $version = '2'"
    assert parametrized(query, "candidate", arms.candidate)[1] == ("2", "eu")
    gate = desk(postgresql_dsn, Series("n", "values", {"value": query}), arms=arms)
    assert isinstance(gate.source, InspectableSource)
    assert (await gate.source.inspect()).arms["candidate"].numbers == {"n.value": 3}
    await gate.source.close()
    with pytest.raises(ArmError, match=r"candidate\.version"):
        parametrized(query, "candidate", Arm("2' OR true --"))
    with pytest.raises(ArmError, match=r"candidate\.labels\.region: is needed"):
        desk(postgresql_dsn, Series("n", "values", {"value": query}), arms=Arms("shop", Arm("2")))


def test_no_driver_is_loaded_before_it_is_used() -> None:
    """A daemon without PostgreSQL or MySQL does not pay for it."""
    script = "import sys, healthd_gates.sources; assert not {'asyncpg', 'aiomysql'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
