"""Chooses the gate of a command: by an id, the beginning of one, or the last gate of a service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from healthd.commands.daemon import fail
from healthd_gates.client.client import GateClient
from healthd_gates.schema.gate import GateDocument

gate_argument = click.argument("gate_id", metavar="GATE")
"""An id, or a prefix of it that is unique."""


def chosen_gate(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the argument GATE, and `--last SERVICE` in its place."""
    argument = click.argument("gate_id", metavar="[GATE]", required=False)
    option = click.option("--last", metavar="SERVICE", help="The latest gate of this service, in place of GATE.")
    return argument(option(command))


async def find(client: GateClient, gate_id: str | None, last: str | None) -> GateDocument:
    """The gate as it stands now. Raises UsageError unless one of both is given."""
    if (gate_id is None) == (last is None):
        raise click.UsageError(
            "give a gate's id, or the beginning of it, or --last SERVICE: `healthd gate list` has both"
        )
    if last is None:
        assert gate_id is not None
        return await client.gate(gate_id)
    page = await client.gates(service=last, limit=1)
    if not page.gates:
        fail(f"{last} has no gate: `healthd gate list` shows the services that have")
    return page.gates[0]
