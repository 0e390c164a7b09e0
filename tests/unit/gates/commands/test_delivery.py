"""The four DORA metrics of gates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

from healthd_gates.commands.delivery import deliveries, deployments
from healthd_gates.domain.gate import Decision, Gate, GateState, Rollback, RollbackState
from healthd_gates.domain.request import Deployment, Version
from healthd_gates.domain.standing import CriterionReport, Finding, Reason, Standing, Unit, Verdict
from healthd_gates.schema.gate import GateDocument

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def gate(
    version: str,
    minute: float,
    counts_as: Literal[Verdict.PASS, Verdict.FAIL] = Verdict.PASS,
    *,
    verdict: Verdict | None = None,
    late: Reason | None = None,
    lasts: float = 5,
    rollback: RollbackState | None = None,
    ends: float | None = None,
    committed: float | None = None,
    unit: Unit | None = Unit.RATIO,
    service: str = "api",
) -> GateDocument:
    """A gate that starts so many minutes after noon and is decided after `lasts`; `ends`: its rollback is over.
    `verdict` is what it counts as, unless it is given, and `late` what its watch found."""
    said = verdict or counts_as
    at = NOON + timedelta(minutes=minute)
    decided = at + timedelta(minutes=lasts)
    report = CriterionReport("errors", True, Finding.SAFE, "fine", unit=unit)
    standing = Standing(decided, 60 * lasts, said, late or Reason.PROVEN_SAFE, "fine", 0.0, 4.6, (report,))
    rolled = Rollback(rollback, "decision", "harm", decided) if rollback is not None else None
    committed_at = NOON + timedelta(minutes=committed) if committed is not None else None
    made = Gate(
        id=f"{service}-{version}-{minute}",
        service=service,
        policy="post-switch",
        candidate=Version(version=version),
        baseline=None,
        deployment=Deployment(committed_at=committed_at),
        rollback_mode="auto",
        caller="ci",
        state=GateState.FINISHED,
        created_at=at,
        decides_by=decided,
        standing=standing,
        decision=Decision(said, counts_as, "harm", "it is so", decided),
        rollback=rolled,
        finished_at=NOON + timedelta(minutes=ends) if ends is not None else decided,
    )
    return GateDocument.of(made)


def test_gates_of_one_version_are_one_deployment_until_one_fails() -> None:
    """A canary's and that of its switch; after a fail the next is a new attempt."""
    gates = [
        gate("1", 0), gate("1", 10), gate("2", 20), gate("2", 30, Verdict.FAIL, rollback=RollbackState.FAILED),
        gate("2", 40), gate("1", 50),
    ]  # fmt: skip
    assert [(it.version, it.failed) for it in deployments(gates[::-1])] == [
        ("1", False),
        ("2", True),
        ("2", False),
        ("1", False),
    ]


def test_what_comes_before_the_switch_is_no_deployment() -> None:
    """Unless the service has nothing else."""
    smoke = gate("1", 0, Verdict.FAIL, unit=None)
    assert [it.failed for it in deployments([smoke, gate("1", 10)])] == [False]
    assert [it.failed for it in deployments([smoke])] == [True]


@pytest.mark.parametrize(
    ("later", "restored"),
    [
        ([], 7.0),
        ([gate("3", 4, lasts=1)], 5.0),  # a fix was faster
        ([gate("3", 4, Verdict.FAIL), gate("4", 30)], 7.0),
    ],
)
def test_service_is_restored_by_the_rollback_or_by_the_next_version_that_stays(
    later: list[GateDocument], restored: float
) -> None:
    bad = gate("2", 0, Verdict.FAIL, lasts=1, rollback=RollbackState.ROLLED_BACK, ends=7)
    assert next(deployments([bad, *later])).restored_after == timedelta(minutes=restored)


@pytest.mark.parametrize("state", [RollbackState.FAILED, RollbackState.UNCONFIRMED, RollbackState.LEFT])
def test_a_rollback_that_is_not_done_restores_nothing(state: RollbackState) -> None:
    """Until another version stays."""
    bad = gate("2", 0, Verdict.FAIL, rollback=state, ends=7)
    assert next(deployments([bad])).restored_after is None
    assert next(deployments([bad, gate("1", 60)])).restored_after == timedelta(minutes=65)


def test_a_gate_that_is_inconclusive_is_no_failed_change_and_restores_nothing() -> None:
    """It says nothing of its version. It may not stay, so it has no lead time, and the next is a new attempt."""
    unknown = gate("2", 0, Verdict.FAIL, verdict=Verdict.INCONCLUSIVE, committed=-60)
    found = list(deployments([unknown, gate("2", 10, committed=-60)]))
    assert [(it.failed, it.lead_time) for it in found] == [(False, None), (False, timedelta(minutes=75))]
    assert found[0].restored_after is None
    lost = gate("2", 0, Verdict.FAIL, verdict=Verdict.INCONCLUSIVE, rollback=RollbackState.ROLLED_BACK, ends=7)
    assert [(it.failed, it.restored_after) for it in deployments([lost])] == [(True, timedelta(minutes=7))]
    bad = gate("1", 0, Verdict.FAIL)
    let_through = gate("2", 10, verdict=Verdict.INCONCLUSIVE)
    assert next(deployments([bad, let_through])).restored_after is None
    assert next(deployments([bad, let_through, gate("3", 20)])).restored_after == timedelta(minutes=25)


def test_harm_that_is_only_observed_restores_nothing() -> None:
    """At the verdict or in the watch, of the version that failed or of another one. It stays all the same."""
    bad = gate("1", 0, Verdict.FAIL)
    for version in ("1", "2"):
        observed = gate(version, 10, verdict=Verdict.FAIL, committed=0)
        late = gate(version, 10, committed=0, late=Reason.HARM)
        for harmful in (observed, late):
            failed, stayed = deployments([bad, harmful])
            assert (failed.restored_after, stayed.failed) == (None, False)
            assert stayed.lead_time == timedelta(minutes=15)


def test_lead_time_counts_from_the_first_commit_to_the_verdict_that_let_it_stay() -> None:
    """A commit of the future is a wrong clock."""
    first, last = gate("1", 60, committed=0), gate("1", 70, committed=30)
    assert next(deployments([first, last])).lead_time == timedelta(minutes=75)
    assert next(deployments([gate("1", 0, committed=600)])).lead_time is None
    assert next(deployments([gate("1", 0, Verdict.FAIL, committed=-60)])).lead_time is None


def test_each_service_has_its_own_figures() -> None:
    """Medians, and the numbers that they are of."""
    gates = [
        gate("1", 0, committed=-55), gate("2", 100, committed=0),
        gate("3", 200, Verdict.FAIL, rollback=RollbackState.ROLLED_BACK, ends=210), gate("4", 300),
        gate("9", 0, service="web"),
    ]  # fmt: skip
    api, web = deliveries(gates, days=2)
    assert (api.service, api.deployments, api.per_day, api.failed, api.failure_rate) == ("api", 4, 2.0, 1, 0.25)
    assert (api.lead_time, api.with_commit) == (82.5 * 60, 2)
    assert (api.time_to_restore, api.restored) == (600.0, 1)
    assert (web.deployments, web.lead_time, web.time_to_restore) == (1, None, None)
