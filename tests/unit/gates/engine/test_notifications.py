"""What people are told of a gate."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from structlog.testing import capture_logs

from healthd.notifiers.notice import Severity
from healthd_gates.criteria.error_rate import ErrorRate
from healthd_gates.domain.evidence import Counts, Evidence
from healthd_gates.domain.gate import Decision, Gate, GateState, Rollback, RollbackState
from healthd_gates.domain.request import Deployment, Version
from healthd_gates.domain.standing import Verdict
from healthd_gates.engine.notifications import log, notices
from healthd_gates.judge.judge import Judge
from healthd_gates.judge.rules import Rules, Timing

START = datetime(2026, 3, 29, tzinfo=UTC)
GATE = Gate(
    id="g1",
    service="api",
    policy="post-switch",
    candidate=Version(version="2.0"),
    baseline=None,
    deployment=Deployment(url="https://ci.test/7", actor="ada"),
    rollback_mode="auto",
    caller="ci",
    state=GateState.OBSERVING,
    created_at=START,
    decides_by=START + timedelta(minutes=10),
)


def decided(verdict: Verdict, counts_as: Literal[Verdict.PASS, Verdict.FAIL]) -> Gate:
    return replace(GATE, decision=Decision(verdict, counts_as, "harm", "Too many errors.", START))


@pytest.mark.parametrize(
    ("verdict", "firing", "severity", "words"),
    [
        (Verdict.PASS, False, Severity.INFO, "api 2.0 passed post-switch"),
        (Verdict.FAIL, True, Severity.WARNING, "api 2.0 failed post-switch"),
        (Verdict.INCONCLUSIVE, True, Severity.WARNING, "api 2.0 could not be decided by post-switch"),
    ],
)
def test_a_verdict_is_told(verdict: Verdict, firing: bool, severity: Severity, words: str) -> None:
    """With its sentence, its times, who deployed and where to look; a later step does not tell it again."""
    after = decided(verdict, Verdict.PASS if verdict is Verdict.PASS else Verdict.FAIL)
    (notice,) = notices(GATE, after)
    assert (notice.firing, notice.severity, notice.summary) == (firing, severity, words)
    assert (notice.detail, notice.link, notice.facts["actor"]) == ("Too many errors.", "https://ci.test/7", "ada")
    assert notice.began == START
    assert list(notices(after, replace(after, sequence=7))) == []
    (linked,) = notices(GATE, after, "https://healthd.test")
    assert (linked.link, linked.page) == (notice.link, f"https://healthd.test/gates/{GATE.id}/page")


def test_a_held_gate_calls_a_person() -> None:
    """Once, with the commands that decide it; the verdict then ends it."""
    standing = Judge(Rules((ErrorRate(),), timing=Timing(5, 0, 60, 600))).step(Evidence(START, 5, Counts(9, 0)))
    held = replace(GATE, state=GateState.HELD, standing=standing)
    (notice,) = notices(GATE, held)
    assert (notice.firing, notice.severity) == (True, Severity.WARNING)
    assert notice.summary == "api 2.0 waits for a person to decide the gate post-switch"
    assert notice.detail.endswith("Decide with: healthd gate approve|reject g1 --reason …")
    assert list(notices(held, replace(held, sequence=8))) == []
    assert notice.key == next(notices(GATE, decided(Verdict.PASS, Verdict.PASS))).key


def test_a_pass_ends_what_a_fail_began() -> None:
    """The verdicts of a service are one subject, and so are its rollbacks."""
    (failed,) = notices(GATE, decided(Verdict.FAIL, Verdict.FAIL))
    (passed,) = notices(GATE, decided(Verdict.PASS, Verdict.PASS))
    assert failed.key == passed.key
    assert passed.differs_from(failed)


def test_a_verdict_that_a_rollback_follows_reminds_nobody() -> None:
    """The rollback has a notice of its own, which ends; a version that stays where it is reminds."""
    failed = decided(Verdict.FAIL, Verdict.FAIL)
    (left,) = notices(GATE, failed)
    undone = replace(failed, rollback=Rollback(RollbackState.DUE, "decision", "errors", START))
    verdict, rollback = notices(GATE, undone)
    assert (left.is_followed, verdict.is_followed, rollback.is_followed) == (False, True, False)


def test_a_rollback_is_told_from_its_beginning_to_its_end() -> None:
    """One that did not take effect for certain is critical; one that did is over."""
    due = replace(GATE, rollback=Rollback(RollbackState.DUE, "decision", "errors", START))
    (begun,) = notices(GATE, due)
    assert (begun.firing, begun.severity) == (True, Severity.WARNING)
    ends = {}
    for state in RollbackState:
        assert due.rollback is not None
        after = replace(due, rollback=replace(due.rollback, state=state), finished_at=START)
        ends[state] = [(notice.firing, notice.severity) for notice in notices(due, after)]
    assert ends == {
        RollbackState.DUE: [],
        RollbackState.CONFIRMING: [(True, Severity.WARNING)],
        RollbackState.ROLLED_BACK: [(False, Severity.INFO)],
        RollbackState.UNSEEN: [(False, Severity.INFO)],
        RollbackState.UNCONFIRMED: [(True, Severity.CRITICAL)],
        RollbackState.FAILED: [(True, Severity.CRITICAL)],
        RollbackState.IMPOSSIBLE: [(True, Severity.CRITICAL)],
        RollbackState.LEFT: [(True, Severity.WARNING)],
    }


@pytest.mark.parametrize("state", RollbackState)
def test_a_rollback_that_wants_a_person_is_an_error_in_the_log(state: RollbackState) -> None:
    """Whoever logs warnings alone must see it; each new state of a rollback is a line."""
    due = replace(GATE, rollback=Rollback(RollbackState.DUE, "decision", "errors", START))
    after = replace(GATE, rollback=Rollback(state, "decision", "errors", START, detail="it answered 403"))
    with capture_logs() as logs:
        log(GATE if state is RollbackState.DUE else due, after)
    (line,) = logs
    assert line["log_level"] == ("error" if state.wants_a_person else "info")
    assert line["rollback"] == state.value


def test_a_step_that_changes_nothing_is_no_line_in_the_log() -> None:
    """Each look is a step: one that neither decides nor moves the gate on is in the gate's own log alone."""
    with capture_logs() as logs:
        log(GATE, replace(GATE, sequence=7, notes=("connection refused",)))
    assert logs == []
