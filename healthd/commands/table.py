"""Table of checks on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from rich.live import Live
from rich.table import Table
from rich.text import Text

from healthd.commands.terminal import echo, terminal
from healthd.model import Status
from healthd.monitoring.state import CheckState

# A sign beside the colour, for people who cannot distinguish the colours.
_SIGNS = {
    Status.HEALTHY: ("✓", "green"),
    Status.DEGRADED: ("▲", "yellow"),
    Status.UNHEALTHY: ("✗", "red"),
    Status.UNKNOWN: ("?", "magenta"),
}


def empty_table() -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("check", "status", "kind"):
        table.add_column(title, no_wrap=True)
    table.add_column("took", justify="right", no_wrap=True)
    table.add_column("found", overflow="fold")
    return table


def add_row(table: Table, name: str, status: Status, kind: str, took_ms: float | None, found: str) -> None:
    sign, colour = _SIGNS[status]
    took = "" if took_ms is None else f"{took_ms:.0f} ms"
    table.add_row(Text(name), Text(f"{sign} {status}", style=colour), Text(kind), took, Text(found))


def check_table(states: Iterable[CheckState]) -> Table:
    table = empty_table()
    for state in states:
        if state.probe is None:
            table.add_row(Text(state.name), Text("… running", style="dim"))
            continue
        result = state.probe.result
        found = result.message or ", ".join(f"{key} {value}" for key, value in result.observed.items())
        add_row(table, state.name, state.status, result.kind or "", state.probe.duration * 1000, found)
    return table


@contextmanager
def showing(*, quiet: bool) -> Iterator[Callable[[Table], None]]:
    """Shows tables one over the other on a terminal, and only the last one elsewhere; nothing when quiet."""
    console = terminal(quiet=quiet)
    if not console.is_terminal:
        last: list[Table] = []
        yield last.append
        if last:
            echo(console, last[-1])
        return
    with Live(console=console, auto_refresh=False) as live:
        yield lambda table: live.update(table, refresh=True)
