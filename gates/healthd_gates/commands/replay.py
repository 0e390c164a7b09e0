"""`healthd gate replay`: the verdict that a gate would have given on a past deploy."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import click
from pydantic import ValidationError

from healthd.commands.daemon import fail
from healthd.commands.options import config_option, json_option
from healthd.runtime.clock import SystemClock
from healthd.runtime.redaction import Redactor
from healthd.units import representable
from healthd.validation_words import first_in_words
from healthd_gates.client.client import GateClient
from healthd_gates.client.exit_codes import FAILED, INCONCLUSIVE, PASSED
from healthd_gates.commands.arms import arm, arm_options
from healthd_gates.commands.choosing import find
from healthd_gates.commands.connection import asking
from healthd_gates.commands.replay_view import print_json, print_replay
from healthd_gates.commands.settings import policy_of, service_of, settings_of, unread
from healthd_gates.domain.action_order import Occasion, OrderState
from healthd_gates.domain.request import Version
from healthd_gates.domain.standing import Verdict
from healthd_gates.engine.backtest import Deploy, NotReplayable, replay, replayed_rules
from healthd_gates.engine.ramp_replay import Replayed
from healthd_gates.engine.recorded_replay import Recorded, recorded_rules, replay_recorded
from healthd_gates.engine.spec import GateSpec
from healthd_gates.schema.action import ActionDocument
from healthd_gates.sources.contract import ArmError, SourceContext, SourceUnavailable

_CODES = {Verdict.PASS: PASSED, Verdict.FAIL: FAILED, Verdict.INCONCLUSIVE: INCONCLUSIVE, None: INCONCLUSIVE}


def _moment(_ctx: click.Context, _param: click.Parameter, value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
        moment = representable(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except ValueError:
        raise click.BadParameter("write it as 2026-11-01T12:00:00Z") from None
    if moment > datetime.now(UTC):
        raise click.BadParameter(f"{value} is still to come: a deploy of the past is replayed")
    return moment


@click.command()
@click.argument("service", required=False)
@click.argument("version", required=False)
@click.option("--at", "switched", callback=_moment, metavar="TIME", help="When traffic was switched.")
@click.option("--gate", "gate_id", metavar="GATE", help="A gate, from what the daemon keeps of its looks.")
@click.option("--last", metavar="SERVICE", help="The latest gate of this service, in place of --gate.")
@arm_options
@config_option
@json_option
@asking
async def replay_command(
    client: GateClient,
    /,
    service: str | None,
    version: str | None,
    switched: datetime | None,
    gate_id: str | None,
    last: str | None,
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

    With --gate the numbers are those of a gate's own looks, which the daemon keeps for `gates.keep_evaluations`.

    \b
    healthd gate replay api 1.4.2 --at 2026-11-01T12:00:00Z -c healthd.yaml
    healthd gate replay --last api --policy gradual -c healthd.yaml
    """
    if gate_id is not None or last is not None:
        if service is not None or switched is not None or any(arms.values()):
            raise click.UsageError("--gate and --last name a gate, which knows its service, its versions and its time")
        title, looks, left_out, note = await _of_gate(client, gate_id, last, policy, config_file)
    elif service is None or version is None or switched is None:
        raise click.UsageError("give SERVICE, VERSION and --at TIME, or --gate GATE, or --last SERVICE")
    else:
        title, looks, left_out = await _of_service(service, version, switched, policy, config_file, arms)
        note = ""
    if as_json:
        print_json(looks, left_out)
    else:
        print_replay(title, looks, left_out, note)
    sys.exit(_CODES[looks[-1].standing.verdict])


async def _of_service(
    service: str, version: str, switched: datetime, policy: str | None, file: Path | None, arms: dict[str, Any]
) -> tuple[str, list[Replayed], tuple[str, ...]]:
    settings = settings_of(file)
    chosen = service_of(settings, service, file)
    deploy = Deploy(
        service,
        chosen,
        policy_of(settings, policy or chosen.policy, file),
        candidate=_version(arm(version, arms["target"], arms["labels"]), "VERSION"),
        baseline=_version(arm(arms["baseline"], arms["baseline_target"], arms["baseline_labels"]), "--baseline")
        if arms["baseline"]
        else None,
        switched=switched,
        until=datetime.now(UTC),
    )
    spec = GateSpec(deploy.policy, chosen)
    context = SourceContext(SystemClock(), Redactor.of(settings), spec.edges)
    try:
        _, left_out = replayed_rules(spec)
        looks = [look async for look in replay(deploy, context)]
    except (NotReplayable, ArmError, SourceUnavailable) as error:
        fail(str(error))
    except KeyError as error:
        fail(f"service {service} has no target {error}")
    if not looks:
        fail("there is no interval between then and now")
    return f"{service} {version}, as if switched at {switched:%Y-%m-%d %H:%M:%S %Z}", looks, left_out


async def _of_gate(
    client: GateClient, gate_id: str | None, last: str | None, policy: str | None, file: Path | None
) -> tuple[str, list[Replayed], tuple[str, ...], str]:
    settings = settings_of(file)
    gate = await find(client, gate_id, last)
    name = policy or gate.policy
    chosen = policy_of(settings, name, file)
    if file is None:
        click.echo(f"The policy {name} is the one that ships.{unread(file)}", err=True)
    spec = GateSpec(chosen, settings.services.get(gate.service))
    recording = (await client.evidence(gate.id)).recording()
    full_at = gate.ramp.full_at if gate.ramp is not None else None
    took = _change_of_weight((await client.actions(gate.id)).actions)
    recorded = Recorded(recording, settings.policies.get(gate.policy), gate.created_at, full_at, took)
    try:
        _, left_out = recorded_rules(spec, recorded)
        replayed = list(replay_recorded(spec, recorded))
    except NotReplayable as error:
        fail(str(error))
    title = f"gate {gate.id} of {gate.service} {gate.candidate.version}, under {name}"
    note = ""
    if replayed[-1].standing.verdict is None:
        note = "Here the gate's looks end: what would have come then, nobody knows."
    if full_at is not None and replayed[-1].standing.verdict is None:
        note = "From here on the release had all of the traffic: of the baseline nothing more is known."
    return title, replayed, left_out, note


def _change_of_weight(actions: Sequence[ActionDocument]) -> float | None:
    """Return how many seconds a change of weight took, the median; None without any."""
    ends = (OrderState.DONE, OrderState.SEEN)
    done = [each for each in actions if each.occasion is Occasion.RAMP and each.state in ends]
    took = [(each.finished_at - each.called_for_at).total_seconds() for each in done if each.finished_at is not None]
    return max(0.0, median(took)) if took else None


def _version(said: dict[str, Any], name: str) -> Version:
    try:
        return Version.model_validate(said)
    except ValidationError as error:
        raise click.UsageError(f"{name}: {first_in_words(error)}") from None
