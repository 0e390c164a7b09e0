"""Finds criteria that the sources of a service could never answer: the source is not there, or it cannot measure what
the criterion names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from healthd.nearest import not_under
from healthd_gates.criteria.contract import CriterionConfig
from healthd_gates.judge.rules import Against
from healthd_gates.sources import KINDS, find_kind
from healthd_gates.sources.contract import SourceConfig

if TYPE_CHECKING:  # they import this module to refuse what it finds
    from healthd_gates.config.policy import Policy
    from healthd_gates.config.service import Service


def unanswerable(service: Service, policy: Policy) -> Iterator[str]:
    """Yield a sentence for each criterion of the policy that no source of the service can answer."""
    for criterion in policy.criteria:
        if not criterion.reads_traffic:
            continue
        name = criterion.named_source
        if name is not None and name not in service.sources:
            yield f"criterion {criterion.name}: source names {not_under('sources', name, service.sources)}"
            continue
        source = service.source_of(criterion)
        if source is not None and (problem := _problem(criterion, source)) is not None:
            yield f"criterion {criterion.name}: {problem}"


def without_latency(service: Service, policy: Policy) -> str | None:
    """Return what a policy lacks whose gate could never pass, since its source measures no latency; None if it does."""
    for criterion in policy.criteria:
        if criterion.critical and criterion.reads_latency:
            source = service.source_of(criterion)
            if source is not None and not source.measures_latency:
                return (
                    f"has a criterion of latency, and the source has no {source.latency_is_missing}, or take a policy "
                    "without that criterion"
                )
    return None


def _has_series(model: type[SourceConfig]) -> bool:
    return model.check_series is not SourceConfig.check_series


def _can_split(model: type[SourceConfig], *, latency: bool = False) -> bool:
    if latency:
        return model.check_latency_split is not SourceConfig.check_latency_split
    return model.check_split is not SourceConfig.check_split


def _kinds_with_series() -> list[str]:
    return [kind for kind in KINDS if _has_series(find_kind(kind).config_model)]


def _problem(criterion: CriterionConfig, source: SourceConfig) -> str | None:
    series = criterion.series
    if criterion.split_by is not None:
        latency = criterion.reads_latency
        try:
            source.check_split(criterion.split_by)
            if latency:
                source.check_latency_split(criterion.split_by)
        except ValueError as error:
            split = [kind for kind in KINDS if _can_split(find_kind(kind).config_model, latency=latency)]
            is_able = _can_split(type(source), latency=latency)
            return str(error) if is_able else f"{error}; {', '.join(split[:-1])} and {split[-1]} do"
    if criterion.reads_sums and not source.measures_sums:
        return (
            f"it reads the sum of all response times, which a source of kind {source.kind} does not have: judge a"
            " quantile (kind: latency), or the mean as a value"
        )
    if series is None:
        if source.counts_requests:
            return None
        return (
            f"it reads requests, and the source of kind {source.kind} has no `requests` and `errors`: name them there"
        )
    try:
        source.check_series(series)
    except ValueError as error:
        can = () if _has_series(type(source)) else _kinds_with_series()
        return f"{error}; {', '.join(can[:-1])} and {can[-1]} have" if can else str(error)
    if series.by_instance and not source.counts_instances:
        return (
            f"per: instance needs the number of instances, which a source of kind {source.kind} does not know: take "
            "per: second or per: request, or a source of kind prometheus, scrape or push"
        )
    if criterion.compares_with is Against.CONCURRENT and not source.tells_series_apart(series):
        parts = " and ".join(series.parts)
        return (
            f"it compares two versions, and nothing in {parts} tells them apart: use $version, $target or a label there"
        )
    return None
