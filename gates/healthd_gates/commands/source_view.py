"""Output of `healthd source test`: a table, or a document, of the numbers that a source gives for each arm."""

from __future__ import annotations

from math import inf
from typing import Any

from rich.table import Table
from rich.text import Text

from healthd.commands.terminal import echo, terminal
from healthd.units import show_duration
from healthd_gates.engine.source_test import ArmSeen, SourceTested
from healthd_gates.engine.spec import GateSpec
from healthd_gates.judge.explain import bounding, quantile, seconds

_STRATA = 12
_SHOWN = 0.95


def document_of(tested: SourceTested) -> dict[str, Any]:
    """Return what was seen as a document; rates are events a minute, latencies and times are in seconds."""
    return {
        "kind": tested.kind,
        "able": tested.able,
        "gaps": tested.gaps,
        "refused": list(tested.refused),
        "missing": list(tested.missing),
        "doubtful": list(tested.doubtful),
        "arms": {name: _arm_document(seen) for name, seen in tested.arms.items()},
    }


def _arm_document(seen: ArmSeen) -> dict[str, Any]:
    counts, inspection = seen.counts, seen.inspection
    return {
        "requests_per_minute": seen.per_minute(counts.requests) if counts else None,
        "errors_per_minute": seen.per_minute(counts.errors) if counts else None,
        "strata_per_minute": {
            name: {"requests": seen.per_minute(requests), "errors": seen.per_minute(errors)}
            for name, (requests, errors) in (counts.strata if counts else {}).items()
        },
        "strata_quantiles": {
            name: {f"p{100 * level:g}": value for level, (value, _) in seen.quantiles_of(name).items()}
            for name in (counts.strata_latency if counts else {})
        },
        "strata_quantiles_are": {
            name: {f"p{100 * level:g}": bound for level, (_, bound) in seen.quantiles_of(name).items() if bound}
            for name in (counts.strata_latency if counts else {})
        },
        "quantiles": {f"p{100 * level:g}": value for level, value in seen.quantiles.items()},
        "quantiles_are": {f"p{100 * level:g}": bound for level, bound in seen.bounds.items()},
        "series": dict(inspection.series),
        "numbers": dict(inspection.numbers),
        "newest_seconds_ago": inspection.newest,
        "seconds_between_scrapes": inspection.spacing,
        "edges": [edge if edge < inf else "+Inf" for edge in inspection.edges],
    }


def show(tested: SourceTested, spec: GateSpec) -> None:
    """Print what was seen as a table, an arm a column, and whether a gate could be judged by it."""
    console = terminal()
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column(tested.kind)
    for name in tested.arms:
        table.add_column(name)
    by = next((each.by for each in spec.sources if each.by is not None), "")
    for title, cells in _rows(tested, by):
        table.add_row(title, *cells)
    if tested.arms:
        echo(console, table)
    if tested.gaps:
        echo(console, Text(f"{tested.gaps} gaps: numbers that did not come, which count for nothing"))
    for line in tested.doubtful:
        echo(console, Text(f"look at this: {line}", style="yellow"))
    for line in tested.missing:
        echo(console, Text(f"missing: {line}", style="red"))
    for line in tested.refused:
        echo(console, Text(f"refused: {line}", style="red"))
    echo(console, Text(_conclusion(tested, spec), style="bold"))


def _rows(tested: SourceTested, by: str) -> list[tuple[str, list[str]]]:
    seen = list(tested.arms.values())
    rows = [
        (
            "numbers",
            [", ".join(f"{what} {number:g}" for what, number in arm.inspection.numbers.items()) for arm in seen],
        ),
    ]
    rows += (
        []
        if not tested.counts_requests
        else [
            ("requests a minute", [_rate(arm, arm.counts.requests) if arm.counts else "unknown" for arm in seen]),
            ("errors a minute", [_rate(arm, arm.counts.errors) if arm.counts else "unknown" for arm in seen]),
            ("latency", [_latency(arm) for arm in seen]),
            (f"by {by}, a minute", [_strata(arm) for arm in seen]),
            ("series", [", ".join(f"{use} {count}" for use, count in arm.inspection.series.items()) for arm in seen]),
            ("newest sample", [_ago(arm.inspection.newest) for arm in seen]),
            ("between scrapes", [_span(arm.inspection.spacing) for arm in seen]),
            ("buckets end at", [_end(arm) for arm in seen]),
        ]
    )
    return [(title, cells) for title, cells in rows if any(cells)]


def _rate(arm: ArmSeen, count: float) -> str:
    return f"{arm.per_minute(count):,.4g}"


def _latency(arm: ArmSeen) -> str:
    told = {level: value for level, value in arm.quantiles.items() if value is not None}
    bounds = arm.bounds
    if len(bounds) == len(told) > 0 and len({*told.values()}) == 1:  # all of them are in one bucket
        level, value = next(iter(told.items()))
        return quantile(value, bounds[level])
    return ", ".join(f"p{100 * level:g} {bounding(bounds.get(level))}{seconds(value)}" for level, value in told.items())


def _strata(arm: ArmSeen) -> str:
    """Return the strata with the most requests, one a line."""
    strata = arm.counts.strata if arm.counts else {}
    most = sorted(strata.items(), key=lambda item: (-item[1][0], item[0]))
    lines = [
        f"{name}  {_rate(arm, n)}" + (f" ({_rate(arm, bad)} failed)" if bad else "") + _slow(arm, name)
        for name, (n, bad) in most
    ]
    rest = [f"and {len(lines) - _STRATA} more"] if len(lines) > _STRATA else []
    return "\n".join((*lines[:_STRATA], *rest))


def _slow(arm: ArmSeen, stratum: str) -> str:
    """Return the quantile of a stratum that most policies name; all of them are in the document."""
    known = arm.quantiles_of(stratum).get(_SHOWN)
    return f", p{100 * _SHOWN:g} {bounding(known[1])}{seconds(known[0])}" if known else ""


def _ago(newest: float | None) -> str:
    return "" if newest is None else f"{show_duration(max(1, round(newest)))} ago"


def _span(spacing: float | None) -> str:
    return "" if spacing is None else show_duration(round(spacing, 1))


def _end(arm: ArmSeen) -> str:
    finite = [edge for edge in arm.inspection.edges if edge < inf]
    return show_duration(max(finite)) if finite else ""


def _conclusion(tested: SourceTested, spec: GateSpec) -> str:
    if tested.able:
        silent = ": the candidate has no traffic, as is right before a ramp" if tested.awaits_traffic else ""
        return f"A gate under {spec.name} could be judged by this{silent}."
    if tested.refused:
        return f"No gate under {spec.name} could start."
    if tested.missing:
        return f"A gate under {spec.name} could start, and would have nothing to judge by until that changes."
    if tested.awaits_traffic and "baseline" not in tested.arms:
        return "The candidate has no traffic, as is right before a ramp: name who has it by --baseline."
    if tested.awaits_traffic:
        return f"A gate under {spec.name} would have nothing to compare with: no requests of the baseline were seen."
    missing = "requests were" if tested.counts_requests else "number was"
    return f"A gate under {spec.name} would have nothing to judge: no {missing} seen."
