"""Times in the past in which a check was in maintenance or paused: as planned, and as callers added and ended."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from healthd.config.window import CheckWindow, Maintenance
from healthd.journal.past import AuditRow
from healthd.monitoring.state import CheckState
from healthd.monitoring.uptime import Span, occurrences, union

_IGNORING = ("maintenance", "pause")


def left_out(
    planned: Iterable[CheckWindow],
    audit: Iterable[AuditRow],
    checks: Sequence[CheckState],
    groups: Mapping[str, Collection[str]],
    start: datetime,
    end: datetime,
) -> dict[str, list[Span]]:
    """Return for each check the times that do not count. What a window covers is told by the checks, groups and labels
    of today."""
    times = [(window, occurrences(window, start, end)) for window in (*planned, *_added(audit))]
    found = {}
    for state in checks:
        mine = [spans for window, spans in times if window.takes(state.name, state.config.labels, groups[state.name])]
        found[state.name] = union(span for spans in mine for span in spans)
    return found


def _added(audit: Iterable[AuditRow]) -> list[CheckWindow]:
    """Return the windows that callers added, each until it ended or was moved."""
    found: dict[str, dict[str, Any]] = {}
    moved: list[dict[str, Any]] = []
    for row in audit:
        if row.action in ("window.add", "window.move") and row.detail.get("kind") in _IGNORING:
            if row.subject in found:
                moved += _until(found[row.subject], row.at)
            names = {name: row.detail[name] for name in ("checks", "groups", "labels") if row.detail.get(name)}
            times = {"from": row.detail.get("from") or row.at, "to": row.detail.get("until")}
            found[row.subject] = {**names, **times, "reason": "x"}
        elif row.action == "window.end" and row.subject in found:
            found[row.subject]["to"] = row.at
    windows: list[CheckWindow] = []
    for each in (*moved, *found.values()):
        try:
            windows.append(Maintenance.model_validate(each))
        except ValidationError:  # ended before it began, or written by another release
            continue
    return windows


def _until(window: dict[str, Any], moment: datetime) -> Iterator[dict[str, Any]]:
    """Yield the window as it was up to a moment, at which other times took its place; nothing if it had not begun."""
    try:
        known = Maintenance.model_validate(window)
    except ValidationError:
        return
    if known.start is not None and known.end is not None and known.start < moment:
        yield {**window, "to": min(known.end, moment)}
