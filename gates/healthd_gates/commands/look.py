"""`healthd gate list|show|watch`: look at gates."""

from __future__ import annotations

import sys
from contextlib import aclosing
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from healthd.commands.options import json_option
from healthd_gates.client.client import GateClient
from healthd_gates.client.exit_codes import code_of
from healthd_gates.commands.connection import asking
from healthd_gates.commands.view import VERDICTS, picture, showing, tell
from healthd_gates.domain.gate import GateState
from healthd_gates.schema.gate import GatesDocument

_STATES = ["active", *GateState]


@click.command("list")
@click.option("--service", help="Those of this service only.")
@click.option("--state", type=click.Choice(_STATES), help="Those in this state only; active: all that are not over.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 200), help="How many.")
@click.option("--before", metavar="CURSOR", help="Read on from here; the page before says where.")
@json_option
@asking
async def list_gates(
    client: GateClient, service: str | None, state: str | None, limit: int, before: str | None, as_json: bool
) -> None:
    """List gates, newest first."""
    page = await client.gates(service=service, state=state, limit=limit, before=before)
    if as_json:
        click.echo(page.model_dump_json(indent=2))
    else:
        _print(page)


def _print(page: GatesDocument) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("gate", "service", "version", "policy", "state", "verdict", "started", "by"):
        table.add_column(title, overflow="fold")
    for gate in page.gates:
        sign, style = VERDICTS[gate.verdict]
        table.add_row(
            Text(gate.id),
            Text(gate.service),
            Text(gate.candidate.version),
            Text(gate.policy),
            Text(gate.state),
            Text(f"{sign} {gate.verdict}", style=style),
            f"{gate.created_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
            Text(gate.caller),
        )
    console = Console()
    console.print(table if page.gates else "no gates")
    if page.next is not None:
        console.print(f"more: --before {page.next}", style="dim", markup=False)


@click.command()
@click.argument("gate_id", metavar="GATE")
@json_option
@asking
async def show(client: GateClient, gate_id: str, as_json: bool) -> None:
    """Show one gate as it stands."""
    gate = await client.gate(gate_id)
    if as_json:
        click.echo(gate.model_dump_json(indent=2))
    else:
        console = Console()
        console.print(picture(gate, datetime.now(UTC), console.width))


@click.command()
@click.argument("gate_id", metavar="GATE")
@click.option("--to-the-end", is_flag=True, help="Stay through the watch after a pass, and through a rollback.")
@json_option
@asking
async def watch(client: GateClient, gate_id: str, to_the_end: bool, as_json: bool) -> None:
    """Watch a gate until its verdict, and end with that verdict's exit code. Ctrl-C only stops watching."""
    with showing(quiet=as_json) as show_gate:
        async with aclosing(client.follow(gate_id, to_the_end=to_the_end)) as changes:
            async for gate in changes:
                show_gate(gate)
    tell(gate, as_json=as_json)
    sys.exit(code_of(gate))
