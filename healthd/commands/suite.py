"""`healthd check` and `healthd preflight`: run checks once, here and now, without a daemon."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from healthd import logs
from healthd.commands.options import REFUSED, config_option, json_option, settings_or_exit
from healthd.commands.table import check_table, showing
from healthd.config.sections import Log
from healthd.monitoring.board import Board
from healthd.monitoring.monitor import Listener
from healthd.monitoring.schedule import Schedule
from healthd.monitoring.state import CheckState
from healthd.monitoring.suite import Suite
from healthd.nearest import did_you_mean, there_are
from healthd.runtime import loop
from healthd.runtime.clock import SystemClock
from healthd.runtime.redaction import Redactor
from healthd.web.documents import check_document
from healthd_gates.config.settings import Config

PREFLIGHT = "preflight"


@click.command()
@config_option
@json_option
@click.argument("names", nargs=-1, metavar="[NAME]...")
def check(config_file: Path | None, as_json: bool, names: tuple[str, ...]) -> None:
    """Run every check once, or those named, and print what they found.

    Exit code 0 when no check is unhealthy, 1 when one is, 2 when the configuration cannot be used.
    """
    settings = settings_or_exit(config_file)
    chosen = names or tuple(settings.active_checks)
    _run_and_exit(settings, chosen, as_json)


@click.command()
@config_option
@json_option
def preflight(config_file: Path | None, as_json: bool) -> None:
    """Run the pre-deployment checklist.

    These are the checks of the group `preflight`, in its order; without such a group in the file, those of `ready`.
    Exit code 0 when nothing stands in the way of a deploy, 1 when something does, 2 when the configuration cannot be
    used or there is nothing to check.
    """
    settings = settings_or_exit(config_file)
    checklist = settings.active_groups[PREFLIGHT].checks
    if PREFLIGHT in settings.groups:
        for name in settings.groups[PREFLIGHT].checks:
            if name not in checklist:
                click.echo(f"{name}: on the checklist, but it does not run at level {settings.level}", err=True)
    if not checklist:
        click.echo("no checklist: put the names of its checks under groups.preflight.checks", err=True)
        sys.exit(REFUSED)
    _run_and_exit(settings, checklist, as_json)


def _run_and_exit(settings: Config, names: Sequence[str], as_json: bool) -> None:
    unknown = [name for name in names if name not in settings.active_checks]
    if unknown:
        for name in unknown:
            hint = did_you_mean(name, settings.active_checks)
            known = there_are(settings.active_checks)
            click.echo(f"no check that runs is called {name}; {known}.{hint}", err=True)
        sys.exit(REFUSED)
    states = loop.run(_probe_once(settings, names, quiet=as_json))
    if as_json:
        click.echo(json.dumps({state.name: check_document(state, detailed=True) for state in states}, indent=2))
    sys.exit(0 if all(state.status.is_up for state in states) else 1)


async def _probe_once(settings: Config, names: Sequence[str], *, quiet: bool) -> list[CheckState]:
    """Probe all of them side by side; on a terminal the table fills as they answer."""
    clock, redact = SystemClock(), Redactor.of(settings)
    logs.configure(Log(level="error", format=settings.log.format), redact)
    logs.catch_the_uncaught()
    logs.catch_the_uncaught_in(asyncio.get_running_loop())
    board = Board(clock)
    suite = Suite(
        board=board,
        schedule=Schedule(lambda _check, _reason: None),
        clock=clock,
        redact=redact,
        listener=Listener(lambda *_: None, lambda *_: None),
        environ=os.environ,
    )
    await suite.arrange(settings)

    def states() -> list[CheckState]:
        return [board.check(name) for name in names]

    with showing(quiet=quiet) as show:
        try:
            for answer in asyncio.as_completed([suite.probe(name) for name in names]):
                show(check_table(states()))
                await answer
            show(check_table(states()))
        finally:
            await suite.close()
    return states()
