"""These tests run in virtual time, on a SQLite file of their own."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from healthd_gates import actions, sources
from healthd_gates.sources.inspection import Inspection
from tests.fakes import gates
from tests.fakes.gates import Note, Script, Scripted, healthy
from tests.fakes.past import Remembering, busy
from tests.fakes.virtual_time import VirtualLoop


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, type[VirtualLoop]]:
    return {"virtual": VirtualLoop}


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """Where the journal is: in memory where that can be had, for thousands of commits each wait for a disk."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(prefix="healthd-", dir=memory if os.access(memory, os.W_OK) else tmp_path) as folder:
        yield Path(folder) / "journal.db"


@pytest.fixture(autouse=True)
def _scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a source that follows a script, which begins with a healthy candidate, and an action to order."""
    # Classes of this test alone: isinstance of a protocol remembers what a class had while another test added to it.
    for base in (Scripted, Note):
        monkeypatch.setattr(gates, f"Own{base.__name__}", type(base.__name__, (base,), {}), raising=False)
    monkeypatch.setitem(sources.KINDS, "scripted", "tests.fakes.gates:OwnScripted")
    monkeypatch.setitem(sources.KINDS, "remembering", "tests.fakes.past:Remembering")
    monkeypatch.setitem(actions.KINDS, "note", "tests.fakes.gates:OwnNote")
    monkeypatch.setattr(Script, "act", staticmethod(healthy))
    monkeypatch.setattr(Script, "asked", 0)
    monkeypatch.setattr(Note, "act", Note.act)
    monkeypatch.setattr(Note, "tried", [])
    monkeypatch.setattr(Remembering, "past", staticmethod(busy))
    monkeypatch.setattr(Remembering, "state", lambda: Inspection({}))
    monkeypatch.setattr(Remembering, "asked_past", [])
    monkeypatch.setattr(Remembering, "closed", 0)
