"""Inspects the targets' metrics pages, and finds labels and metrics that look misnamed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from prometheus_client import Metric

from healthd_gates.sources.contract import SourceUnavailable
from healthd_gates.sources.counters import Family
from healthd_gates.sources.endpoint import place_of
from healthd_gates.sources.exposition import PLAIN, Own, families_of, series_of
from healthd_gates.sources.inspection import (
    LASTING,
    ArmInspection,
    Inspection,
    all_errors,
    missing_label,
    missing_metric,
    missing_value,
    short_buckets,
)
from healthd_gates.sources.presets import PresetName, other_preset
from healthd_gates.sources.selectors import Matcher, Selector

Get = Callable[[str, str], Awaitable[tuple[str, str]]]
"""An address and the accepted formats → a page and its format. Raises SourceUnavailable."""
_COUNTED = (Family.REQUESTS, Family.ERRORS)


async def inspect(
    pages: Mapping[str, Sequence[str]],
    selectors: Mapping[str, Mapping[Family, Selector]],
    written: Mapping[Family, Selector],
    get: Get,
    limits: Sequence[float],
    preset: PresetName | None = None,
    by: str | None = None,
    own: Mapping[str, Mapping[str, Own]] | None = None,
    latency_by: str | None = None,
) -> Inspection:
    """Inspect the pages of each arm, by the arm's selectors; `limits` are the policy's, in seconds, `by` the label
    that requests are split by, `latency_by` the one that latencies are, and `own` each arm's series of criteria. A page
    that does not answer may belong to a version that is not there yet."""
    arms, refused, doubtful, unseen = dict[str, ArmInspection](), list[str](), list[str](), list[str]()
    labels = {Family.REQUESTS: by, Family.ERRORS: by, Family.BUCKET: latency_by}
    for name, addresses in pages.items():
        found: list[Metric] = []
        for address in addresses:
            try:
                text, _ = await get(address, PLAIN)
                found += await asyncio.to_thread(families_of, text, PLAIN)
            except SourceUnavailable as failure:
                (refused if failure.kind in LASTING else doubtful).append(f"{name}: {failure}")
            except ValueError as error:
                doubtful.append(f"{name}: {place_of(address)}: {error}")
        if found:
            arms[name], wrong, odd = _arm(found, selectors[name], written, limits)
            arms[name], missing = _with_own(arms[name], found, (own or {}).get(name, {}))
            doubtful += [f"{name}: {what}" for what in missing]
            refused += [f"{name}: {what}" for what in (*wrong, *_unsplit(found, selectors[name], labels))]
            doubtful += [f"{name}: {what}" for what in odd]
            others = [selector for other in selectors if other != name for selector in selectors[other].values()]
            unseen += [f"{name}: {what}" for what in _values(found, selectors[name], others) if not odd]
            declared = _declared(found)
            if (requests := selectors[name][Family.REQUESTS].name) in declared:
                unseen.append(f"{name}: {requests} is declared and has no series yet: no request was counted")
            names = {sample.name for family in found for sample in family.samples}
            doubtful += other_preset(preset, selectors[name], names | declared)
        else:
            arms[name] = ArmInspection()
    return Inspection(arms, tuple(dict.fromkeys(refused)), tuple(dict.fromkeys(doubtful)), tuple(unseen))


def _with_own(seen: ArmInspection, found: Sequence[Metric], own: Mapping[str, Own]) -> tuple[ArmInspection, list[str]]:
    """Return an arm with how many series the criteria have, and what of theirs looks misnamed."""
    samples = [sample for family in found for sample in family.samples]
    names, declared = sorted({sample.name for sample in samples}), _declared(found)
    series, missing = dict(seen.series), list[str]()
    for stream, use, it in ((stream, use, it) for stream, each in own.items() for use, it in each.selectors.items()):
        labels = series_of(it.name, samples)
        series[f"{stream}.{use}"] = sum(it.matches(it.name, each) for each in labels)
        if not labels and it.name not in declared:
            missing.append(f"criterion {stream}: {missing_metric(it, names)}")
        elif (misnamed := missing_label(it, labels)) is not None:
            missing.append(f"criterion {stream}: {misnamed}")
    return replace(seen, series=series), missing


def _unsplit(
    found: Sequence[Metric], selectors: Mapping[Family, Selector], labels: Mapping[Family, str | None]
) -> list[str]:
    """Return which counters do not have the label that they are split by."""
    samples = [sample for family in found for sample in family.samples]
    missing = {
        family: Selector(selectors[family].name, (Matcher(label, "!=", ""),))
        for family, label in labels.items()
        if label is not None and family in selectors
    }
    wrong = {family: missing_label(it, series_of(it.name, samples)) for family, it in missing.items()}
    return [f"by, of {family.value}: {what}" for family, what in wrong.items() if what]


def _values(found: Sequence[Metric], selectors: Mapping[Family, Selector], others: Sequence[Selector]) -> list[str]:
    """Return which labels never have the values that the selectors need. An error that has not happened yet has no
    series yet."""
    samples = [sample for family in found for sample in family.samples]
    counted = {family: it for family, it in selectors.items() if family not in (Family.ERRORS, Family.SUM)}
    missing = {family: missing_value(it, series_of(it.name, samples), others) for family, it in counted.items()}
    return [f"{family.value}: {what}" for family, what in missing.items() if what]


def _declared(found: Sequence[Metric]) -> set[str]:
    """Return the names of the series that a page declares and does not have yet: a metric with labels has none before
    the first request. Samples that are not beside their declaration are there all the same."""
    empty = [family.name for family in found if not family.samples]
    there = {sample.name for family in found for sample in family.samples}
    return {name + suffix for name in empty for suffix in ("", "_total", "_count", "_sum", "_bucket")} - there


def _arm(
    found: Sequence[Metric],
    selectors: Mapping[Family, Selector],
    written: Mapping[Family, Selector],
    limits: Sequence[float],
) -> tuple[ArmInspection, list[str], list[str]]:
    samples = [sample for family in found for sample in family.samples]
    kinds = {sample.name: family.type for family in found for sample in family.samples}
    wrong, odd, series = list[str](), list[str](), dict[str, int]()
    edges: set[float] = set()
    declared = _declared(found)
    for family, selector in selectors.items():
        labels = series_of(selector.name, samples)
        matched = [each for each in labels if selector.matches(selector.name, each)]
        if matched:
            series[family.value] = len(matched)
        if not labels and selector.name not in declared:
            odd.append(f"{family.value}: {missing_metric(selector, sorted(kinds))}")
        elif (misnamed := missing_label(written[family].of_any_arm(), labels)) is not None:
            (wrong if family in _COUNTED else odd).append(f"{family.value}: {misnamed}")
        elif (misnamed := missing_label(selector, labels)) is not None:  # the version's own label may come with it
            odd.append(f"{family.value}: {misnamed}")
        if family is Family.ERRORS and (all_failed := all_errors(selectors[Family.REQUESTS], selector, labels)):
            wrong.append(f"{family.value}: {all_failed}")
        if family in _COUNTED and kinds.get(selector.name) == "gauge":
            wrong.append(f"{family.value}: {selector.name} is a gauge, which does not count requests: select a counter")
        if family is Family.BUCKET:
            edges = {float(each["le"]) / selector.per_second for each in matched if "le" in each}
    short, doubtful = short_buckets(str(selectors.get(Family.BUCKET, "")), sorted(edges), limits)
    wrong += short if limits else []
    return ArmInspection(series, edges=tuple(sorted(edges))), wrong, odd + doubtful
