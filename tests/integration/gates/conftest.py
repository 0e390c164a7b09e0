"""The journal of these tests, on both databases, and one daemon for all tests of the API that one worker runs."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from healthd.journal import tables
from healthd.journal.database import Database
from healthd.runtime.clock import SystemClock
from healthd_gates import actions, sources
from healthd_gates.store import tables as gate_tables
from tests.fakes.gates import Script, healthy, journal_with_tables
from tests.servers.gating import SERVICES, Gating, gating
from tests.servers.postgresql import PostgreSQL

BRANCHES = (tables.BRANCH, gate_tables.BRANCH)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty journal."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/journal.db"
    dsn: str = request.getfixturevalue("postgresql_dsn")
    return dsn


@pytest.fixture(params=["sqlite", "postgresql"])
async def url_with_tables(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """A journal with tables and nothing in them: to run all migrations for each test costs more than most tests."""
    if request.param == "sqlite":
        (tmp_path / "journal.db").write_bytes(await journal_with_tables())
        yield f"sqlite:///{tmp_path}/journal.db"
        return
    server: PostgreSQL = request.getfixturevalue("postgresql_server")
    async with server.database(await _template(server)) as dsn:
        (own,) = re.findall(r"//(\w+):", dsn)
        await server.execute(f"REASSIGN OWNED BY {_TEMPLATE} TO {own}", database=own)
        yield dsn


_TEMPLATE = "journal_with_tables"
"""A database, and the role that owns its tables; not the database, which would change hands with them."""
_templates: set[int] = set()


async def _template(server: PostgreSQL) -> str:
    if server.port not in _templates:
        await server.execute(f"CREATE ROLE {_TEMPLATE} LOGIN PASSWORD '{_TEMPLATE}'")
        await server.execute(f"CREATE DATABASE {_TEMPLATE}")
        await server.execute(f"GRANT ALL ON SCHEMA public TO {_TEMPLATE}", database=_TEMPLATE)
        database = Database(server.dsn_for(_TEMPLATE, _TEMPLATE, _TEMPLATE), SystemClock(), BRANCHES)
        await database.open()
        await database.close()
        _templates.add(server.port)
    return _TEMPLATE


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """An open one."""
    database = Database(url, SystemClock(), BRANCHES)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def _scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a source that follows a script, which begins with a healthy candidate, and an action to order."""
    monkeypatch.setitem(sources.KINDS, "scripted", "tests.fakes.gates:Scripted")
    monkeypatch.setitem(actions.KINDS, "note", "tests.fakes.gates:Note")
    monkeypatch.setattr(Script, "act", staticmethod(healthy))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gating]:
    async with gating(tmp_path_factory.mktemp("gating"), SERVICES) as running:
        yield running
