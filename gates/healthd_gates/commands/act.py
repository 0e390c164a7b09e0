"""`healthd gate approve|reject|pause|resume|cancel|give-up|rollback`: what a person does to a gate. Each takes a
reason."""

from __future__ import annotations

import sys

import click

from healthd.commands.options import json_option
from healthd_gates.client.client import GateClient
from healthd_gates.commands.choosing import chosen_gate, find
from healthd_gates.commands.connection import asking
from healthd_gates.commands.gate_words import line
from healthd_gates.domain.gate import GateState
from healthd_gates.domain.rollback_wording import WORDS
from healthd_gates.schema.gate import GateDocument

_reason = click.option("--reason", required=True, help="Why; it goes to the audit.")


@click.command()
@chosen_gate
@_reason
@json_option
@asking
async def cancel(client: GateClient, gate_id: str | None, last: str | None, reason: str, as_json: bool) -> None:
    """End an undecided gate, or the watch after a pass. Nothing is promoted and nothing rolled back."""
    gate = await find(client, gate_id, last)
    if gate.state is GateState.CANCELLED:
        click.echo(f"gate {gate.id} was cancelled already, and keeps its reason: {reason!r} is not stored", err=True)
    _print(await client.cancel(gate.id, reason), as_json)


@click.command()
@chosen_gate
@_reason
@json_option
@asking
async def approve(client: GateClient, gate_id: str | None, last: str | None, reason: str, as_json: bool) -> None:
    """Pass a gate that is held because its evidence was inconclusive."""
    gate = await find(client, gate_id, last)
    _print(await client.approve(gate.id, reason), as_json)


@click.command()
@chosen_gate
@_reason
@json_option
@asking
async def reject(client: GateClient, gate_id: str | None, last: str | None, reason: str, as_json: bool) -> None:
    """Fail a gate that is held because its evidence was inconclusive. What a fail calls for follows: the rollback."""
    gate = await find(client, gate_id, last)
    _print(await client.reject(gate.id, reason), as_json)


@click.command()
@chosen_gate
@_reason
@json_option
@asking
async def pause(client: GateClient, gate_id: str | None, last: str | None, reason: str, as_json: bool) -> None:
    """Stop a ramp where it is, until a person lets it go on.

    The gate goes on judging, and harm still goes back to nothing.
    """
    gate = await find(client, gate_id, last)
    _print(await client.pause(gate.id, reason), as_json)


@click.command()
@chosen_gate
@_reason
@json_option
@asking
async def resume(client: GateClient, gate_id: str | None, last: str | None, reason: str, as_json: bool) -> None:
    """Let a ramp go on that was paused, or whose policy asks a person before a weight."""
    gate = await find(client, gate_id, last)
    if gate.ramp is not None and gate.ramp.pause is None and not gate.is_answered:
        raise click.UsageError(f"the ramp of gate {gate.id} is not paused: {gate.ramp.told}")
    number = gate.ramp.pause.number if gate.ramp is not None and gate.ramp.pause is not None else None
    _print(await client.resume(gate.id, reason, pause=number), as_json)


@click.command()
@chosen_gate
@click.option("--reason", help="Why; it goes to the audit.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show what would happen, and change nothing.")
@json_option
@asking
async def rollback(
    client: GateClient,
    gate_id: str | None,
    last: str | None,
    reason: str | None,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Roll the deploy back now, whatever the evidence says."""
    gate = await find(client, gate_id, last)
    if dry_run:
        rehearsal = await client.rehearse(gate.id)
        lines = [f"{it.action}: {it.would}" for it in rehearsal.actions] or ["no rollback action is configured"]
        click.echo(rehearsal.model_dump_json(indent=2) if as_json else "\n".join(lines))
        return
    if reason is None:
        raise click.UsageError("--reason is needed; it goes to the audit.")
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("--yes is needed where nobody can be asked.")
    if not yes:
        click.confirm(f"Roll {gate.service} {gate.candidate.version} back now?", abort=True, err=True)
    ordered = await client.rollback(gate.id, reason)
    if ordered.rollback is not None and ordered.rollback == gate.rollback:
        stands = WORDS[ordered.rollback.state].label
        click.echo(f"nothing was ordered: gate {gate.id} stands at {stands!r}, and {reason!r} is not stored", err=True)
    _print(ordered, as_json)


@click.command("give-up")
@chosen_gate
@_reason
@click.option("--done", is_flag=True, help="The traffic was put back by hand: take the rollback for done.")
@json_option
@asking
async def give_up(
    client: GateClient, gate_id: str | None, last: str | None, reason: str, done: bool, as_json: bool
) -> None:
    """End a rollback that does not get done: its actions are tried no more, and the next deploy may come.

    Nothing is moved. Without --done the rollback has failed.
    """
    chosen = gate_id if gate_id is not None and last is None else (await find(client, gate_id, last)).id
    gate = await client.give_up(chosen, reason, done=done)
    rollback = gate.rollback
    if as_json or rollback is None:
        click.echo(gate.model_dump_json(indent=2))
    else:
        click.echo(f"gate {gate.id}: {rollback.state.value.replace('_', ' ')}: {rollback.detail}")


def _print(gate: GateDocument, as_json: bool) -> None:
    click.echo(gate.model_dump_json(indent=2) if as_json else f"gate {gate.id}: {line(gate)}")
