"""`healthd gate verify`: start a gate, watch it, and end with its verdict."""

from __future__ import annotations

import json
import os
import sys
from contextlib import aclosing
from typing import Any

import click

from healthd.commands.daemon import fail
from healthd.commands.options import json_option
from healthd.commands.terminal import plain
from healthd.commands.values import Choice, ShownText
from healthd.wording import json_fault
from healthd_gates.client.client import GateClient
from healthd_gates.client.exit_codes import INTERRUPTED, code_of
from healthd_gates.client.pipeline import span_of
from healthd_gates.commands.arms import arm, arm_options, given
from healthd_gates.commands.connection import asking
from healthd_gates.commands.gate_words import tell
from healthd_gates.commands.interrupt import Interrupts, ask_what_now
from healthd_gates.commands.view import Show, showing
from healthd_gates.schema.gate import DryRunDocument, GateDocument


@click.command()
@click.argument("service", required=False)
@click.argument("version", required=False)
@arm_options
@click.option(
    "--deployment", "deployment_id", type=ShownText(), metavar="ID", help="The deploy tool's own run, to be shown."
)
@click.option("--deployment-url", type=ShownText(), metavar="URL", help="Where that run can be looked at.")
@click.option("--actor", type=ShownText(), help="Who deploys.")
@click.option(
    "--committed-at",
    type=ShownText(),
    metavar="TIME",
    help="When the change was committed, as `git log -1 --format=%cI` prints it.",
)
@click.option("--no-rollback", is_flag=True, help="Only judge: roll nothing back.")
@click.option("--lock", metavar="HOLDER", help="The holder of the deploy lock under which this deploy runs.")
@click.option("--override", multiple=True, type=Choice(["freeze", "lock", "quarantine"]), help="Pass this by.")
@click.option("--reason", help="Why something is overridden; it goes to the audit.")
@click.option("--key", help="Idempotency key: a job that runs again with the same key joins the gate it started.")
@click.option(
    "--request",
    "request_file",
    type=click.File("r", encoding="utf-8"),
    help="Take the request from a JSON file (`-`: standard input); options change what it says.",
)
@click.option(
    "--on-interrupt",
    type=Choice(["leave", "cancel"]),
    default="leave",
    show_default=True,
    help="What Ctrl-C or SIGTERM does to the gate where nobody can be asked.",
)
@click.option("--dry-run", is_flag=True, help="Say whether the gate could start now, and start none.")
@click.option("-q", "--quiet", is_flag=True, help="Print the verdict only.")
@json_option
@asking
async def verify(
    client: GateClient,
    /,
    *,
    key: str | None,
    on_interrupt: str,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Start a gate for VERSION of SERVICE and wait for its verdict.

    The gate runs in the daemon, which also rolls back on a fail. On a terminal the view is live; elsewhere a few
    lines go to stderr and the verdict to stdout. Exit codes: 0 passed, 1 failed, 2 inconclusive or cancelled, 3 could
    not ask, 130 interrupted. Only 0 promotes.

    \b
    healthd gate verify api 1.4.2 --target green
    healthd gate verify api "$TAG" --key "$CI_PIPELINE_ID" --json > gate.json
    """
    request = _request(**options)
    if dry_run:
        _tell_dry_run(await client.could_start(request), as_json=as_json)
        return
    gate = await client.verify(request, key=key)
    for note in gate.notes if not quiet else ():
        click.echo(f"note: {note}", err=True)
    interrupts = Interrupts()
    with interrupts.caught():
        while not gate.is_answered:
            with showing(quiet=quiet or as_json, until_verdict=True) as show:
                answered = await interrupts.unless(_answered(client, gate.id, show))
            if answered is not None:
                gate = answered
            elif (wish := "cancel" if on_interrupt == "cancel" else ask_what_now(gate.id)) == "cancel":
                await client.cancel(gate.id, "interrupted at the command line")
                click.echo(f"gate {gate.id} is cancelled: nothing is promoted, nothing rolled back", err=True)
                sys.exit(INTERRUPTED)
            elif wish == "leave":
                click.echo(f"gate {gate.id} goes on: healthd gate watch {gate.id}", err=True)
                sys.exit(INTERRUPTED)
    tell(gate, as_json=as_json)
    sys.exit(code_of(gate))


def _tell_dry_run(found: DryRunDocument, *, as_json: bool) -> None:
    if as_json:
        click.echo(found.model_dump_json(indent=2))
        return
    click.echo(f"a gate of {found.service} under {found.policy} could start now; none was started")
    if found.told:
        click.echo(plain(f"  {found.told}"))
    for note in found.notes:
        click.echo(f"  {note}")


async def _answered(client: GateClient, gate_id: str, show: Show) -> GateDocument:
    """The gate with its verdict, shown at every change until then."""
    async with aclosing(client.follow(gate_id)) as changes:
        async for gate in changes:
            show(gate)
    return gate


def _request(request_file: Any, override: tuple[str, ...], reason: str | None, **options: Any) -> dict[str, Any]:
    """The request of a file and options together."""
    request = _read(request_file) if request_file is not None else {}
    request |= given(service=options["service"], policy=options["policy"], lock=options["lock"])
    arms = {
        "candidate": arm(options["version"], options["target"], options["labels"]),
        "baseline": arm(options["baseline"], options["baseline_target"], options["baseline_labels"]),
        "deployment": given(
            id=options["deployment_id"],
            url=options["deployment_url"],
            actor=options["actor"],
            committed_at=options["committed_at"],
            traceparent=span_of(os.environ),
        ),
    }
    for name, said in arms.items():
        if said:
            request[name] = {**request.get(name, {}), **said}
    if options["no_rollback"]:
        request["rollback"] = "off"
    if override:
        if not reason:
            raise click.UsageError("--override needs a --reason: it goes to the audit")
        request["override"] = {"of": list(override), "reason": reason}
    if "service" not in request or "version" not in request.get("candidate", {}):
        raise click.UsageError("name a service and a version, as in: healthd gate verify api 1.4.2")
    return request


def _read(file: Any) -> dict[str, Any]:
    try:
        found = json.load(file)
    except ValueError as error:
        fail(f"{file.name} is not JSON: {json_fault(error)}")
    if not isinstance(found, dict):
        fail(f"{file.name} must hold a JSON object")
    return found
