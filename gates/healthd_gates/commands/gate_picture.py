"""A gate as a picture on a terminal: how far it is, and each criterion with its interval drawn against its limit."""

from __future__ import annotations

from datetime import datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from healthd.units import show_duration
from healthd_gates.commands.gate_words import decides, overruled, rollback_words, time_left, verdict_words, waits
from healthd_gates.commands.gauge import gauge, number
from healthd_gates.domain.gate import RollbackState
from healthd_gates.domain.standing import Finding
from healthd_gates.judge.explain import bounding
from healthd_gates.schema.gate import GateDocument, RollbackDocument
from healthd_gates.schema.ramp import RampDocument
from healthd_gates.schema.standing import CriterionDocument, StandingDocument

# A sign beside the colour, for people who cannot distinguish the colours.
VERDICTS = {
    "pass": ("✓", "bold green"),
    "fail": ("✗", "bold red"),
    "inconclusive": ("?", "bold yellow"),
    "cancelled": ("–", "bold magenta"),
    "running": ("…", "bold cyan"),
}
_OVERRULED = ("▲", "bold yellow")
_FINDINGS = {
    Finding.SAFE: ("✓", "green"),
    Finding.CLEAR: ("✓", "dim"),
    Finding.HARM: ("✗", "red"),
    Finding.OPEN: ("…", "cyan"),
    Finding.NO_TRAFFIC: ("○", "yellow"),
    Finding.NO_TELEMETRY: ("?", "yellow"),
    Finding.TRAFFIC_LOST: ("○", "yellow"),
    Finding.BASELINE_ALREADY_BAD: ("▲", "yellow"),
}
WIDE = 100  # columns that a whole line of numbers needs
_BAR = 20  # columns of a weight


def picture(gate: GateDocument, now: datetime, width: int, *, until_verdict: bool = False) -> RenderableType:
    """The whole gate: who is judged, how far it is, each criterion with its interval, and what that means; with
    `until_verdict` not the verdict's reason and its rollback, which the caller tells."""
    parts: list[RenderableType] = [_title(gate), _progress(gate, now)]
    if gate.waits_for is not None:
        parts.append(_indented(gate.waits_for, "bold yellow"))
    if gate.ramp is not None and gate.decision is None:
        parts.append(_indented(f"{bar(gate.ramp)} {gate.ramp.told}", ""))
        if gate.ramp.why:
            parts.append(_indented(f"It was widened because, {gate.ramp.why}.", "dim"))
    if gate.allowance is not None:
        parts.append(_indented(gate.allowance.told, "bold yellow" if gate.allowance.exceeded else ""))
    if gate.standing is not None:
        parts += [Text(), criteria_table(gate.standing, wide=width >= WIDE), evidence_line(gate.standing), Text()]
        parts += [_indented(criterion.sentence, "dim") for criterion in gate.standing.criteria]
    parts += [_indented(note, "yellow") for note in gate.notes if note != gate.told]
    if until_verdict and gate.is_answered:
        return Group(*parts)
    if gate.told:
        parts.append(Text(gate.told, style=mark(gate)[1]))
    if gate.rollback is not None:
        parts.append(Text(f"rollback ({gate.rollback.trigger}): {gate.rollback.state}"))
        parts.append(_indented(gate.rollback_told or "", "bold red" if gate.rollback.state.wants_a_person else ""))
        parts += _next_steps(gate, gate.rollback)
    if waits(gate):
        parts.append(Text(decides(gate), style="bold"))
    return Group(*parts)


def mark(gate: GateDocument) -> tuple[str, str]:
    """Return the sign and the style of the verdict; those of a warning where nothing follows from it."""
    return _OVERRULED if overruled(gate) else VERDICTS[gate.verdict]


