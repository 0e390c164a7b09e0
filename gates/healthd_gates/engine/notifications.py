"""Words a gate's steps: for the log, and as notifications of its verdict and of the progress of a rollback."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import structlog

from healthd.notifiers.notice import Notice, Severity
from healthd_gates.domain.gate import Decision, Gate, GateState, Rollback, RollbackState
from healthd_gates.domain.rollback_wording import WORDS, why
from healthd_gates.domain.standing import Verdict
from healthd_gates.engine.notice_facts import facts_of
from healthd_gates.engine.ramp_notices import ramp_notices

_log = structlog.get_logger(__name__)
_TOLD = 3600.0  # seconds for which a notification of a failed verdict lasts, unless a later one replaces it
_BLIND_AFTER = 180.0  # seconds of a watch before it counts as blind: its first numbers take time
_ROLLBACK_TOLD = 86400.0
_SEVERITIES = {
    RollbackState.DUE: Severity.WARNING,
    RollbackState.CONFIRMING: Severity.WARNING,
    RollbackState.ROLLED_BACK: Severity.INFO,
    RollbackState.UNSEEN: Severity.INFO,
    RollbackState.UNCONFIRMED: Severity.CRITICAL,
    RollbackState.FAILED: Severity.CRITICAL,
    RollbackState.IMPOSSIBLE: Severity.CRITICAL,
    RollbackState.LEFT: Severity.WARNING,
}


def log(before: Gate, after: Gate) -> None:
    """Log a line when the gate's state, its decision or its rollback's state changes."""
    rolled = _state_of(after.rollback) is not _state_of(before.rollback)
    if after.state is not before.state or after.decision is not before.decision or rolled:
        decision = after.decision
        troubled = after.rollback is not None and after.rollback.state.wants_a_person
        log = _log.error if troubled else _log.info
        log(
            "gate: a rollback wants a person" if troubled else "gate",
            gate=after.id,
            service=after.service,
            version=after.candidate.version,
            state=after.state.value,
            verdict=decision.verdict.value if decision else None,
            reason=decision.reason if decision else None,
            rollback=after.rollback.state.value if after.rollback else None,
            **({"detail": after.rollback.detail} if troubled and after.rollback and after.rollback.detail else {}),
        )


def _state_of(rollback: Rollback | None) -> RollbackState | None:
    return rollback.state if rollback is not None else None


def notices(before: Gate, after: Gate, external_url: str | None = None) -> Iterator[Notice]:
    """Yield the notifications of a stored step, with the gate's own page if the daemon's external address is known."""
    for notice in _notices(before, after):
        yield replace(notice, page=f"{external_url}/gates/{after.id}/page") if external_url else notice


def _notices(before: Gate, after: Gate) -> Iterator[Notice]:
    if after.decision is not None and before.decision is None:
        yield _verdict(after, after.decision)
    if after.state is GateState.HELD and before.state is not GateState.HELD:
        yield _held(after)
    if _is_blind(after) and not _is_blind(before):
        yield _blind(after)
    yield from ramp_notices(before, after)
    if after.rollback is not None and (before.rollback is None or after.rollback.state is not before.rollback.state):
        yield _rollback(after, after.rollback)


def _named(gate: Gate) -> str:
    return f"{gate.service} {gate.candidate.version}"


def _verdict(gate: Gate, decision: Decision) -> Notice:
    word = {Verdict.PASS: "passed", Verdict.FAIL: "failed"}.get(decision.verdict, "could not be decided by")
    quiet = decision.verdict is Verdict.PASS or decision.observed
    return Notice(
        key=f"gate:{gate.service}",
        about="gate",
        name=gate.service,
        standing=f"{decision.verdict.value} {gate.id}",
        firing=not quiet,
        severity=Severity.INFO if quiet else Severity.WARNING,
        summary=f"{_named(gate)} {word} {gate.policy}{', only observed' if decision.observed else ''}",
        detail=decision.sentence,
        since=decision.at,
        began=gate.created_at,
        facts=facts_of(gate) | {"reason": decision.reason} | ({"by": decision.by} if decision.by else {}),
        link=gate.deployment.url,
        always=True,
        lasts=_TOLD,
        is_followed=gate.rollback is not None,
    )


def _held(gate: Gate) -> Notice:
    assert gate.standing is not None
    return Notice(
        key=f"gate:{gate.service}",
        about="gate",
        name=gate.service,
        standing=f"held {gate.id}",
        firing=True,
        severity=Severity.WARNING,
        summary=f"{_named(gate)} waits for a person to decide the gate {gate.policy}",
        detail=f"{gate.standing.sentence} Decide with: healthd gate approve|reject {gate.id} --reason …",
        since=gate.standing.at,
        began=gate.created_at,
        facts=facts_of(gate) | {"reason": gate.standing.reason.value},
        link=gate.deployment.url,
        always=True,
        lasts=_ROLLBACK_TOLD,
    )


def _is_blind(gate: Gate) -> bool:
    """True if a watch has had no numbers to evaluate for so long that somebody should know."""
    standing = gate.standing
    if gate.state is not GateState.WATCHING or standing is None:
        return False
    return standing.reason.is_silence and standing.elapsed_seconds >= _BLIND_AFTER


def _blind(gate: Gate) -> Notice:
    assert gate.standing is not None
    return Notice(
        key=f"gate:{gate.service}",
        about="gate",
        name=gate.service,
        standing=f"blind {gate.id}",
        firing=True,
        severity=Severity.WARNING,
        summary=f"{_named(gate)} passed {gate.policy}, and its watch sees nothing",
        detail=" ".join((gate.standing.sentence, *gate.notes)),
        since=gate.standing.at,
        began=gate.created_at,
        facts=facts_of(gate) | {"reason": gate.standing.reason.value},
        link=gate.deployment.url,
        always=True,
        lasts=_TOLD,
    )


def _rollback(gate: Gate, rollback: Rollback) -> Notice:
    return Notice(
        key=f"rollback:{gate.service}",
        about="rollback",
        name=gate.service,
        standing=f"{rollback.state.value} {gate.id} {rollback.round}",
        firing=rollback.state not in (RollbackState.ROLLED_BACK, RollbackState.UNSEEN),
        severity=_SEVERITIES[rollback.state],
        summary=f"{_named(gate)} {WORDS[rollback.state].of_version}",
        detail=rollback.detail or why(rollback),
        since=gate.finished_at or rollback.at,
        began=rollback.at,
        facts=facts_of(gate)
        | {"trigger": rollback.trigger, "state": rollback.state.value}
        | ({"by": rollback.by} if rollback.by else {}),
        link=gate.deployment.url,
        always=True,
        lasts=_ROLLBACK_TOLD,
    )
