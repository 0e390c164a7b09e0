"""A gate on the terminal while it goes on: live on a terminal, and a few plain lines in a log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.live import Live

from healthd_gates.commands.gate_picture import picture
from healthd_gates.commands.gate_words import line, time_left
from healthd_gates.domain import ramp_wording
from healthd_gates.schema.gate import GateDocument

Show = Callable[[GateDocument], None]
_STILL_HERE = 60.0  # seconds between two lines in a log, so that the job does not seem to hang


@contextmanager
def showing(*, quiet: bool, until_verdict: bool = False) -> Iterator[Show]:
    """Shows a gate again and again: a live view on a terminal; elsewhere a line on stderr when something changes.

    `until_verdict`: the caller tells the verdict itself, so that neither does.
    """
    console = Console(stderr=True, quiet=quiet)
    if quiet or not console.is_terminal:
        yield (lambda _gate: None) if quiet else _Lines(until_verdict=until_verdict).show
        return
    with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
        yield lambda gate: live.update(
            picture(gate, datetime.now(UTC), console.width, until_verdict=until_verdict), refresh=True
        )


class _Lines:
    """Prints to a log how long a gate can take and where its page is, then changes, and once a minute that it still
    goes on."""

    def __init__(self, *, until_verdict: bool) -> None:
        self._until_verdict = until_verdict
        self._state: tuple[object, ...] | None = None
        self._told: datetime | None = None

    def show(self, gate: GateDocument) -> None:
        if self._until_verdict and gate.is_answered:
            return
        now = datetime.now(UTC)
        if self._state is None and (told := ", ".join(filter(None, (time_left(gate, now), gate.page)))):
            click.echo(f"gate {gate.id} of {gate.service} {gate.candidate.version}: {told}", err=True)
        silent = self._told is None or (now - self._told).total_seconds() >= _STILL_HERE
        ramp = gate.ramp
        paused = ramp.pause.number if ramp is not None and ramp.pause is not None else 0
        fails = ramp is not None and gate.decision is None and ramp_wording.is_failing(ramp.held)
        state = (gate.state.value, ramp.weight if ramp is not None else 0.0, paused, fails, gate.waits_for)
        if state == self._state and not silent:
            return
        self._state, self._told = state, now
        click.echo(f"gate {gate.id} of {gate.service} {gate.candidate.version}: {line(gate)}", err=True)
