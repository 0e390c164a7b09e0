"""Inspects the last minutes in a Prometheus-compatible server, and finds labels and metrics that look misnamed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from statistics import median

from healthd_gates.sources.counters import Counter, Family
from healthd_gates.sources.endpoint import all_of
from healthd_gates.sources.inspection import (
    ArmInspection,
    Inspection,
    all_errors,
    missing_label,
    missing_metric,
    missing_value,
    short_buckets,
)
from healthd_gates.sources.native_histograms import CustomBucketsError
from healthd_gates.sources.presets import PresetName, other_preset
from healthd_gates.sources.processes import Use, with_classic
from healthd_gates.sources.prometheus_api import QueryApi, Series
from healthd_gates.sources.selectors import Matcher, Selector

_SHOWN = 300.0  # seconds that an inspection shows to people
_MEMORY = 3600.0  # seconds in which a metric or a label must have been seen to count as existing

Selectors = Mapping[Use, Selector]


async def inspect(
    api: QueryApi,
    written: Selectors,
    filled: Mapping[str, Selectors],
    at: float,
    limits: Sequence[float],
    preset: PresetName | None = None,
    by: str | None = None,
    latency_by: str | None = None,
) -> Inspection:
    """Inspect a server. `written` are the selectors of the configuration, `filled` those of each arm, `limits` the
    policy's, in seconds, `by` the label that requests are split by, `latency_by` the one that latencies are. Raises
    SourceUnavailable."""
    arms = await all_of({name: _inspect_arm(api, selectors, at) for name, selectors in filled.items()})
    refused, doubtful, unseen = list[str](), list[str](), list[str]()
    for use, selector in written.items():
        # An error of a kind that has not happened yet has no series yet.
        counted = use is not Family.ERRORS
        missing, odd = await _misnamed(api, selector, written[Family.REQUESTS], at, may_lack_values=counted)
        refused += [f"{use.value}: {what}" for what in missing if _is_needed(use, limits)]
        doubtful += [f"{use.value}: {what}" for what in missing if not _is_needed(use, limits)]
        seen = any(use.value in arm.series for arm in arms.values())
        doubtful += [f"{use.value}: {what}" for what in odd if not seen]
    labels = {Family.REQUESTS: by, Family.ERRORS: by, Family.BUCKET: latency_by}
    for use, label in labels.items():
        if label is None or use not in written:
            continue
        split = replace(written[use], matchers=(*written[use].matchers, Matcher(label, "!=", "")))
        missing, _ = await _misnamed(api, split, written[Family.REQUESTS], at, may_lack_values=False)
        refused += [f"by, of {use.value}: {what}" for what in missing if not any(what in each for each in refused)]
    for name, arm in arms.items():
        wrong, odd = short_buckets(str(filled[name].get(Family.BUCKET, "")), arm.edges, limits)
        refused += [f"{name}: {what}" for what in wrong if limits]
        doubtful += [f"{name}: {what}" for what in odd]
        if Family.REQUESTS.value not in arm.series and not doubtful:
            selector = filled[name][Family.REQUESTS]
            others = [each for other in filled if other != name for each in filled[other].values()]
            some = await api.some(Selector(selector.name), at, _MEMORY)
            value = await _unknown_value(api, selector, some, at, others)
            unseen += [f"{name}: {value}"] if value else []
    if not any(Family.REQUESTS.value in arm.series for arm in arms.values()):
        doubtful += other_preset(preset, written, await api.names())
    return Inspection(arms, tuple(refused), tuple(doubtful), tuple(unseen))


def _is_needed(use: Use, limits: Sequence[float]) -> bool:
    return use in (Family.REQUESTS, Family.ERRORS) or (use is Family.BUCKET and bool(limits))


async def _inspect_arm(api: QueryApi, selectors: Selectors, at: float) -> ArmInspection:
    found = await all_of({use: api.samples(selector, at, _SHOWN) for use, selector in selectors.items()})
    between = [time - before for before, time in _pairs(found[Family.REQUESTS])]
    newest = max((series.samples[-1][0] for uses in found.values() for series in uses if series.samples), default=None)
    per_second = selectors[Family.BUCKET].per_second if Family.BUCKET in selectors else 1.0
    buckets: Sequence[Series] = ()
    with suppress(CustomBucketsError):  # a gate is told
        buckets = with_classic(found, per_second).get(Family.BUCKET, ())
    edges = {float(Counter.of(Family.BUCKET, series.labels).edge) / per_second for series in buckets}
    return ArmInspection(
        {use.value: len(series) for use, series in found.items() if series},
        None if newest is None else max(0.0, at - newest),
        median(between) if between else None,
        tuple(sorted(edges)),
    )


def _pairs(found: Iterable[Series]) -> Iterator[tuple[float, float]]:
    """Yield the times of consecutive samples."""
    for series in found:
        yield from pairwise(time for time, _ in series.samples)


async def _misnamed(
    api: QueryApi, written: Selector, requests: Selector, at: float, *, may_lack_values: bool
) -> tuple[Sequence[str], Sequence[str]]:
    """Return what is missing, and what is odd, about a selector: whatever the version, as the candidate may be about to
    start, and with it a label that no other version has.

    Labels are searched for on the series of the requests' own fixed conditions, if there are any: other services may
    have the same metric with other labels.
    """
    narrow = set(requests.of_any_arm().matchers)
    fixed = written.of_any_arm()
    scope = Selector(fixed.name, tuple(matcher for matcher in fixed.matchers if matcher in narrow))
    if not (series := await api.some(scope, at, _MEMORY)):
        scope = Selector(fixed.name)
        series = await api.some(scope, at, _MEMORY)
    if not series:
        if await api.some(Selector(buckets := f"{fixed.name}_bucket"), at, _MEMORY):
            return (f"there is no native histogram {fixed.name}, only a classic one: write {buckets}",), ()
        return (), (missing_metric(fixed, await api.names()),)
    known = [each.labels for each in series]
    for matcher in written.matchers:
        if not any(matcher.label in labels for labels in known):  # the few series that were queried may not be all
            having = Selector(scope.name, (*scope.matchers, Matcher(matcher.label, "!=", "")))
            known += [each.labels for each in await api.some(having, at, _MEMORY)]
    if (wrong := missing_label(fixed, known) or all_errors(requests, written, known)) is not None:
        return (wrong,), ()
    odd = missing_label(Selector(written.name, tuple(_any_value(matcher) for matcher in written.matchers)), known)
    if odd is None and may_lack_values:
        odd = await _unknown_value(api, fixed, series, at)
    return (), (odd,) if odd else ()


async def _unknown_value(
    api: QueryApi, selector: Selector, series: Sequence[Series], at: float, others: Sequence[Selector] = ()
) -> str | None:
    """Return which label never has the value that the selector needs; the few series that were queried may not be
    all."""
    for matcher in selector.matchers:
        alone = Selector(selector.name, (matcher,))
        wrong = missing_value(alone, [each.labels for each in series], others)
        if wrong is not None and not await api.some(alone, at, _MEMORY):
            return wrong
    return None


def _any_value(matcher: Matcher) -> Matcher:
    """Return a matcher that needs the same label, with any value."""
    return matcher if matcher.matches({}) else Matcher(matcher.label, "!=", "")
