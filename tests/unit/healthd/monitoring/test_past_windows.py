"""Times that windows of callers covered in the past, by the audit."""

from datetime import UTC, datetime, timedelta
from typing import Any

from healthd.journal.past import AuditRow
from healthd.monitoring.past_windows import _added

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)


def _row(hour: float, action: str, start: float = 0, end: float = 0) -> AuditRow:
    at = [NOON + timedelta(hours=it) for it in (hour, start, end)]
    detail: dict[str, Any] = {"kind": "maintenance", "from": at[1].isoformat(), "until": at[2].isoformat()}
    return AuditRow(1, at[0], "ada", f"window.{action}", "5f0c", {**detail, "checks": ["db"]})


def _covered(*rows: AuditRow) -> list[tuple[float, float]]:
    spans = [(it.start, it.end) for it in _added(rows) if it.start and it.end]
    return sorted(((start - NOON) / timedelta(hours=1), (end - NOON) / timedelta(hours=1)) for start, end in spans)


def test_a_window_that_is_moved_counts_where_it_was_in_force() -> None:
    """Up to the move by its old times, from then on by the new ones; one that had not begun never was."""
    add = _row(0, "add", 1, 3)
    assert _covered(add, _row(2, "move", 5, 6)) == [(1, 2), (5, 6)]
    assert _covered(add, _row(0.5, "move", 5, 6)) == [(5, 6)]
    assert _covered(add, _row(4, "move", 1, 8), _row(7, "end")) == [(1, 3), (1, 7)]
    assert _covered(add, _row(2, "end"), _row(4, "move", 4, 5)) == [(1, 2), (4, 5)]
