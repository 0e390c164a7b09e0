"""Data of the status page as plain values: board and history → rows and sentences. It decides what an unauthorised
viewer may not see: without `details` there are only names, statuses and failure kinds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from healthd.config.in_force import NotInForce, TakenAway
from healthd.journal.outage import AWAY, Outage
from healthd.model import Status
from healthd.monitoring.board import Board
from healthd.monitoring.state import CheckState
from healthd.units import is_web_address
from healthd.web.pages import drawings
from healthd.web.pages.history import SPANS, Past, span_of
from healthd.web.troubles import Trouble

WORST_FIRST = (Status.UNHEALTHY, Status.UNKNOWN, Status.DEGRADED, Status.HEALTHY)
_WORDS = {status: status.value.capitalize() for status in Status}
_NAMED = 6  # checks that the headline names


@dataclass(frozen=True, slots=True)
class Row:
    """Row of one check. `kind` is the kind of failure; `streak` counts results that the status does not follow yet;
    `day`, `line` and `failed` are SVG paths; `recalled` is the number of spans of the day from before this process. Its
    name `leads` to the page of the check, and `runbook_leads` is True if the runbook is a web address."""

    name: str
    status: Status
    kind: str | None
    maintenance: str | None
    overdue: bool
    critical: bool = False
    since: datetime | None = None
    message: str = ""
    streak: str = ""
    last_healthy: datetime | None = None
    runbook: str | None = None
    runbook_leads: bool = False
    day: tuple[tuple[str, str], ...] = ()
    day_said: str = ""
    recalled: int = 0
    line: str = ""
    failed: str = ""
    taken: str = ""
    covers: tuple[str, ...] = ()
    leads: bool = False


@dataclass(frozen=True, slots=True)
class GroupView:
    """One group, with the status that its endpoint reports."""

    name: str
    word: str
    sign: str


@dataclass(frozen=True, slots=True)
class Headline:
    """Overall status in a word and a sentence; `counts` has the number of checks in each status, worst first. `links`
    lead to the gates whose rollbacks need a person."""

    status: Status
    word: str
    sentence: str
    traffic: str
    ready: bool
    counts: tuple[tuple[Status, int], ...]
    links: tuple[tuple[str, str], ...] = ()


def row(state: CheckState, past: Past, now: datetime, started: datetime, *, details: bool, leads: bool) -> Row:
    """Return the row of one check for now."""
    result = state.probe.result if state.probe is not None else None
    kind = result.kind.value if result is not None and result.kind is not None else None
    if not details:
        covered = "planned" if state.maintenance is not None else None
        return Row(state.name, state.status, kind, covered, state.overdue)
    spans = past.spans(now)
    answers = tuple(past.answers)
    runbook = state.config.runbook_url
    began = min(SPANS, max(0, span_of(started) - span_of(now) + SPANS - 1))
    return Row(
        name=state.name,
        status=state.status,
        kind=kind,
        maintenance=planned.reason if (planned := state.covered("maintenance")) else None,
        covers=(
            *(cover.sentence for cover in state.covers if cover.kind != "maintenance"),
            *((f"Not notified: it depends on {state.held_by}, which is down",) if state.held_by else ()),
        ),
        overdue=state.overdue,
        critical=state.config.critical,
        since=state.since,
        message=result.message if result is not None and result.kind is not None else "",
        streak=state.streak.words if state.streak is not None else "",
        last_healthy=None if state.status.is_up else state.last_healthy,
        runbook=runbook,
        runbook_leads=runbook is not None and is_web_address(runbook),
        day=tuple((status.value, path) for status, path in drawings.strip(spans).items()),
        day_said=_day_in_words(spans),
        recalled=began if any(spans[:began]) else 0,
        line=drawings.line(answers),
        failed=drawings.failures(answers),
        leads=leads,
        taken=_shortly(answers[-1].seconds) if answers else "",
    )


def headline(board: Board, troubles: Sequence[Trouble] = (), *, named: bool = False) -> Headline:
    """Return the overall status in short words. A rollback that needs a person comes before any check; it is named
    where gates may be `named`."""
    states = board.checks()
    counted = [state for state in states if state.maintenance is None]
    wrong = sorted((s for s in counted if s.status is not Status.HEALTHY), key=severity)
    counts = tuple((status, sum(s.status is status for s in states)) for status in WORST_FIRST)
    ready = board.group("ready").ready
    traffic = "ready" if ready else "draining" if board.draining else "not ready"
    status, sentence = board.overall(), _sentence(wrong, len(states))
    if not troubles:
        return Headline(status, _WORDS[status], sentence, traffic, ready, counts)
    worst = troubles[0]
    more = f" ({len(troubles)} of them)" if len(troubles) > 1 else ""
    said = (
        " ".join(trouble.sentence for trouble in troubles[:_NAMED])
        if named
        else "A person must look where the traffic is."
    )
    links = tuple((f"{it.service} {it.version}", it.address) for it in troubles[:_NAMED]) if named else ()
    return Headline(Status.UNHEALTHY, f"{worst.word}{more}", f"{said} {sentence}", traffic, ready, counts, links)


def notes(
    outage: Outage | None, not_in_force: NotInForce | None, taken_away: tuple[TakenAway, ...], *, details: bool
) -> tuple[str, ...]:
    """Return what is wrong with the daemon itself: its journal that cannot be used, a configuration that was refused or
    waits for a restart, or has no longer what it had."""
    found = [] if outage is None else [_away(outage, details=details)]
    if not_in_force is not None:
        found.append(_not_in_force(not_in_force, details=details))
    found += [_gone(it, details=details) for it in taken_away[:_NAMED]]
    return tuple(found)


def _not_in_force(it: NotInForce, *, details: bool) -> str:
    since, why = f"{it.since:%d %b %H:%M:%S} UTC", f": {'; '.join(it.problems[:_NAMED])}" if details else ""
    more = f"; and {len(it.problems) - _NAMED} more" if details and len(it.problems) > _NAMED else ""
    if it.status == "restart":
        return f"The configuration waits for a restart since {since}{why}{more}."
    return f"The configuration was refused, since {since}{why}{more}. The one before is in force; a restart would fail."


def _gone(it: TakenAway, *, details: bool) -> str:
    what = f": {'; '.join(it.gone)}" if details else " some of the configuration"
    return f"The reload of {it.at:%d %b %H:%M:%S} UTC took away{what}."


def _away(outage: Outage, *, details: bool) -> str:
    """Return what it means that the journal cannot be used."""
    why = f" ({outage.problem})" if details else ""
    last = f", but for a write at {outage.last_write:%H:%M:%S}" if outage.last_write is not None else ""
    return f"The journal is away since {outage.since:%H:%M:%S} UTC{last}{why}. {AWAY}"


def groups(board: Board) -> tuple[GroupView, ...]:
    """Return the groups with endpoints, `live` only where it has checks."""
    found = []
    for name in board.groups():
        state = board.group(name)
        if state.checks or name == "ready":
            word = "not ready" if not state.ready else "degraded" if state.tolerating else "ready"
            sign = "unhealthy" if not state.ready else "degraded" if state.tolerating else state.status.value
            found.append(GroupView(name, word, sign))
    return tuple(found)


def severity(state: CheckState) -> tuple[bool, int, bool, str]:
    """Return the sort key of a row: failures first, critical checks before others."""
    return (
        state.maintenance is not None,
        WORST_FIRST.index(state.status),
        not state.config.critical,
        state.name,
    )


def _sentence(wrong: Sequence[CheckState], total: int) -> str:
    if not total:
        return "No check is configured."
    if not wrong:
        return f"All {total} checks are healthy." if total > 1 else "The one check is healthy."
    named = ", ".join(map(_named, wrong[:_NAMED]))
    more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
    verb = "is" if len(wrong) == 1 else "are"
    return f"{len(wrong)} of {total} checks {verb} not healthy: {named}{more}."


def _named(state: CheckState) -> str:
    result = state.probe.result if state.probe is not None else None
    if state.status is Status.UNKNOWN:
        return f"{state.name} (overdue)" if state.overdue else f"{state.name} (not run yet)"
    return f"{state.name} ({result.kind.value})" if result is not None and result.kind is not None else state.name


def _day_in_words(spans: Sequence[Status | None]) -> str:
    known = [status for status in spans if status is not None]
    bad = [status for status in WORST_FIRST[:-1] if status in known]
    if not known:
        return "nothing known"
    hours = f"{len(known) / 2:g} h"
    if not bad:
        return f"{hours}: healthy"
    told = ", ".join(f"{status} in {known.count(status)}" for status in bad)
    return f"{hours}: {told} half hour{'' if known.count(bad[-1]) == 1 else 's'}"


def _shortly(seconds: float) -> str:
    """Return a latency in three digits."""
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{seconds * 1000:.3g} ms" if seconds >= 0.001 else "< 1 ms"
