"""The API's documents about the judge's results."""

from __future__ import annotations

from math import exp
from typing import Self

from healthd_gates.domain.standing import Bound, CriterionReport, Finding, Standing, StratumReport, Unit
from healthd_gates.schema.document import Moment, Shown


class StratumDocument(Shown):
    """One value of the label that a criterion is split by, such as one route. `interval` holds for all of them at
    once; `observed` and `baseline` are the quantiles of a latency, null for an error rate."""

    name: str
    finding: Finding
    requests: float
    bad: float
    baseline_requests: float
    baseline_bad: float
    limit: float | None
    interval: tuple[float, float] | None
    e_harm: float
    observed: float | None = None
    baseline: float | None = None

    @classmethod
    def of(cls, report: StratumReport) -> Self:
        return cls(
            name=report.name,
            finding=report.finding,
            requests=report.requests,
            bad=report.bad,
            baseline_requests=report.baseline_requests,
            baseline_bad=report.baseline_bad,
            limit=report.limit,
            interval=report.interval,
            e_harm=exp(min(report.log_e_harm, 700.0)),
            observed=report.observed,
            baseline=report.baseline,
        )


class CriterionDocument(Shown):
    """One criterion. Rates are fractions, latencies seconds; `observed_is` tells an `observed` that is a bound alone,
    as where one bucket holds everything; `interval` is a confidence interval that holds at all
    evaluations at once. Where it is split `by` a label, the numbers are of all requests together, `strata_seen` is how
    many values the label has, and `strata` has the ten with the most evidence of harm."""

    name: str
    critical: bool
    finding: Finding
    sentence: str
    unit: Unit | None
    observed: float | None
    observed_is: Bound | None = None
    limit: float | None
    baseline: float | None
    interval: tuple[float, float | None] | None
    requests: float
    bad: float
    baseline_requests: float
    baseline_bad: float
    requests_needed: float | None
    seconds_needed: float | None
    e_harm: float | None
    p_value: float | None
    by: str | None = None
    strata_seen: int = 0
    strata: tuple[StratumDocument, ...] = ()

    @classmethod
    def of(cls, report: CriterionReport) -> Self:
        return cls(
            name=report.name,
            critical=report.critical,
            finding=report.finding,
            sentence=report.sentence,
            unit=report.unit,
            observed=report.observed,
            observed_is=report.observed_is,
            limit=report.limit,
            baseline=report.baseline,
            interval=report.interval,
            requests=report.requests,
            bad=report.bad,
            baseline_requests=report.baseline_requests,
            baseline_bad=report.baseline_bad,
            requests_needed=report.requests_needed,
            seconds_needed=report.seconds_needed,
            e_harm=None if report.log_e_harm is None else exp(min(report.log_e_harm, 700.0)),
            p_value=report.p_value,
            by=report.by,
            strata_seen=report.strata_seen,
            strata=tuple(map(StratumDocument.of, report.strata)),
        )


class StandingDocument(Shown):
    """The judge's result after the latest evaluation. The gate fails once `e_harm` reaches `e_needed`, 1 / its stated
    risk."""

    at: Moment
    elapsed_seconds: float
    reason: str
    sentence: str
    e_harm: float
    e_needed: float
    p_value: float
    criteria: list[CriterionDocument]
    gaps: int
    resets: int

    @classmethod
    def of(cls, standing: Standing) -> Self:
        return cls(
            at=standing.at,
            elapsed_seconds=standing.elapsed_seconds,
            reason=standing.reason,
            sentence=standing.sentence,
            e_harm=standing.e_harm,
            e_needed=exp(standing.log_e_needed),
            p_value=standing.p_value,
            criteria=[CriterionDocument.of(report) for report in standing.criteria],
            gaps=standing.gaps,
            resets=standing.resets,
        )
