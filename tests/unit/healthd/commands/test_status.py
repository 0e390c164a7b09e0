"""What `healthd status` prints of a document."""

import pytest
from click.testing import CliRunner

from healthd.cli import main
from healthd.commands.status import _print
from tests.fakes import names


def test_replicas_are_listed_with_what_they_run(capsys: pytest.CaptureFixture[str]) -> None:
    """Which one was asked, and who ran a check."""
    replicas = [
        {"host": "web-1", "address": "web-1 :8080", "here": True, "runs": 1},
        {"host": "web-2", "address": "web-2 :8080", "runs": 0},
        {"host": "web-3", "address": "web-3 :8080"},
    ]
    checks = {"shop": {"status": "healthy", "replica": "web-2"}}
    _print({"overall": "healthy", "environment": "e", "version": "1", "checks": checks, "replicas": replicas})
    said = capsys.readouterr().out
    assert "3 replicas: web-1 :8080 (asked, runs 1 checks), web-2 :8080 (runs 0 checks), web-3 :8080\n" in said
    assert "by web-2" in said


@pytest.mark.parametrize("words", [["status", "http://hung.example", "--timeout", "3"], ["window", "list"]])
def test_a_name_that_is_not_resolved_in_time_is_told(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    """And the command ends, though the lookup hangs: who is woken looks at the name server, not at the daemon."""
    monkeypatch.setattr("healthd.commands.asking._WITHIN", 3.0)
    monkeypatch.setenv("HEALTHD_URL", "http://hung.example")
    with names.hanging(monkeypatch):
        done = CliRunner().invoke(main, words)
    assert "http://hung.example could not be asked: the name hung.example was not resolved within " in done.stderr
    assert done.exit_code == 3
