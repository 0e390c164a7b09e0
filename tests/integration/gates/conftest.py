"""The journal of these tests, on both databases, and one daemon for all tests of the API that one worker runs."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from healthd.journal import tables
from healthd.journal.database import Database
from healthd.runtime.clock import SystemClock
from healthd_gates import actions, sources
from healthd_gates.store import tables as gate_tables
from tests.servers.gating import SERVICES, Gating, gating

BRANCHES = (tables.BRANCH, gate_tables.BRANCH)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty journal."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/journal.db"
    dsn: str = request.getfixturevalue("postgresql_dsn")
    return dsn


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """An open one."""
    database = Database(url, SystemClock(), BRANCHES)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def _scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a source that follows a script, and an action to order."""
    monkeypatch.setitem(sources.KINDS, "scripted", "tests.fakes.gates:Scripted")
    monkeypatch.setitem(actions.KINDS, "note", "tests.fakes.gates:Note")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gating]:
    async with gating(tmp_path_factory.mktemp("gating"), SERVICES) as running:
        yield running
