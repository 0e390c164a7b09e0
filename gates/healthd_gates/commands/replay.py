"""`healthd gate replay`: the verdict that a gate would have given on a past deploy."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError
from rich.table import Table
from rich.text import Text

from healthd.commands.daemon import fail
from healthd.commands.options import config_option, json_option
from healthd.commands.terminal import echo, terminal
from healthd.runtime.clock import SystemClock
from healthd.runtime.redaction import Redactor, secrets_of
from healthd.units import representable, show_duration
from healthd_gates.client.exit_codes import FAILED, INCONCLUSIVE, PASSED
from healthd_gates.commands.arms import arm, arm_options
from healthd_gates.commands.ramp_table import after
from healthd_gates.commands.settings import policy_of, service_of, settings_of
from healthd_gates.commands.view import WIDE, criteria_table, evidence_line
from healthd_gates.config.settings import Config
from healthd_gates.domain import ramp_wording
from healthd_gates.domain.request import Version
from healthd_gates.domain.standing import Standing, Verdict
from healthd_gates.engine.backtest import Deploy, NotReplayable, replay, replayed_rules
from healthd_gates.engine.ramp_replay import Replayed
from healthd_gates.engine.spec import GateSpec
from healthd_gates.schema.standing import StandingDocument
from healthd_gates.sources.contract import ArmError, SourceContext, SourceUnavailable

_CODES = {Verdict.PASS: PASSED, Verdict.FAIL: FAILED, Verdict.INCONCLUSIVE: INCONCLUSIVE, None: INCONCLUSIVE}
_SHOWN_EVERY = 60.0  # seconds of the past between two lines, unless something changes


def _moment(_ctx: click.Context, _param: click.Parameter, value: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
        moment = representable(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except ValueError:
        raise click.BadParameter("write it as 2026-11-01T12:00:00Z") from None
    if moment > datetime.now(UTC):
        raise click.BadParameter(f"{value} is still to come: a deploy of the past is replayed")
    return moment


@click.command()
@click.argument("service")
@click.argument("version")
@click.option("--at", "switched", required=True, callback=_moment, metavar="TIME", help="When traffic was switched.")
@arm_options
@config_option
@json_option
def replay_command(
    service: str,
    version: str,
    switched: datetime,
    policy: str | None,
    config_file: Path | None,
    as_json: bool,
    **arms: Any,
) -> None:
    """Run a policy over the past.

    Says what a gate would have said, had VERSION of SERVICE been deployed at that time. The numbers are those that the
    service's own source (prometheus) has stored; no daemon is asked and nothing is rolled back. What only the moment
    itself could answer, checks and smoke requests, is left out. Under a policy with a ramp each version has the part of
    the requests that the ramp would have given to it. Exit codes are those of `verify`.

    \b
    healthd gate replay api 1.4.2 --at 2026-11-01T12:00:00Z -c healthd.yaml
    """
    settings = settings_of(config_file)
    chosen = service_of(settings, service)
    deploy = Deploy(
        service,
        chosen,
        policy_of(settings, policy or chosen.policy),
        candidate=_version(arm(version, arms["target"], arms["labels"]), "VERSION"),
        baseline=_version(arm(arms["baseline"], arms["baseline_target"], arms["baseline_labels"]), "--baseline")
        if arms["baseline"]
        else None,
        switched=switched,
        until=datetime.now(UTC),
    )
    try:
        _, left_out = replayed_rules(GateSpec(deploy.policy, chosen))
        looks = asyncio.run(_replay(deploy, settings))
    except (NotReplayable, ArmError, SourceUnavailable) as error:
        fail(str(error))
    except KeyError as error:
        fail(f"service {service} has no target {error}")
    if not looks:
        fail("there is no interval between then and now")
    (_print_json if as_json else _print)(deploy, looks, left_out)
    sys.exit(_CODES[looks[-1].standing.verdict])


async def _replay(deploy: Deploy, settings: Config) -> list[Replayed]:
    context = SourceContext(
        SystemClock(), Redactor(secrets_of(settings)), GateSpec(deploy.policy, deploy.service).edges
    )
    return [look async for look in replay(deploy, context)]


def _version(said: dict[str, Any], name: str) -> Version:
    try:
        return Version.model_validate(said)
    except ValidationError as error:
        problem = error.errors()[0]
        raise click.UsageError(f"{name}: {'.'.join(map(str, problem['loc']))}: {problem['msg']}") from None


def _print_json(_deploy: Deploy, looks: list[Replayed], left_out: tuple[str, ...]) -> None:
    standings, weights = [look.standing for look in looks], _weights(looks)
    last = standings[-1]
    document = {
        "verdict": last.verdict,
        "seconds": last.elapsed_seconds,
        "left_out": left_out,
        **({"harmed": looks[-1].harmed, "weights": weights} if looks[-1].weight is not None else {}),
        "standings": [StandingDocument.of(standing).model_dump(mode="json") for standing in standings],
    }
    click.echo(json.dumps(document, indent=2))


def _weights(looks: list[Replayed]) -> list[tuple[float, float]]:
    """Return the seconds after which a ramp had another weight, and the weight."""
    found: list[tuple[float, float]] = []
    for look in looks:
        if look.weight and (not found or look.weight != found[-1][1]):
            found.append((look.standing.elapsed_seconds, look.weight))
    return found


def _print(deploy: Deploy, looks: list[Replayed], left_out: tuple[str, ...]) -> None:
    console, standings = terminal(), [look.standing for look in looks]
    said = f"{deploy.service_name} {deploy.candidate.version}, as if switched at {deploy.switched:%Y-%m-%d %H:%M:%S %Z}"
    echo(console, Text(said))
    if left_out:
        echo(console, Text(f"left out, for they have no past: {', '.join(left_out)}", style="dim"))
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for title in ("after", "evidence of harm", "how it stood"):
        table.add_column(title)
    for standing in _telling(standings):
        table.add_row(show_duration(standing.elapsed_seconds), f"{standing.e_harm:.3g}", Text(standing.sentence))
    echo(console, table)
    last = StandingDocument.of(standings[-1])
    echo(console, criteria_table(last, wide=console.width >= WIDE), evidence_line(last))
    for criterion in last.criteria:
        echo(console, Text(f"  {criterion.sentence}", style="dim"))
    if looks[-1].weight is not None:
        shown = [f"{ramp_wording.percent(weight)} at {after(seconds)}" for seconds, weight in _weights(looks)]
        echo(console, f"It would have had {', '.join(shown) or 'no traffic'}; {looks[-1].harmed:,.0f} requests harmed.")
    verdict = standings[-1].verdict
    took = show_duration(last.elapsed_seconds)
    echo(console, Text(f"{verdict} after {took}" if verdict else f"no verdict yet after {took}", style="bold"))


def _telling(standings: list[Standing]) -> list[Standing]:
    """The first, the last, those at which something changed, and one a minute."""
    told = [standings[0]]
    for standing in standings[1:]:
        late = standing.elapsed_seconds - told[-1].elapsed_seconds >= _SHOWN_EVERY
        if late or standing.reason is not told[-1].reason or standing is standings[-1]:
            told.append(standing)
    return told
