"""A check's state as a notice."""

from __future__ import annotations

from datetime import datetime

from healthd.checks.contract import Scope
from healthd.model import Status
from healthd.monitoring.state import CheckState
from healthd.notifiers.notice import Notice, Severity

_NAMED = 10  # dependents in a notice


def key_of(state: CheckState, source: str) -> str:
    """Return the subject of a check. With the scope of this host, it is a separate subject on every host."""
    return f"check:{state.name}" + (f"@{source}" if state.config.scope is Scope.LOCAL else "")


def check_notice(
    state: CheckState, source: str, now: datetime, external_url: str | None = None, dependents: tuple[str, ...] = ()
) -> Notice:
    """Return the notice for the state of a check. While it is down it says whose notices are held back."""
    local = state.config.scope is Scope.LOCAL
    healthy = state.status is Status.HEALTHY or state.maintenance is not None
    down = not state.status.is_up
    severity = Severity.CRITICAL if down and state.config.critical else Severity.WARNING
    result = state.probe.result if state.probe else None
    facts = {"kind": state.config.kind, **({"host": source} if local else {})}
    if result is not None and result.kind is not None and not healthy:
        facts["failure"] = result.kind.value
    if down and dependents and not healthy:
        facts["holds_back"] = ", ".join(dependents[:_NAMED]) + (", …" if len(dependents) > _NAMED else "")
    paused = state.covered("pause") is not None and state.covered("maintenance") is None
    standing = "paused" if paused else "in maintenance" if state.maintenance is not None else state.status.value
    if state.maintenance is not None:
        detail = state.maintenance
        if down and not paused:
            detail += f"\nThe check itself is {state.status.value} all the same."
    elif state.overdue:
        detail = "Its last result is too old to be believed."
    else:
        detail = result.message if result else ""
    return Notice(
        key=key_of(state, source),
        about="check",
        name=state.name,
        standing=standing,
        firing=not healthy,
        severity=Severity.INFO if healthy else severity,
        summary=f"{state.name} is {standing}",
        since=state.since or now,
        detail=detail,
        facts=facts,
        labels=state.config.labels,
        link=state.config.runbook_url,
        page=f"{external_url}/checks/{state.name}" if external_url else None,
    )
