"""A gate in words: a line of a log, the verdict, how far a rollback has come, and what a person can do."""

from __future__ import annotations

from datetime import datetime

import click

from healthd.commands.terminal import plain
from healthd_gates.domain import ramp_wording, rollback_wording
from healthd_gates.domain.rollback_wording import WORDS
from healthd_gates.domain.standing import HARMS
from healthd_gates.schema.gate import GateDocument, RollbackDocument

LATE = "fail in the watch"


def line(gate: GateDocument) -> str:
    """Return the state of a gate in one plain line; first of all what it waits for."""
    if gate.waits_for is not None:
        return plain(f"{gate.state}: {gate.waits_for}")
    if gate.rollback is not None:
        return plain(f"{gate.state}: {gate.rollback.told}")
    text = f"{gate.state}: {gate.told}" if gate.told else str(gate.state)
    if gate.ramp is not None and gate.decision is None:
        text += f" {gate.ramp.told}"
    if gate.allowance is not None:
        text += f" {gate.allowance.told}"
    return plain(f"{text} {decides(gate)}" if waits(gate) else text)


def time_left(gate: GateDocument, now: datetime) -> str:
    """Return how long a running gate can still take, and its ramp until all of the traffic; empty where no time is
    left, or a person decides."""
    left = (gate.decides_by - now).total_seconds()
    if gate.is_answered or gate.state == "held" or left <= 0:
        return ""
    widening = (gate.ramp.until - now).total_seconds() if gate.ramp is not None and gate.ramp.full_at is None else 0.0
    return ramp_wording.longest(left, widening if widening > 0 else None)


def waits(gate: GateDocument) -> bool:
    """True if a gate waits for a person."""
    paused = gate.decision is None and gate.ramp is not None and gate.ramp.pause is not None
    return gate.state == "held" or (paused and not gate.is_answered)


def decides(gate: GateDocument) -> str:
    """Return who decides a held gate, or lets a paused ramp go on, and by which commands."""
    if gate.state != "held":
        return f"A person lets it go on: healthd gate resume {gate.id} --reason …"
    return f"A person decides: healthd gate approve|reject {gate.id} --reason …"


def verdict_words(gate: GateDocument) -> str:
    """Return the verdict; of a version that passed and was rolled back by its watch what that found; of one that would
    have been taken back, had its policy not only observed, that it was not."""
    late = gate.verdict == "pass" and gate.rollback is not None and gate.rollback.trigger == "watch"
    if late:
        return LATE
    if gate.verdict == "pass" and overruled(gate):
        return f"{LATE}, only observed"
    return f"{gate.verdict}, only observed" if overruled(gate) else gate.verdict


def overruled(gate: GateDocument) -> bool:
    """True if the verdict is no pass, or the watch after it found harm, and nothing follows from it, since its policy
    only observes."""
    if gate.decision is None or not gate.decision.observed:
        return False
    late = gate.rollback is None and gate.standing is not None and gate.standing.reason in HARMS
    return gate.verdict != "pass" or late


def rollback_words(rollback: RollbackDocument) -> str:
    """Return how far a rollback has come, loud where it wants a person, and who called for it if a person did."""
    label = WORDS[rollback.state].label
    by = f", by {rollback.by}" if rollback.by else ""
    return f"{label.upper() if rollback.state.wants_a_person else label}{by}"


def tell(gate: GateDocument, *, as_json: bool) -> None:
    """The last word on stdout: the verdict and why, or the whole document."""
    if as_json:
        click.echo(gate.model_dump_json(indent=2))
        return
    sentence = gate.told or "no evidence"
    left = gate.rollback if gate.verdict == "pass" else None  # a pass alone would read as if the version stayed
    word = verdict_words(gate) if left is None else f"{verdict_words(gate)}, {rollback_words(left)}"
    click.echo(plain(f"{word}: {gate.service} {gate.candidate.version}: {sentence}"))
    for criterion in gate.standing.criteria if gate.standing else ():
        if criterion.sentence not in sentence:
            click.echo(plain(f"  {criterion.sentence}"))
    if gate.rollback is not None:
        told = rollback_wording.sentence(gate.rollback, sentence)
        click.echo(plain(f"  rollback: {gate.rollback.state}: {told}"))
    if gate.page:
        click.echo(f"  {gate.page}")
