"""Whether the numbers after a rollback say that the baseline has taken over."""

from datetime import UTC, datetime
from typing import Any

import pytest

from healthd_gates.config.policy import Policy
from healthd_gates.domain.evidence import Counts, Evidence
from healthd_gates.domain.gate import RollbackState
from healthd_gates.domain.standing import Reason, Standing
from healthd_gates.engine.rollback_confirmation import Recovery, bounds_of, rate_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ERRORS = {"kind": "error_rate"}
LATENCY: dict[str, Any] = {"kind": "latency", "limit": "1s"}


def policy(*criteria: dict[str, Any]) -> Policy:
    return Policy.model_validate({"criteria": list(criteria)})


def seen(candidate: Counts | None, baseline: Counts | None) -> Evidence:
    return Evidence(NOW, 10.0, candidate, baseline)


def test_errors_are_bounded_whatever_the_policy_measures() -> None:
    """By its own limit, or by the usual one; what is not critical bounds nothing."""
    assert [bound.highest for bound in bounds_of(policy({**ERRORS, "limit": 0.01}))] == [0.01]
    assert [bound.says for bound in bounds_of(policy(LATENCY))] == ["failed", "took longer than 1 s"]
    lenient = {**ERRORS, "limit": 0.2, "critical": False}
    assert bounds_of(policy(LATENCY, lenient))[0].highest == 0.05


def test_a_candidate_that_was_not_counted_had_no_traffic_to_compare_with() -> None:
    unseen = Standing(NOW, 0.0, None, Reason.SETTLING, "It is so.", 0.0, 0.0, ())
    assert rate_of(None, policy(ERRORS)) is None
    assert rate_of(unseen, policy(ERRORS)) is None


@pytest.mark.parametrize(
    ("candidate", "baseline", "said"),
    [
        (Counts(50, 0), Counts(50, 0), "the candidate still has 50% of the requests"),
        (None, Counts(1, 0), "the baseline has not taken as much traffic as it had"),
        (Counts(0, 0), Counts(0, 0), "there is no traffic"),
        (Counts(1, 0), None, "the baseline sends no numbers"),
        (None, Counts(100, 20), "20.0% of its requests failed"),
    ],
)
def test_what_speaks_against_it_is_said(candidate: Counts | None, baseline: Counts | None, said: str) -> None:
    recovery = Recovery(bounds_of(policy(ERRORS)), 5.0)
    for _ in range(3):
        recovery.take(seen(candidate, baseline), ())
    assert said in recovery.sentence
    assert not recovery.is_confirmed
    assert recovery.ends(None)[0] is RollbackState.UNCONFIRMED


@pytest.mark.parametrize(
    ("before", "baseline", "state"),
    [
        (5.0, Counts(1, 0), RollbackState.UNCONFIRMED),
        (5.0, Counts(0, 0), RollbackState.UNCONFIRMED),
        (5.0, Counts(20, 0), RollbackState.ROLLED_BACK),
        (0.5, Counts(0, 0), RollbackState.ROLLED_BACK),
        (5.0, None, RollbackState.ROLLED_BACK),
        (None, Counts(0, 0), RollbackState.ROLLED_BACK),
    ],
    ids=["hardly any", "none", "less than before", "never much", "not counted", "not known before"],
)
def test_no_action_has_seen_traffic_that_is_lost(
    before: float | None, baseline: Counts | None, state: RollbackState
) -> None:
    """Where it went nobody knows: to a target that selects nothing, or to none. What is not counted says nothing."""
    recovery = Recovery(bounds_of(policy(ERRORS)), before)
    for _ in range(3):
        recovery.take(seen(None, baseline), ("candidate: no series matches",))
    assert recovery.ends("undo-shop")[0] is state


def test_a_baseline_that_took_over_and_answers_well_confirms_it() -> None:
    recovery = Recovery(bounds_of(policy(ERRORS)), 5.0)
    for looks in (1, 2):
        assert not recovery.is_confirmed, looks
        recovery.take(seen(None, Counts(50, 1)), ())
    assert recovery.is_confirmed
    assert recovery.sentence == "The baseline has the traffic: 100 requests, 2 of them failed."
