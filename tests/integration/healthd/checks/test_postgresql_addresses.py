"""Addresses of PostgreSQL mean the same to a check as to psql, which reads them by libpq."""

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from healthd.checks.postgresql_connection import FAILURES, Connection
from healthd.runtime.clock import SystemClock
from healthd_deploy.core import program
from healthd_deploy.core.exit import StepFailed
from tests.servers.postgresql import PostgreSQL
from tests.servers.programs import require

QUERY = "SELECT current_database() || ' ' || current_user"


@pytest.mark.parametrize(
    ("pattern", "answers"),
    [
        ("postgresql://{user}:{password}@{host}:{port}/postgres", True),
        ("postgresql://{user}:{password}@{host}:{port}/postgres?host=%2Fnonexistent", False),
        ("postgresql://{user}:{password}@{host}:{port}/postgres?host=/cloudsql/project:region:name", False),
        ("postgresql://{user}:{password}@{host}:1/postgres?port={port}", True),
        ("postgresql://{user}:{password}@{host}:{port}/postgres?port=1", False),
        ("postgresql://{user}:{password}@{host}:{port}/postgres?dbname=nosuch", False),
        ("postgresql://{user}:{password}@{host}:{port}/nosuch?dbname=template1", True),
        ("postgresql://{user}:{password}@{host}:{port}/?dbname=template1", True),
        ("postgresql://{user}:{password}@{host}:{port}/postgres?user=nosuch", False),
        ("postgresql://nosuch:{password}@{host}:{port}/postgres?user={user}", True),
        ("postgresql://{user}:{password}@{host}:{port}/postgres?password=wrong", False),
        ("postgresql://{user}:wrong@{host}:{port}/postgres?password={password}", True),
        ("postgresql:///postgres?host={host}&port={port}&user={user}&password={password}", True),
        ("postgresql://?host={host}&port={port}&user={user}&password={password}&dbname=template1", True),
        ("postgresql://{user}:{password}@one.invalid:1/postgres?host={host}&port={port}", True),
        ("postgresql://{user}:{password}@{host}:{port}/postgres?host={host},{host}", True),
        ("postgresql://{user}:{password}@{host}:1/postgres?host=/nonexistent,{host}&port=1,{port}", True),
        ("postgresql://{user}:{password}@{host}:{port}/postgres?host=/nonexistent,{host}&port=1,1", False),
        ("postgresql://{user}:{password}@one.invalid:{port}/postgres?hostaddr={host}", True),
        ("postgresql://{user}:{password}@{host}:{port}/postgres?hostaddr=127.0.0.1&port=1", False),
        ("postgresql://{user}:{password}@a.invalid:1,b.invalid:{port}/postgres?hostaddr={host},{host}", True),
        ("postgresql://{user}:{password}@{host}:{port},{host}:{port}/postgres?host={host}", False),
        ("postgresql://{user}:{password}@{host}:{port}/postgres?host={host}:{port}", False),
        ("postgresql://{user}:{password}@{host}:{port}/postgres?port=1&port={port}", True),
    ],
)
async def test_what_stands_behind_the_question_mark_overrides(
    postgresql_server: PostgreSQL, tmp_path: Path, pattern: str, answers: bool
) -> None:
    """Host, port, name, user and password, as libpq reads them."""
    user, password = re.findall(r"//(\w+):([^@]+)@", postgresql_server.dsn)[0]
    uri = pattern.format(user=user, password=password, host=postgresql_server.host, port=postgresql_server.port)
    by_psql = await asked_by_psql(uri, tmp_path)
    assert (by_psql is not None) is answers
    assert await asked_by_check(uri) == by_psql


async def asked_by_psql(uri: str, home: Path) -> str | None:
    """Return the answer; None if there is none."""
    variables = {"PGCONNECT_TIMEOUT": "5", "HOME": str(home)}
    try:
        return (await program.run((str(require("psql")), "-XAtwc", QUERY, uri), within=20, env=variables)).strip()
    except StepFailed:
        return None


async def asked_by_check(uri: str) -> str | None:
    try:
        connection = Connection(SecretStr(uri), SystemClock(), patience=10.0)
        return str((await connection.ask(QUERY)).rows[0][0])
    except FAILURES:
        return None
