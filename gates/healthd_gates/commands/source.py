"""`healthd source test`: show what a service's source reads now, and whether a gate could be judged by it."""

from __future__ import annotations

import asyncio
import json
import sys
from math import inf
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError
from rich.table import Table
from rich.text import Text

from healthd.commands.daemon import fail
from healthd.commands.options import Seconds, config_option, json_option
from healthd.commands.terminal import echo, terminal
from healthd.nearest import not_under
from healthd.runtime.clock import SystemClock
from healthd.runtime.redaction import Redactor
from healthd.units import show_duration
from healthd.validation_words import first_in_words
from healthd_gates.commands.arms import arm, arm_options
from healthd_gates.commands.settings import policy_of, service_of, settings_of
from healthd_gates.config.observed import ReadSource, arms_of, criteria_of
from healthd_gates.config.settings import Config
from healthd_gates.domain.request import Version
from healthd_gates.engine.source_test import ArmSeen, SourceTested, try_source
from healthd_gates.engine.spec import GateSpec
from healthd_gates.judge.explain import bounding, quantile, seconds
from healthd_gates.sources.contract import ArmError, Arms, SourceConfig, SourceContext

_NOT_ABLE = 1
_STRATA = 12
_SHOWN = 0.95
_SHORTEST, _LONGEST = 1.0, 600.0


def _length(_ctx: click.Context, _param: click.Parameter, value: float) -> float:
    if not _SHORTEST <= value <= _LONGEST:
        raise click.BadParameter(f"{show_duration(value)} is not between 1s and 10m")
    return value


@click.group()
def source() -> None:
    """Look at where a gate's numbers come from, before one depends on them."""


@source.command()
@click.argument("service")
@click.option(
    "--version", metavar="VERSION", help="The version whose numbers to look at, such as the one that is live."
)
@click.option("--source", "named_source", metavar="NAME", help="Another of its sources than the first.")
@arm_options
@click.option(
    "--for",
    "length",
    default="15s",
    show_default=True,
    type=Seconds(may_be_zero=True),
    callback=_length,
    help="Time to look for, where a source keeps no past; a number alone is seconds.",
)
@config_option
@json_option
def test(
    service: str,
    version: str | None,
    named_source: str | None,
    policy: str | None,
    length: float,
    config_file: Path | None,
    as_json: bool,
    **arms: Any,
) -> None:
    """Look at the source of SERVICE as a gate would.

    Says what it sees: requests and errors a minute, latencies, series, scrapes, buckets, and what looks misnamed. It is
    asked by this command, from this host, as the configuration says; no daemon is asked, and no gate starts. Exit code
    0 when a gate could be judged now; 1 when not; 3 when the source could not be tried. Before a ramp the candidate has
    no traffic, and the baseline is judged.

    \b
    healthd source test api --version 1.4.1 -c healthd.yaml
    healthd source test api --version 1.4.2 --target green \\
        --baseline 1.4.1 --baseline-target blue
    """
    settings = settings_of(config_file)
    chosen = service_of(settings, service, config_file)
    if named_source is not None and named_source not in chosen.sources:
        fail(f"service {service}: {not_under('sources', named_source, chosen.sources)}")
    wanted = chosen.traffic_source if named_source is None else chosen.sources[named_source]
    if wanted is None:
        fail(f"service {service} has no source")
    if wanted.kind == "push":
        fail(f"the source of {service} is push: nothing can be asked, counts are posted to a gate while it runs")
    if wanted.kind == "otlp":
        fail(
            f"the source of {service} is otlp: nothing can be asked, telemetry is sent to the daemon while a gate runs"
        )
    spec = GateSpec(policy_of(settings, policy or chosen.policy, config_file), chosen, name=policy or chosen.policy)
    if not wanted.counts_requests and not any(each.config is wanted for each in spec.sources):
        where = "the source" if named_source is None else f"source {named_source}"
        fail(
            f"service {service}: no criterion of policy {spec.name} reads {where}, so that no gate would ask it for a "
            "number: name one by a criterion of kind value, ratio or rate, or another policy with --policy"
        )
    try:
        candidate = _version(version or "unnamed", arms["target"], arms["labels"])
        baseline = (
            _version(arms["baseline"], arms["baseline_target"], arms["baseline_labels"]) if arms["baseline"] else None
        )
        named = arms_of(service, chosen, candidate, baseline)
        if version is None and "$version" in str(wanted.model_dump(mode="json")):
            fail("the selectors ask for $version: say which one with --version, such as the one that is live")
        wanted.check(named)
        tested = asyncio.run(_try(settings, spec, wanted, named, length))
    except ArmError as error:
        fail(str(error))
    except KeyError as error:
        fail(f"service {service} has no target {error}; there are: {', '.join(chosen.targets) or 'none'}")
    (_print_json if as_json else _print)(tested, spec)
    if not tested.able:
        sys.exit(_NOT_ABLE)


async def _try(settings: Config, spec: GateSpec, source: SourceConfig, arms: Arms, length: float) -> SourceTested:
    read = next((each for each in spec.sources if each.config is source), ReadSource(None, source))
    context = SourceContext(SystemClock(), Redactor.of(settings), spec.edges)
    ramps = spec.policy.ramp is not None
    criteria = criteria_of(spec.policy, spec.service, source) if spec.service else ()
    return await try_source(source, arms, read.context(context), length, ramps=ramps, criteria=criteria)


def _version(version: str, target: str | None, labels: tuple[str, ...]) -> Version:
    try:
        return Version.model_validate(arm(version, target, labels))
    except ValidationError as error:
        raise click.UsageError(first_in_words(error)) from None


def _print_json(tested: SourceTested, _spec: GateSpec) -> None:
    document = {
        "kind": tested.kind,
        "able": tested.able,
        "gaps": tested.gaps,
        "refused": list(tested.refused),
        "missing": list(tested.missing),
        "doubtful": list(tested.doubtful),
        "arms": {name: _arm_document(seen) for name, seen in tested.arms.items()},
    }
    click.echo(json.dumps(document, indent=2))


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


def _print(tested: SourceTested, spec: GateSpec) -> None:
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
