"""Delivery performance of services, as DORA measures it (https://dora.dev/guides/dora-metrics/): how often and how soon
changes are deployed, how many of them fail, and how soon service is restored. A failure is a deployment that calls for
an immediate intervention, such as a rollback: one of which nothing was learnt is none, unless it was rolled back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from healthd_gates.domain.gate import RollbackState
from healthd_gates.domain.standing import HARMS, Verdict
from healthd_gates.schema.gate import GateDocument

_RESTORED = {RollbackState.ROLLED_BACK, RollbackState.UNSEEN}


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment of a version: all gates that judged it one after the other. `lead_time` is from its commit to the
    verdict that let it stay, `restored_after` from its switch until a rollback was done or a later one passed; None
    where that is not known, or not yet."""

    service: str
    version: str
    at: datetime
    failed: bool
    lead_time: timedelta | None
    restored_after: timedelta | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """Delivery performance of one service. Times are medians in seconds; `with_commit` and `restored` are the numbers
    of deployments that they are of."""

    service: str
    deployments: int
    per_day: float
    lead_time: float | None
    with_commit: int
    failed: int
    failure_rate: float
    time_to_restore: float | None
    restored: int


def deliveries(gates: Sequence[GateDocument], days: int) -> list[Delivery]:
    """Return the delivery performance of each service over so many days, from all of its decided gates in that time."""
    found: dict[str, list[Deployment]] = {}
    for deployment in deployments(gates):
        found.setdefault(deployment.service, []).append(deployment)
    return [_performance(service, made, days) for service, made in sorted(found.items())]


def deployments(gates: Sequence[GateDocument]) -> Iterator[Deployment]:
    """Yield the deployments of all services, oldest first for each. Gates of one version that follow each other belong
    to one deployment, such as a canary's and that of its switch, until one may not stay: the next is a new attempt.
    Preflights and smoke tests come before there is one, unless a service has nothing else."""
    services: dict[str, list[list[GateDocument]]] = {}
    with_traffic = {gate.service for gate in gates if _saw_traffic(gate)}
    for gate in sorted(gates, key=lambda gate: gate.created_at):
        if gate.service in with_traffic and not _saw_traffic(gate):
            continue
        runs = services.setdefault(gate.service, [])
        if runs and runs[-1][-1].candidate.version == gate.candidate.version and _stayed(runs[-1][-1]):
            runs[-1].append(gate)
        else:
            runs.append([gate])
    for runs in services.values():
        for number, run in enumerate(runs):
            yield _deployment(run, runs[number + 1 :])


def _deployment(run: Sequence[GateDocument], later: Sequence[Sequence[GateDocument]]) -> Deployment:
    first, last = run[0], run[-1]
    commits = [gate.deployment.committed_at for gate in run if gate.deployment.committed_at is not None]
    failed = _failed(last)
    lead = last.decision.at - min(commits) if commits and _stayed(last) and last.decision is not None else None
    if lead is not None and lead < timedelta(0):  # a clock was wrong
        lead = None
    return Deployment(
        service=first.service,
        version=first.candidate.version,
        at=first.created_at,
        failed=failed,
        lead_time=lead,
        restored_after=_restored_after(last, later) if failed else None,
    )


def _restored_after(failing: GateDocument, later: Sequence[Sequence[GateDocument]]) -> timedelta | None:
    ends = [run[-1].decision.at for run in later if run[-1].decision is not None and _passed(run[-1])][:1]
    rollback = failing.rollback
    if rollback is not None and rollback.state in _RESTORED and failing.finished_at is not None:
        ends.append(failing.finished_at)
    return min(ends) - failing.created_at if ends else None


def _saw_traffic(gate: GateDocument) -> bool:
    return gate.standing is not None and any(criterion.unit is not None for criterion in gate.standing.criteria)


def _failed(gate: GateDocument) -> bool:
    """True if the change was taken back, or should have been. A gate that only observes counts by what happened: a
    rollback by a person."""
    if gate.rollback is not None:
        return True
    return gate.verdict == "fail" and not _stayed(gate)


def _stayed(gate: GateDocument) -> bool:
    return gate.rollback is None and gate.decision is not None and gate.decision.counts_as is Verdict.PASS


def _passed(gate: GateDocument) -> bool:
    """True if it stayed, and was seen to be well: not where its policy is lenient, or only observes harm."""
    return gate.verdict == "pass" and not got_worse(gate)


def got_worse(gate: GateDocument) -> bool:
    """True if a version passed and its watch found harm, or it was rolled back."""
    late = gate.standing is not None and gate.standing.reason in HARMS
    return gate.verdict == "pass" and (late or gate.rollback is not None)


def _performance(service: str, made: Sequence[Deployment], days: int) -> Delivery:
    leads = [each.lead_time.total_seconds() for each in made if each.lead_time is not None]
    restored = [each.restored_after.total_seconds() for each in made if each.restored_after is not None]
    failed = sum(each.failed for each in made)
    return Delivery(
        service=service,
        deployments=len(made),
        per_day=len(made) / days,
        lead_time=median(leads) if leads else None,
        with_commit=len(leads),
        failed=failed,
        failure_rate=failed / len(made),
        time_to_restore=median(restored) if restored else None,
        restored=len(restored),
    )
