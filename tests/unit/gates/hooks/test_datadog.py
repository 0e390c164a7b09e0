"""Datadog's deployment gates: what a gate looks like to a pipeline that was written for them."""

from dataclasses import replace
from uuid import UUID

import pytest

from healthd_gates.domain.gate import Gate, GateState
from healthd_gates.domain.standing import CriterionReport, Finding, Reason, Standing, Verdict
from healthd_gates.hooks.datadog import Status, evaluation_of, rules_of
from tests.fakes.gate_states import DECIDED, PASSED, ROLLBACK, RUNNING
from tests.fakes.monitoring import MIDNIGHT

ID = "019a5c3e1b2f" + "0123456789abcdef0123"


def judged(gate: Gate, *findings: tuple[Finding, bool]) -> Gate:
    """The gate with criteria of these findings; whether they are critical."""
    criteria = tuple(
        CriterionReport(f"c{number}", critical, finding, f"It is {finding.value}.")
        for number, (finding, critical) in enumerate(findings)
    )
    standing = Standing(MIDNIGHT, 60.0, None, Reason.OBSERVING, "It goes on.", 0.0, 4.6, criteria)
    return replace(gate, id=ID, standing=standing)


@pytest.mark.parametrize(
    ("gate", "status"),
    [
        (RUNNING, "in_progress"),
        (replace(RUNNING, state=GateState.HELD), "in_progress"),
        (replace(RUNNING, state=GateState.CANCELLED), "fail"),
        (PASSED, "pass"),
        (replace(PASSED, rollback=ROLLBACK), "fail"),
        (DECIDED["fail", Verdict.FAIL], "fail"),
        (DECIDED["inconclusive", Verdict.FAIL], "fail"),
        (DECIDED["inconclusive", Verdict.PASS], "pass"),
    ],
)
def test_the_status_is_the_verdict(gate: Gate, status: Status) -> None:
    """With the ids and the address of the page that the tool shows."""
    told = evaluation_of(replace(gate, id=ID), "http://healthd/gates/x/page").model_dump()["data"]
    assert told["id"] == told["attributes"]["evaluation_id"] == ID
    assert told["attributes"]["gate_status"] == told["attributes"]["rules"][0]["status"] == status
    assert UUID(told["attributes"]["gate_id"]).hex == ID
    assert told["attributes"]["evaluation_url"] == "http://healthd/gates/x/page"
    assert all(rule["reason"] for rule in told["attributes"]["rules"])


@pytest.mark.parametrize(
    ("gate", "finding", "status"),
    [
        (RUNNING, Finding.OPEN, "in_progress"),
        (RUNNING, Finding.SAFE, "pass"),
        (PASSED, Finding.OPEN, "pass"),
        (PASSED, Finding.SAFE, "pass"),
        (DECIDED["inconclusive", Verdict.FAIL], Finding.NO_TRAFFIC, "fail"),
        (DECIDED["fail", Verdict.FAIL], Finding.SAFE, "pass"),
        (DECIDED["fail", Verdict.FAIL], Finding.HARM, "fail"),
    ],
)
def test_a_rule_is_a_criterion(gate: Gate, finding: Finding, status: Status) -> None:
    """It ends as the verdict takes it."""
    rule = rules_of(judged(gate, (finding, True)))[1]
    assert (rule.name, rule.status, rule.reason, rule.dry_run) == ("c0", status, f"It is {finding.value}.", False)


def test_a_criterion_that_is_not_critical_is_a_dry_run() -> None:
    """It may fail where the gate passes."""
    rule = rules_of(judged(PASSED, (Finding.SAFE, True), (Finding.HARM, False)))[2]
    assert (rule.status, rule.dry_run) == ("fail", True)


def test_what_another_criterion_overtook_is_not_said_to_have_failed() -> None:
    """Only one of the two is the reason."""
    rules = rules_of(judged(DECIDED["fail", Verdict.FAIL], (Finding.HARM, True), (Finding.OPEN, True)))
    assert [rule.status for rule in rules] == ["fail", "fail", "in_progress"]
