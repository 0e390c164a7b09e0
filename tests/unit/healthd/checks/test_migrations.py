"""How the migrations check compares a history with what a release expects."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from healthd.checks.migrations import judge
from healthd.checks.migrations_expected import Directory, Expected, UnreadableError
from healthd.checks.migrations_history import Findings, Migration, compare
from healthd.checks.migrations_options import MigrationsConfig
from healthd.model import FailureKind, Status

SUM, OTHER_SUM = "a" * 64, "b" * 64


def found(history: list[Migration], *expected: Expected) -> Findings:
    return compare(history, expected, done=["completed"], failed=["failed"], undone=["rolled_back"])


def test_history_of_the_release() -> None:
    """All that is expected is applied; what else was applied belongs to earlier releases."""
    history = [Migration("001_users.sql", "completed", SUM), Migration("000_old", "COMPLETED", None)]
    findings = found(history, Expected(name="001_users.sql", checksum=SUM))
    assert judge(findings).status is Status.HEALTHY
    assert judge(findings).observed["applied"] == 2


def test_files_are_known_by_their_bare_names_too() -> None:
    """Tools store a migration's name with or without the ending of its file."""
    for name in ("001_users.up.sql", "001_users.up", "001_users"):
        assert not found([Migration(name, "completed", None)], Expected(name="001_users.up.sql")).pending


def test_pending_changed_and_failed() -> None:
    """Each is named, and the worst decides."""
    history = [Migration("001", "completed", OTHER_SUM), Migration("002", "failed", None)]
    findings = found(history, Expected(name="001", checksum=SUM), Expected(name="002"), Expected(name="003"))
    assert (findings.changed, findings.failed, findings.pending) == (["001"], ["002"], ["003"])
    result = judge(findings)
    assert (result.kind, result.message) == (FailureKind.UNEXPECTED_RESPONSE, "failed: 002")
    assert judge(Findings(changed=["001"], pending=["003"])).message == "changed after it was applied: 001"
    assert judge(Findings(pending=["003"])).kind is FailureKind.LAGGING


def test_migration_that_is_still_running() -> None:
    """Expected, it is pending; else it is a warning, so that one that hangs does not stay unseen."""
    running = Migration("001", "running", None)
    assert found([running], Expected(name="001")).pending == ["001"]
    findings = found([running])
    assert findings.unfinished == ["001"]
    assert judge(findings).status is Status.DEGRADED


def test_migration_that_was_undone_on_purpose() -> None:
    """As if it had never been applied: pending where it is expected, else of no concern."""
    undone = Migration("001", "Rolled_Back", SUM)
    assert found([undone], Expected(name="001")).pending == ["001"]
    assert judge(found([undone])).status is Status.HEALTHY


def test_checksums_in_other_spellings() -> None:
    """Upper case and a prefix are the same sum; a row without one proves nothing."""
    wanted = Expected(name="001", checksum=f"SHA256:{SUM.upper()}")
    for stored in (SUM, f"sha256:{SUM}", SUM.upper(), None, ""):
        assert not found([Migration("001", "completed", stored)], wanted).changed


def test_long_lists_are_cut_in_the_message() -> None:
    """An alert is read on a telephone; the answer carries every name."""
    result = judge(Findings(pending=[f"{number:03}" for number in range(9)]))
    assert result.message == "not applied: 000, 001, 002, 003, 004 and 4 more"
    assert len(result.observed["pending"]) == 9  # type: ignore[arg-type]


async def test_directory_is_read_anew(tmp_path: Path) -> None:
    """A deploy exchanges the files; hidden ones and those of another pattern do not count."""
    directory = Directory(tmp_path, "*.up.sql")
    for name in ("001.up.sql", "001.down.sql", ".002.up.sql"):
        (tmp_path / name).write_text("hello\n")
    (expected,) = await directory.read()
    assert expected.name == "001.up.sql"
    assert expected.checksum == "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
    (tmp_path / "002.up.sql").write_text("")
    assert len(await directory.read()) == 2


async def test_directory_without_migrations_is_not_green(tmp_path: Path) -> None:
    """A release that lost its files would otherwise have nothing pending."""
    with pytest.raises(UnreadableError, match=r"no file in .* matches \*\.sql"):
        await Directory(tmp_path, "*.sql").read()
    with pytest.raises(UnreadableError, match="is not a directory"):
        await Directory(tmp_path / "gone", "*").read()


@pytest.mark.parametrize(
    ("options", "fix"),
    [
        ({}, "postgresql, mongodb or both"),
        ({"postgresql": {"uri": "postgresql://u:marked@h/d", "table": "x; drop table y"}}, "pattern"),
        ({"postgresql": {"uri": "postgresql://u:marked@h:marked/d"}}, "port"),
        ({"postgresql": {"uri": "postgresql://h/d", "directory": "/x", "expected": [{"name": "1"}]}}, "not both"),
        ({"postgresql": {"uri": "postgresql://h/d", "expected": [{"name": "1"}, {"name": "1"}]}}, "twice"),
        ({"postgresql": {"uri": "postgresql://h/d", "expected": [{"name": "1", "checksum": "x"}]}}, "sha-256"),
        ({"mongodb": {"uri": "mongodb://u:marked@h/"}}, "names no database"),
    ],
)
def test_bad_configurations_are_refused(options: dict[str, Any], fix: str) -> None:
    """Each error says what to do and shows nothing of a URI."""
    with pytest.raises(ValidationError) as refused:
        MigrationsConfig.model_validate(options)
    assert fix in str(refused.value)
    assert "marked" not in str(refused.value)
