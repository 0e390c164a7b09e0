"""A gate's steps in words: for the log, and as notices of its verdict and of how far a rollback has come."""

from __future__ import annotations

from collections.abc import Iterator

import structlog

from healthd.notifiers.notice import Notice, Severity
from healthd_gates.domain.evidence import Verdict
from healthd_gates.domain.gate import Decision, Gate, Rollback, RollbackState

_log = structlog.get_logger(__name__)
_TOLD = 3600.0  # seconds for which a failed verdict stands, where no later one takes its place
_ROLLBACK_TOLD = 86400.0
_ENDED = {
    RollbackState.DUE: ("is being rolled back", Severity.WARNING),
    RollbackState.CONFIRMING: ("was told to go back, and is watched", Severity.WARNING),
    RollbackState.ROLLED_BACK: ("was rolled back", Severity.INFO),
    RollbackState.UNCONFIRMED: ("was rolled back, but nobody saw it take effect", Severity.CRITICAL),
    RollbackState.FAILED: ("could not be rolled back", Severity.CRITICAL),
    RollbackState.IMPOSSIBLE: ("has nothing to be rolled back to", Severity.CRITICAL),
}


def log(before: Gate, after: Gate) -> None:
    """A line when the gate comes into another state, or to its decision."""
    if after.state is not before.state or after.decision is not before.decision:
        decision = after.decision
        _log.info(
            "gate",
            gate=after.id,
            service=after.service,
            version=after.candidate.version,
            state=after.state.value,
            verdict=decision.verdict.value if decision else None,
            reason=decision.reason if decision else None,
            rollback=after.rollback.state.value if after.rollback else None,
        )


def notices(before: Gate, after: Gate) -> Iterator[Notice]:
    """What a stored step has brought that people should know."""
    if after.decision is not None and before.decision is None:
        yield _verdict(after, after.decision)
    if after.rollback is not None and (before.rollback is None or after.rollback.state is not before.rollback.state):
        yield _rollback(after, after.rollback)


def _verdict(gate: Gate, decision: Decision) -> Notice:
    word = {Verdict.PASS: "passed", Verdict.FAIL: "failed"}.get(decision.verdict, "could not be decided")
    return Notice(
        key=f"gate:{gate.service}",
        about="gate",
        name=gate.service,
        standing=f"{decision.verdict.value} {gate.id}",
        firing=decision.verdict is not Verdict.PASS,
        severity=Severity.INFO if decision.verdict is Verdict.PASS else Severity.WARNING,
        summary=f"{gate.service} {gate.candidate.version} {word}",
        detail=decision.sentence,
        since=decision.at,
        began=gate.created_at,
        facts=_facts(gate) | {"reason": decision.reason} | ({"by": decision.by} if decision.by else {}),
        link=gate.deployment.url,
        always=True,
        lasts=_TOLD,
    )


def _rollback(gate: Gate, rollback: Rollback) -> Notice:
    words, severity = _ENDED[rollback.state]
    return Notice(
        key=f"rollback:{gate.service}",
        about="rollback",
        name=gate.service,
        standing=f"{rollback.state.value} {gate.id} {rollback.round}",
        firing=rollback.state is not RollbackState.ROLLED_BACK,
        severity=severity,
        summary=f"{gate.service} {gate.candidate.version} {words}",
        detail=rollback.detail or rollback.reason,
        since=gate.finished_at or rollback.at,
        began=rollback.at,
        facts=_facts(gate) | {"trigger": rollback.trigger} | ({"by": rollback.by} if rollback.by else {}),
        link=gate.deployment.url,
        always=True,
        lasts=_ROLLBACK_TOLD,
    )


def _facts(gate: Gate) -> dict[str, str]:
    facts = {"version": gate.candidate.version, "policy": gate.policy, "gate": gate.id}
    if gate.deployment.actor:
        facts["actor"] = gate.deployment.actor
    return facts
