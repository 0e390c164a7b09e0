"""Numbers in a real MariaDB, as far as MySQL is not PostgreSQL: parameters, limits of time, rights, TLS."""

from __future__ import annotations

import asyncio
import re
import warnings
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import aiomysql
import pytest

from healthd.model import FailureKind, Status
from healthd_gates.domain.evidence import Counts, Events, Values
from healthd_gates.sources.contract import Arm, Arms, Series, SourceUnavailable
from healthd_gates.sources.inspection import InspectableSource
from tests.integration.gates.sources.test_sql import COUNT, FAILED, OLDEST, PAYMENTS, desk
from tests.integration.healthd.checks.probing import watched
from tests.servers import mariadb
from tests.servers.mariadb import MariaDB
from tests.servers.ports import HOST, free_port
from tests.servers.tls import Authority

CONFIG: dict[str, Any] = {"requests": COUNT, "errors": f"{COUNT} AND state = 'failed'"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[MariaDB]:
    with mariadb.running(authority.good()) as running:
        yield running


class Table:
    """The table of payments, for the test's own hand."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def pay(self, version: str, good: int, bad: int) -> None:
        rows = [(version, state) for state in ["paid"] * good + ["failed"] * bad]
        await self.run("INSERT INTO gate_payments VALUES (%s, %s, '00:01:30')", rows)

    async def run(self, sql: str, rows: Sequence[tuple[str, ...]] | None = None) -> list[tuple[Any, ...]]:
        async with self._connection.cursor() as cursor:
            await (cursor.execute(sql) if rows is None else cursor.executemany(sql, rows))
            return list(await cursor.fetchall() or ())


@pytest.fixture
async def table(server: MariaDB) -> AsyncIterator[Table]:
    connection = await aiomysql.connect(
        host=HOST, port=server.port, user="owner", password="own-own-own", db="shop", autocommit=True
    )
    table = Table(connection)
    await table.run("DELETE FROM gate_payments")
    yield table
    connection.close()


async def test_counts_are_those_of_the_table(server: MariaDB, table: Table) -> None:
    """What was there before the gate does not count, and each version has its own."""
    await table.pay("2", 40, 3)
    gate = desk(server.uri(), PAYMENTS, FAILED, OLDEST, **CONFIG)
    await gate.look()
    await table.pay("2", 5, 2)
    await table.pay("1", 11, 1)
    evidence = await gate.seen()
    await gate.source.close()
    assert (evidence.candidate, evidence.baseline) == (Counts(7, 2), Counts(12, 1))
    assert evidence.streams["payments"].candidate == Counts(7, 2)
    assert evidence.streams["failed"].baseline == Events(1, None, 1)
    assert evidence.streams["oldest"].candidate == Values((90.0,))


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("SELECT oops", "the query fails: Unknown column 'oops'"),
        ("SELECT 1; SELECT 2", "the query fails: You have an error in your SQL syntax"),
        ("SELECT secret FROM secrets", "the query fails: SELECT command denied"),
        ("SELECT 1 FROM gate_payments WHERE false", "found no row"),
        ("SELECT NULL", "found NULL"),
        ("SELECT 'hush'", "found a value of type str, no number"),
    ],
)
async def test_a_query_that_finds_nothing_is_no_telemetry_of_its_criterion_alone(
    server: MariaDB, table: Table, query: str, says: str
) -> None:
    gate = desk(server.uri(), PAYMENTS, Series("odd", "values", {"value": query}))
    await gate.look()
    await table.pay("2", 4, 1)
    look = await gate.look()
    assert isinstance(gate.source, InspectableSource)
    found = await gate.source.inspect()
    await gate.source.close()
    assert look.evidence is not None
    assert look.evidence.streams["odd"].candidate is None
    assert look.evidence.streams["payments"].candidate == Counts(5, 1)
    assert all(re.search(says, text) for text in found.refused)
    assert len(found.refused) == 2
    assert "hush" not in str((look.notes, found))


@pytest.mark.parametrize(
    ("expression", "number"),
    [
        ("sum(n)", 7.0),  # a decimal, as every sum
        ("avg(d)", 1.875),
        ("max(u)", 2.0**64),
        ("max(tiny)", 1.0),
        ("sum(bits)", 1.0),
        ("max(y)", 2026.0),
        ("timediff('12:00:10', '11:58:40')", 90.0),
        ("count(*) = 2", 1.0),
    ],
)
async def test_whatever_is_a_number_counts(server: MariaDB, table: Table, expression: str, number: float) -> None:
    columns = "n int, d decimal(9, 6), u bigint unsigned, tiny boolean, bits bit, y year"
    await table.run(f"CREATE OR REPLACE TABLE gate_kinds ({columns})")
    rows = "(3, 1.5, 18446744073709551615, true, b'1', 2026), (4, 2.25, 1, false, b'0', 2025)"
    await table.run(f"INSERT INTO gate_kinds VALUES {rows}")
    gate = desk(server.owner, Series("n", "values", {"value": f"SELECT {expression} FROM gate_kinds"}))
    assert isinstance(gate.source, InspectableSource)
    assert (await gate.source.inspect()).arms["candidate"].numbers == {"n.value": number}
    await gate.source.close()


async def test_a_warning_of_the_server_is_not_written_out(server: MariaDB, table: Table) -> None:
    """It quotes what is in rows."""
    await table.pay("hush-row", 1, 0)
    gate = desk(server.uri(), Series("n", "values", {"value": "SELECT 1 + max(version) FROM gate_payments"}))
    assert isinstance(gate.source, InspectableSource)
    with warnings.catch_warnings(record=True) as written:
        warnings.simplefilter("always")
        assert (await gate.source.inspect()).arms["candidate"].numbers == {"n.value": 1.0}
    await gate.source.close()
    assert [str(each.message) for each in written if "hush-row" in str(each.message)] == []


async def test_a_query_writes_nothing_and_fetches_one_row(server: MariaDB, table: Table) -> None:
    """A role that may write does not, and a table of any size costs one row."""
    await table.run(
        "CREATE OR REPLACE FUNCTION pay() RETURNS int MODIFIES SQL DATA BEGIN INSERT INTO gate_payments"
        " VALUES ('2', 'paid', NULL); RETURN 1; END"
    )
    gate = desk(server.owner, Series("writes", "values", {"value": "SELECT pay()"}))
    assert isinstance(gate.source, InspectableSource)
    found = await gate.source.inspect()
    await gate.source.close()
    assert all("READ ONLY transaction" in text for text in found.refused)
    assert found.refused
    assert await table.run("SELECT count(*) FROM gate_payments") == [(0,)]
    many = "SELECT seq FROM seq_3_to_2000000000"
    async with watched("sql", uri=server.owner, query=many, degraded={"above": 10}) as check:
        result = await check.look()
    assert (result.status, result.message) == (Status.HEALTHY, "3")


async def test_the_server_ends_a_query_that_takes_too_long(server: MariaDB, table: Table) -> None:
    """It does not run on after the look is over, and the next look has an answer."""
    slow = "SELECT sum(sleep(0.1)) /* slow-one */ FROM seq_1_to_1000"
    gate = desk(server.owner, Series("slow", "values", {"value": slow}), timeout="1s")
    with pytest.raises(SourceUnavailable) as late:
        await gate.look()
    await gate.source.close()
    assert late.value.kind is FailureKind.TIMEOUT
    running = "SELECT count(*) FROM information_schema.processlist WHERE info LIKE concat('%slow-', 'one%')"
    for _ in range(300):
        if await table.run(running) == [(0,)]:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the query still runs")


async def test_a_connection_that_died_since_is_opened_again(server: MariaDB, table: Table) -> None:
    gate = desk(server.uri(), PAYMENTS)
    await gate.look()
    await table.pay("2", 4, 1)
    for (number,) in await table.run("SELECT id FROM information_schema.processlist WHERE user = 'healthd'"):
        await table.run(f"KILL {number}")
    evidence = await gate.seen()
    await gate.source.close()
    assert evidence.streams["payments"].candidate == Counts(5, 1)


async def test_a_value_of_a_request_never_becomes_a_part_of_the_query(server: MariaDB, table: Table) -> None:
    """It is a text, whatever else the query holds: per cent signs, and the same parameter twice."""
    await table.pay("2", 3, 0)
    arms = Arms("shop", Arm("2", {"region": "eu"}))
    query = f"{COUNT} AND state LIKE 'pa%d' AND $region = 'eu' AND $version = '2'"
    gate = desk(server.uri(), Series("n", "values", {"value": query}), arms=arms)
    assert isinstance(gate.source, InspectableSource)
    assert (await gate.source.inspect()).arms["candidate"].numbers == {"n.value": 3}
    await gate.source.close()


@pytest.mark.parametrize(
    ("login", "query", "kind", "says"),
    [
        ("healthd:wrong-wrong", "", FailureKind.AUTH, "Access denied for user 'healthd'"),
        ("healthd:hush-hush", "?ssl-mode=VERIFY_IDENTITY", FailureKind.TLS, "CERTIFICATE_VERIFY_FAILED"),
    ],
)
async def test_who_may_not_ask_is_told_without_the_password(
    server: MariaDB, login: str, query: str, kind: FailureKind, says: str
) -> None:
    gate = desk(server.uri(login, query), PAYMENTS)
    with pytest.raises(SourceUnavailable, match=says) as refused:
        await gate.look()
    await gate.source.close()
    assert refused.value.kind is kind
    assert login.partition(":")[2] not in str(refused.value)


async def test_a_connection_is_encrypted_as_the_address_says(
    server: MariaDB, authority: Authority, table: Table
) -> None:
    """Without a word where it can be, verified where that is asked for, and never without where it must be."""
    status = "SELECT length(variable_value) > 0 FROM information_schema.session_status"
    cipher = Series("tls", "values", {"value": f"{status} WHERE variable_name = 'Ssl_cipher'"})
    verified = f"?ssl-mode=VERIFY_IDENTITY&ssl-ca={authority.trust}"
    for query, expected in (("", 1.0), (verified, 1.0), ("?ssl-mode=REQUIRED", 1.0), ("?ssl-mode=DISABLED", 0.0)):
        gate = desk(server.uri(query=query), cipher)
        assert isinstance(gate.source, InspectableSource)
        assert (await gate.source.inspect()).arms["candidate"].numbers == {"tls.value": expected}, query
        await gate.source.close()
    with mariadb.running() as plain:
        gate = desk(plain.uri(query="?ssl-mode=REQUIRED"), PAYMENTS)
        with pytest.raises(SourceUnavailable, match="the server does not offer TLS, which the URI demands") as refused:
            await gate.look()
        await gate.source.close()
    assert refused.value.kind is FailureKind.TLS


async def test_an_outage_and_another_program_are_no_telemetry() -> None:
    gate = desk("mysql://healthd:hush-hush@127.0.0.1:1/shop", PAYMENTS)
    with pytest.raises(SourceUnavailable, match=r"MySQL: nobody listens on 127\.0\.0\.1:1$") as down:
        await gate.look()
    await gate.source.close()
    assert down.value.kind is FailureKind.CONNECT

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"+OK POP3 ready\r\n")
        await writer.drain()
        writer.close()

    other = await asyncio.start_server(speak, HOST, free_port())
    port = other.sockets[0].getsockname()[1]
    gate = desk(f"mysql://healthd:hush-hush@{HOST}:{port}/shop", PAYMENTS)
    with pytest.raises(SourceUnavailable, match="MySQL: ") as strange:
        await gate.look()
    await gate.source.close()
    other.close()
    assert strange.value.kind in (FailureKind.UNEXPECTED_RESPONSE, FailureKind.CONNECT)
    assert "hush" not in str(strange.value)