def _next_steps(gate: GateDocument, rollback: RollbackDocument) -> list[RenderableType]:
    """Return what a person can do, where one is needed; a command is never broken over lines."""
    if rollback.state is RollbackState.DUE and rollback.detail:
        done = Text(f"  healthd gate give-up {gate.id} --done --reason …", no_wrap=True, overflow="ignore")
        told = f"healthd goes on trying. Where the traffic of {gate.service} was put back by hand, say so:"
        return [Text(told, style="bold"), done]
    if not rollback.state.wants_a_person:
        return []
    where = f"Look where the traffic of {gate.service} is. If it is on {gate.candidate.version}, put it back."
    again = Text(f"  healthd gate rollback {gate.id} --reason …", no_wrap=True, overflow="ignore")
    runbook = Text("More: docs/runbooks/rollback-failed.md")
    return [Text(where, style="bold"), Text("To have healthd try again:"), again, runbook]


def _indented(text: str, style: str) -> Padding:
    return Padding(Text(text, style=style), (0, 0, 0, 2))


def _title(gate: GateDocument) -> Text:
    sign, style = mark(gate)
    rollback = gate.rollback
    word = f"{verdict_words(gate)}, {rollback_words(rollback)}" if rollback is not None else verdict_words(gate)
    if rollback is not None and (rollback.state.wants_a_person or rollback.trigger == "watch"):
        sign, style = VERDICTS["fail"]
    against = f" against {gate.baseline.version}" if gate.baseline else ""
    return Text.assemble(
        (f"{sign} {word}", style),
        f"  {gate.service} {gate.candidate.version}{against}",
        (f"  policy {gate.policy}\n  gate {gate.id}", "dim"),
        (f"\n  {gate.page}" if gate.page else "", "dim"),
    )


def _progress(gate: GateDocument, now: datetime) -> Text:
    passed = max(0.0, (now - gate.created_at).total_seconds())
    text = f"  {gate.state}, begun {show_duration(round(passed) or 1)} ago"
    if left := time_left(gate, now):
        text += f", {left}"
    if gate.state == "watching" and gate.watch_until is not None:
        text += f", watched until {gate.watch_until:%H:%M:%S} UTC"
    return Text(text, style="dim")


def criteria_table(standing: StandingDocument, *, wide: bool) -> Table:
    """Each criterion on a line, with its interval drawn against its limit; numbers beside it where there is room."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for title in ("", "criterion", "observed", *(("between", "limit", "baseline") if wide else ()), ""):
        table.add_column(title, no_wrap=True)
    for criterion in standing.criteria:
        sign, style = _FINDINGS[criterion.finding]
        unit = criterion.unit
        table.add_row(
            Text(sign, style=style),
            Text(criterion.name if criterion.critical else f"{criterion.name} (warns)"),
            bounding(criterion.observed_is) + number(criterion.observed, unit),
            *((_between(criterion), number(criterion.limit, unit), number(criterion.baseline, unit)) if wide else ()),
            gauge(criterion.interval, criterion.observed, criterion.limit),
        )
    return table


def _between(criterion: CriterionDocument) -> str:
    if criterion.interval is None:
        return ""
    low, high = criterion.interval
    return f"{number(low, criterion.unit)} … {number(high, criterion.unit)}"


def bar(ramp: RampDocument) -> str:
    """The weight as a bar: full blocks are the share that is seen, light ones what was ordered beyond it."""
    seen, ordered = round((ramp.share or 0.0) * _BAR), round(ramp.weight * _BAR)
    return "█" * seen + "▒" * max(0, ordered - seen) + "·" * (_BAR - max(seen, ordered))


def evidence_line(standing: StandingDocument) -> Text:
    """Return how strong the evidence of harm is, and how strong it must be."""
    missing = f" · {standing.gaps} gaps: numbers that did not come, which count for nothing" if standing.gaps else ""
    resets = f" · {standing.resets} counter resets: a process began anew" if standing.resets else ""
    text = f"  evidence of harm {standing.e_harm:,.3g}, rolled back at {standing.e_needed:,.0f}{missing}{resets}"
    return Text(text, style="dim")
