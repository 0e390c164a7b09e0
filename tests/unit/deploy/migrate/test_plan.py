"""What is to be done, and what speaks against it."""

from dataclasses import replace
from pathlib import Path

import pytest

from healthd_deploy.migrate.history import Progress, Row, Status
from healthd_deploy.migrate.migration import Migration
from healthd_deploy.migrate.plan import Way, plan

CHECKSUM = "a" * 64


def migration(name: str) -> Migration:
    return Migration(name, Path(f"{name}.sql"), CHECKSUM, (), (), None)


ONE = migration("0001_one")
HALF = Progress(CHECKSUM, step=1)


def row(status: str, **more: object) -> Row:
    return replace(Row("0001_one", status, CHECKSUM), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("there", "way"),
    [
        (None, Way.APPLY),
        (row("failed"), Way.APPLY),
        (row("rolled_back"), Way.APPLY),
        (row("running", progress=HALF), Way.RESUME),
        (row("stopped", progress=HALF), Way.RESUME),
        (row("failed", progress=HALF), Way.RESUME),
        (row("running", progress=replace(HALF, begun=True), rollback_script="x"), Way.REDO),
        (row("running", progress=replace(HALF, undoing=Status.FAILED), rollback_script="x"), Way.REDO),
    ],
)
def test_what_is_to_be_done(there: Row | None, way: Way) -> None:
    """Applied anew, resumed, or undone first: by how far it came."""
    found = plan([ONE], [there] if there else [])
    assert not found.problems
    assert [todo.way for todo in found.todo] == [way]


@pytest.mark.parametrize(
    ("there", "said", "dirty"),
    [
        (row("completed", checksum="b" * 64), "was changed after it was applied", False),
        (row("dirty"), "could not be undone", True),
        (row("running"), "not how far it came", True),
        (row("some word"), "not how far it came", True),
        (row("running", progress=replace(HALF, begun=True)), "it has no `down`", True),
        (row("stopped", progress=replace(HALF, checksum="b" * 64)), "while it is half done", True),
    ],
)
def test_what_speaks_against_it(there: Row, said: str, dirty: bool) -> None:
    """Each is said with what to do, and nothing is planned for it."""
    found = plan([ONE], [there])
    assert not found.todo
    assert said in found.problems[0]
    assert found.dirty is dirty


@pytest.mark.parametrize("name", ["0001_one", "0001_one.sql"])
@pytest.mark.parametrize("status", ["completed", "SUCCESS", "applied"])
@pytest.mark.parametrize("checksum", [None, "", CHECKSUM, f"sha256:{CHECKSUM.upper()}"])
def test_what_is_applied(name: str, status: str, checksum: str | None) -> None:
    """In every word, name and form of checksum that the check takes for it."""
    found = plan([ONE], [Row(name, status, checksum)])
    assert not found.todo
    assert not found.problems


def test_a_number_below_one_that_is_applied() -> None:
    """Refused, unless asked for; a new one that fails is tried again all the same."""
    newer = Row("0002_two", "completed", CHECKSUM)
    assert "--out-of-order" in plan([ONE], [newer]).problems[0]
    assert not plan([ONE], [newer], out_of_order=True).problems
    assert not plan([ONE], [newer, row("failed")]).problems
