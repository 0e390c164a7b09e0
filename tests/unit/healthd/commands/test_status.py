"""What `healthd status` prints of a document."""

import pytest

from healthd.commands.status import _print


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
