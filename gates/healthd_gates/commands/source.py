"""`healthd source test`: show what a service's source reads now, and whether a gate could be judged by it."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from healthd.commands.daemon import fail
from healthd.commands.options import Seconds, config_option, json_option
from healthd.nearest import not_under
from healthd.runtime.clock import SystemClock
from healthd.runtime.redaction import Redactor
from healthd.units import show_duration
from healthd.validation_words import first_in_words
from healthd_gates.commands.arms import arm, arm_options
from healthd_gates.commands.settings import policy_of, service_of, settings_of
from healthd_gates.commands.source_view import document_of, show
from healthd_gates.config.observed import ReadSource, arms_of, criteria_of
from healthd_gates.config.settings import Config
from healthd_gates.domain.request import Version
from healthd_gates.engine.source_test import SourceTested, try_source
from healthd_gates.engine.spec import GateSpec
from healthd_gates.sources.contract import ArmError, Arms, SourceConfig, SourceContext

_NOT_ABLE = 1
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
    if as_json:
        click.echo(json.dumps(document_of(tested), indent=2))
    else:
        show(tested, spec)
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
