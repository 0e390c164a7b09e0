"""The words for gates on pages: for a state, for a strength, for a number."""

from __future__ import annotations

from math import exp, isfinite

from healthd.web.pages.deploys import Sign
from healthd_gates.domain.gate import Gate, GateState, Rollback, RollbackState
from healthd_gates.domain.rollback_wording import WORDS
from healthd_gates.domain.standing import Unit, Verdict
from healthd_gates.judge.explain import REASONS, percent, seconds

_REASONS = {reason.value: sentence for reason, sentence in REASONS.items()}


def state_of(gate: Gate) -> tuple[Sign, str]:
    """Return the sign and the words for the state of a gate."""
    if gate.rollback is not None:
        first = "Late regression" if gate.rollback.trigger == "watch" else _verdict(gate)
        then = "not rolled back yet" if is_stuck(gate.rollback) else WORDS[gate.rollback.state].label
        return "unhealthy", f"{first}, {then}"
    if gate.decision is not None:
        if gate.was_harmed_unheeded:
            return "degraded", "Late regression, only observed"
        if _is_blind(gate):
            return "degraded", f"{_verdict(gate)}, the watch sees nothing"
        return _sign_of_decision(gate), f"{_verdict(gate)}{_then(gate)}"
    match gate.state:
        case GateState.HELD:
            return "degraded", "A person decides"
        case GateState.CANCELLED:
            return "unknown", "Cancelled"
    return "running", gate.state.value.capitalize()


def sentence_of(gate: Gate) -> str:
    """Return the reason for the state, in one sentence."""
    if gate.rollback is not None and gate.rollback.trigger != "decision":
        return f"{gate.rollback.by}: {gate.rollback.reason}" if gate.rollback.by else gate.rollback.reason
    if gate.state is GateState.CANCELLED and gate.notes:
        return gate.notes[-1]
    if gate.decision is not None and not _is_blind(gate) and not gate.was_harmed_unheeded:
        return _REASONS.get(gate.decision.reason, gate.decision.sentence)
    if gate.standing is not None:
        return gate.standing.sentence
    return "Waiting for the first evidence." if not gate.state.is_over else "It ended before there was evidence."


def trouble_of(gate: Gate) -> str | None:
    """Return what is wrong with a gate's rollback, and what that means for a person on call; None if nothing is."""
    rollback = gate.rollback
    if rollback is None or not rollback.detail:
        return None
    match rollback.state:
        case RollbackState.DUE:
            return f"The candidate may still have the traffic: {rollback.detail}"
        case RollbackState.FAILED | RollbackState.IMPOSSIBLE:
            return f"The candidate may still have the traffic, and a person must put it back. {rollback.detail}"
        case RollbackState.UNCONFIRMED:
            return f"A person must look where the traffic is. {rollback.detail}"
        case RollbackState.LEFT:
            return f"The candidate still has its traffic as far as healthd knows. {rollback.detail}"
    return None


def is_stuck(rollback: Rollback) -> bool:
    """True if an action of a rollback has been retried without success so far."""
    return rollback.state is RollbackState.DUE and bool(rollback.detail)


def number(value: float | None, unit: Unit | None) -> str:
    """Return a measured value as a person would write it."""
    if value is None:
        return "–"
    if not isfinite(value):
        return "∞"
    return percent(value) if unit is Unit.RATIO else seconds(value) if unit is Unit.SECONDS else f"{value:.3g}"


def strength(log_e: float, log_e_needed: float) -> str:
    """Return the strength of the evidence of harm in words. A harmless release reaches E at some time with a chance of
    1 in E at most (Ville's inequality), which is what the number means to a person.
    """
    if log_e >= log_e_needed:
        return "proof"
    strong = exp(log_e)
    if strong < 2:
        return "none"
    for limit, word in ((10, "weak"), (30, "some")):
        if strong < limit:
            return word
    return "strong"


def chance(log_e: float) -> str:
    """Return how often a harmless release shows this much."""
    if log_e < 0.7:
        return "A healthy release looks just like this."
    often = min(exp(min(log_e, 700.0)), 1e9)
    return f"A healthy release looks this bad less than once in {often:,.0f} deploys."


def _is_blind(gate: Gate) -> bool:
    """True if it passed and the watch that follows has no numbers to evaluate."""
    return gate.state is GateState.WATCHING and gate.standing is not None and gate.standing.reason.is_silence


def _then(gate: Gate) -> str:
    """Return the consequence of a verdict that rolled nothing back."""
    if gate.state is GateState.WATCHING:
        return ", watched"
    failed = gate.decision is not None and gate.decision.counts_as is Verdict.FAIL
    return ", not rolled back" if failed and gate.state.is_over else ""


def _verdict(gate: Gate) -> str:
    decision = gate.decision
    if decision is None:
        return "Called back"
    if decision.observed:
        return {Verdict.PASS: "Would have passed", Verdict.FAIL: "Would have failed"}.get(
            decision.verdict, "Would have been inconclusive"
        )
    match decision.verdict, decision.counts_as:
        case Verdict.INCONCLUSIVE, Verdict.PASS:
            return "Inconclusive, let through"
        case Verdict.INCONCLUSIVE, _:
            return "Inconclusive, counts as failed"
        case Verdict.PASS, _:
            return "Passed"
    return "Failed"


def _sign_of_decision(gate: Gate) -> Sign:
    assert gate.decision is not None
    if gate.decision.counts_as is Verdict.FAIL:
        return "unhealthy"
    return "healthy" if gate.decision.verdict is Verdict.PASS else "degraded"
