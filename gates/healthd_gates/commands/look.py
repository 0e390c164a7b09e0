"""`healthd gate list|show|watch`: show gates."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime

import click
from rich.table import Table
from rich.text import Text

from healthd.commands.options import json_option
from healthd.commands.printing import Printing
from healthd.commands.terminal import echo, terminal
from healthd.commands.values import Choice, WholeNumber
from healthd_gates.client.client import GateClient
from healthd_gates.client.exit_codes import code_of
from healthd_gates.commands.choosing import chosen_gate, find
from healthd_gates.commands.connection import asking
from healthd_gates.commands.gate_picture import VERDICTS, WIDE, mark, picture
from healthd_gates.commands.gate_words import LATE, tell, verdict_words
from healthd_gates.commands.view import showing
from healthd_gates.domain.gate import GateState, RollbackState
from healthd_gates.schema.gate import GateDocument, GatesDocument

_SHORT = 12  # characters of an id: its time to the millisecond
_STATES = ["active", *(state.value for state in GateState)]


@click.command("list", cls=Printing)
@click.option("--service", help="Those of this service only.")
@click.option(
    "--state",
    type=Choice(_STATES),
    metavar="STATE",
    help=f"Those in this state only: {', '.join(_STATES)}. active: all that are not over.",
)
@click.option("--limit", default=20, show_default=True, type=WholeNumber(1, 200), help="How many.")
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
    console = terminal()
    wide, short = console.width >= WIDE, _shortest([gate.id for gate in page.gates]) if console.is_terminal else None
    table = Table(box=None, pad_edge=False, header_style="dim")
    titles = ("gate", "service", "version", "verdict", "rollback", "started", *(("policy", "state", "by") * wide))
    for title in titles:
        folded = title in ("service", "version", "policy", "by")
        table.add_column(title, overflow="fold", no_wrap=not folded)
    for gate in page.gates:
        word = verdict_words(gate)
        sign, style = VERDICTS["fail"] if word == LATE else mark(gate)
        table.add_row(
            Text(gate.id[:short]),
            Text(gate.service),
            Text(gate.candidate.version),
            Text(f"{sign} {word}", style=style),
            _rollback(gate),
            f"{gate.created_at.astimezone(UTC):{'%Y-%m-%d %H:%M:%S' if wide else '%m-%d %H:%M'}}",
            *((Text(gate.policy), Text(gate.state), Text(gate.caller)) if wide else ()),
        )
    echo(console, table if page.gates else "no gates")
    for gate_id in page.unreadable:
        click.echo(f"{gate_id}: written by another release of healthd, and not shown by this one")
    if page.next is not None:
        echo(console, Text(f"more: --before {page.next}", style="dim"))


def _rollback(gate: GateDocument) -> Text:
    if gate.rollback is None:
        return Text("")
    state = gate.rollback.state
    style = "bold red" if state.wants_a_person else "green" if state is RollbackState.ROLLED_BACK else "yellow"
    by = f", by {gate.rollback.by}" if gate.rollback.by else ""
    return Text(f"{state.value.removeprefix('rollback_').replace('_', ' ')}{by}", style=style)


def _shortest(ids: Sequence[str]) -> int:
    """Return how many characters of each id tell it from the others here; the daemon takes them for the whole."""
    length = _SHORT
    while len({gate_id[:length] for gate_id in ids}) < len(ids):
        length += 1
    return length


@click.command(cls=Printing)
@chosen_gate
@json_option
@asking
async def show(client: GateClient, gate_id: str | None, last: str | None, as_json: bool) -> None:
    """Show one gate as it stands."""
    gate = await find(client, gate_id, last)
    if as_json:
        click.echo(gate.model_dump_json(indent=2))
    else:
        console = terminal()
        echo(console, picture(gate, datetime.now(UTC), console.width))


@click.command()
@chosen_gate
@click.option("--to-the-end", is_flag=True, help="Stay through the watch after a pass, and through a rollback.")
@json_option
@asking
async def watch(client: GateClient, gate_id: str | None, last: str | None, to_the_end: bool, as_json: bool) -> None:
    """Watch a gate until its verdict, and end with that verdict's exit code. Ctrl-C only stops watching."""
    found = await find(client, gate_id, last)
    with showing(quiet=as_json, until_verdict=not to_the_end) as show_gate:
        async with aclosing(client.follow(found.id, to_the_end=to_the_end)) as changes:
            async for gate in changes:
                show_gate(gate)
    tell(gate, as_json=as_json)
    sys.exit(code_of(gate))
