"""Findings of a probe that looks at several things, and the result that they add up to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from healthd.model import FailureKind, Measure, Observed, Result, Status


@dataclass(frozen=True, slots=True)
class Finding:
    """Finding: one thing that is not as expected."""

    status: Status
    kind: FailureKind
    message: str


def unhealthy(message: str, kind: FailureKind = FailureKind.THRESHOLD) -> Finding:
    return Finding(Status.UNHEALTHY, kind, message)


def degraded(message: str, kind: FailureKind = FailureKind.THRESHOLD) -> Finding:
    return Finding(Status.DEGRADED, kind, message)


def of_third_party(kind: FailureKind, message: str) -> Finding:
    """Return the finding of a third party that did not answer the question: one that does not permit it, or is asked
    too often, is there."""
    there = kind in (FailureKind.PERMISSION, FailureKind.RATE_LIMITED)
    return Finding(Status.DEGRADED if there else Status.UNHEALTHY, kind, message)


def sum_up(
    findings: Sequence[Finding],
    *,
    fine: str = "",
    latency: float | None = None,
    observed: Observed | None = None,
    measures: tuple[Measure, ...] = (),
) -> Result:
    """Return the result of all findings: status and kind of the worst, every message, the worst first. Without any it
    is healthy, with the message `fine`."""
    ordered = sorted(findings, key=lambda each: each.status is not Status.UNHEALTHY)
    message = "; ".join(each.message for each in ordered)
    worst = ordered[0] if ordered else None
    return Result(
        worst.status if worst else Status.HEALTHY,
        worst.kind if worst else None,
        message or fine,
        latency,
        observed or {},
        measures=measures,
    )
