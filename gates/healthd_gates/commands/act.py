"""`healthd gate cancel|resolve|rollback`: what a person does to a gate. Each asks for a reason, for the audit."""

from __future__ import annotations

import click

from healthd.commands.options import json_option
from healthd_gates.client.client import GateClient
from healthd_gates.commands.connection import asking
from healthd_gates.commands.view import line
from healthd_gates.schema.gate import GateDocument

_reason = click.option("--reason", required=True, help="Why; it goes to the audit.")


@click.command()
@click.argument("gate_id", metavar="GATE")
@_reason
@json_option
@asking
async def cancel(client: GateClient, gate_id: str, reason: str, as_json: bool) -> None:
    """End an undecided gate, or the watch after a pass. Nothing is promoted and nothing rolled back."""
    _print(await client.cancel(gate_id, reason), as_json)


@click.command()
@click.argument("gate_id", metavar="GATE")
@click.argument("verdict", type=click.Choice(["pass", "fail"]))
@_reason
@json_option
@asking
async def resolve(client: GateClient, gate_id: str, verdict: str, reason: str, as_json: bool) -> None:
    """Decide a gate that is held because its evidence was inconclusive."""
    _print(await client.resolve(gate_id, verdict, reason), as_json)


@click.command()
@click.argument("gate_id", metavar="GATE")
@click.option("--reason", help="Why; it goes to the audit.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show what would happen, and change nothing.")
@json_option
@asking
async def rollback(
    client: GateClient, gate_id: str, reason: str | None, yes: bool, dry_run: bool, as_json: bool
) -> None:
    """Pull the cord: roll the deploy back now, whatever the evidence says."""
    if dry_run:
        rehearsal = await client.rehearse(gate_id)
        lines = [f"{it.action}: {it.would}" for it in rehearsal.actions] or ["no rollback action is configured"]
        click.echo(rehearsal.model_dump_json(indent=2) if as_json else "\n".join(lines))
        return
    if reason is None:
        raise click.UsageError("--reason is needed; it goes to the audit.")
    gate = await client.gate(gate_id)
    if not yes:
        click.confirm(f"Roll {gate.service} {gate.candidate.version} back now?", abort=True, err=True)
    _print(await client.rollback(gate_id, reason), as_json)


def _print(gate: GateDocument, as_json: bool) -> None:
    click.echo(gate.model_dump_json(indent=2) if as_json else f"gate {gate.id}: {line(gate)}")
