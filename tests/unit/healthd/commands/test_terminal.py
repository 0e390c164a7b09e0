"""Texts of others on a terminal."""

import pytest

from healthd.commands.history import audit
from healthd.commands.terminal import plain
from healthd.commands.window import list_windows

FORGED = "typo\n2026-11-01T00:00:00Z  root  gate.rollback  app\r\x1b[2K\u202e"
SHOWN = "typo\\n2026-11-01T00:00:00Z  root  gate.rollback  app\\r\\x1b[2K\\u202e"


def test_what_cannot_be_printed_is_escaped() -> None:
    assert plain(FORGED) == SHOWN
    assert plain("größer als 5 · ✓ ✗ 日本") == "größer als 5 · ✓ ✗ 日本"


def test_no_entry_is_two_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever wrote it, and by which release: the journal may hold what is refused today."""
    entry = {"at": "T", "caller": FORGED, "action": "a", "subject": FORGED, "detail": {"reason": FORGED}}
    monkeypatch.setattr("healthd.commands.history.ask", lambda *_, **__: {"entries": [entry], "next": None})
    audit.main([], standalone_mode=False)
    assert capsys.readouterr().out == f"T  {SHOWN}  a  {SHOWN}  reason {SHOWN}\n"


def test_no_window_is_two_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    it = {"id": "w", "kind": "pause", "checks": ["db"], "from": "A", "to": "B", "author": FORGED, "reason": FORGED}
    monkeypatch.setattr("healthd.commands.window.ask", lambda *_, **__: {"windows": [it]})
    list_windows.main([], standalone_mode=False)
    assert capsys.readouterr().out == f"w  pause of db, A to B, by {SHOWN}: {SHOWN}\n"


def test_a_window_that_the_journal_does_not_have_is_marked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another replica does not know it."""
    it = {"id": "w", "kind": "pause", "checks": ["db"], "from": "A", "to": "B", "author": "ada", "reason": "r"}
    windows = [it | {"stored": True}, it | {"stored": False}]
    monkeypatch.setattr("healthd.commands.window.ask", lambda *_, **__: {"windows": windows})
    list_windows.main([], standalone_mode=False)
    known, alone = capsys.readouterr().out.splitlines()
    assert alone == f"{known} (not in the journal yet: on this replica alone)"
