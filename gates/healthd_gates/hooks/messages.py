"""The sentences about a gate that a deploy tool shows its people when it is called back."""

from __future__ import annotations

from datetime import datetime

from healthd_gates.domain.callback import FinalWord
from healthd_gates.domain.gate import Gate, GateState
from healthd_gates.domain.standing import Verdict
from healthd_gates.hooks.contract import sentence_on


def progress(gate: Gate, page: str | None = None) -> str:
    """Return the progress of a gate that has no verdict yet. `page` is the address of the gate's page."""
    by = _clock(gate.decides_by)
    if gate.state is GateState.HELD:
        return f"{_subject(gate, page)}: the evidence decides nothing, so a person does, until {by}."
    return f"{_subject(gate, page)}: {sentence_on(gate)} There is a verdict at {by} at the latest."


def verdict(gate: Gate, page: str | None = None) -> tuple[FinalWord, str]:
    """Return the answer, and why; for a gate that has its verdict."""
    outcome = gate.decision.verdict.value if gate.decision is not None else "cancelled"
    passed = gate.may_stay
    if passed and outcome == Verdict.INCONCLUSIVE:
        outcome = "inconclusive, which its policy takes for a pass"
    return Verdict.PASS if passed else Verdict.FAIL, f"{_subject(gate, page)}: {outcome}. {sentence_on(gate)}"


def _subject(gate: Gate, page: str | None) -> str:
    named = f"[gate {gate.id}]({page})" if page else f"gate {gate.id}"
    return f"{gate.service} {gate.candidate.version} ({named}, policy {gate.policy})"


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
