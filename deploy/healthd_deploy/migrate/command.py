"""`healthd-deploy migrate`: parses, prints and chooses exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from healthd.commands.values import Choice
from healthd.config.file import ConfigError, load
from healthd.runtime.clock import SystemClock
from healthd.runtime.redaction import Redactor
from healthd_deploy.core.exit import COULD_NOT_ASK, INCONCLUSIVE, INTERRUPTED, PROMOTED, DeployAborted
from healthd_deploy.migrate.console import Console
from healthd_deploy.migrate.history import Status
from healthd_deploy.migrate.migration import MalformedError
from healthd_deploy.migrate.settings import MigrateConfig
from healthd_deploy.migrate.sites import Target, connected, releases
from healthd_deploy.migrate.stop import Stop
from healthd_deploy.migrate.templates import new_file
from healthd_deploy.migrate.view import document, lines_of_plan, lines_of_status
from healthd_deploy.migrate.work import Work, planned, refuse_problems

_config_option = click.option(
    "-c", "--config", "file", required=True, envvar="HEALTHD_MIGRATE_CONFIG",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The YAML file that says what is migrated.  [env: HEALTHD_MIGRATE_CONFIG]",
)  # fmt: skip

_NOTHING = "nothing to do: all migrations are applied"


@click.group()
def migrate() -> None:
    """Bring PostgreSQL and MongoDB up to date, one runner at a time, with a history.

    \b
    Exit codes: 0 done · 1 failed, and undone or to be resumed ·
    2 not finished: pending, or out of time ·
    3 refused or could not ask: nothing was done ·
    4 half done, a person is needed · 130 interrupted.
    """


def _with_databases(command: Callable[..., Awaitable[int]]) -> Callable[..., None]:
    """A command that is handed its Work and the databases, and gives an exit code; no error shows a secret."""

    @_config_option
    @click.option("-q", "--quiet", is_flag=True, help="Say nothing on the way.")
    @wraps(command)
    def wrapped(file: Path, quiet: bool, **more: Any) -> None:
        config = _config(file)
        redact, clock = Redactor.of(config), SystemClock()

        async def run() -> int:
            work = Work(config, clock, Console(clock, redact, quiet=quiet), Stop(clock, config.time_limit))
            async with connected(releases(config)) as sites:
                return await command(work, sites, **more)

        try:
            sys.exit(asyncio.run(run()))
        except (DeployAborted, MalformedError) as error:
            click.echo(redact(str(error)), err=True)
            sys.exit(error.code if isinstance(error, DeployAborted) else COULD_NOT_ASK)
        except (KeyboardInterrupt, asyncio.CancelledError):
            click.echo("broken off; `up` finds out what of it is left, and goes on or undoes it", err=True)
            sys.exit(INTERRUPTED)

    return wrapped


def _config(file: Path) -> MigrateConfig:
    try:
        return load(file, MigrateConfig, os.environ)
    except ConfigError as error:
        click.echo("\n".join(map(str, error.problems)), err=True)
        sys.exit(COULD_NOT_ASK)


_out_of_order = click.option("--out-of-order", is_flag=True, help="Apply numbers below one that is applied.")


@migrate.command()
@_with_databases
@click.option("--dry-run", is_flag=True, help="Print what would be run, and change nothing.")
@_out_of_order
async def up(work: Work, sites: list[Target], dry_run: bool, out_of_order: bool) -> int:
    """Apply every migration that is missing, or go on with one that was stopped."""
    if dry_run:
        await _look(sites, out_of_order=out_of_order, steps=True)
        return PROMOTED
    count = await work.up(sites, out_of_order=out_of_order)
    click.echo(f"applied: {count}" if count else _NOTHING)
    return PROMOTED


@migrate.command()
@_with_databases
@_out_of_order
async def check(work: Work, sites: list[Target], out_of_order: bool) -> int:
    """Say what `up` would do: 0 nothing, 2 something, 3 it would refuse, 4 a person is needed."""
    return INCONCLUSIVE if await _look(sites, out_of_order=out_of_order, steps=False) else PROMOTED


async def _look(sites: list[Target], *, out_of_order: bool, steps: bool) -> bool:
    """Print what would be done; whether that is anything. Raises Stopped when `up` would refuse."""
    plans = await planned(sites, out_of_order=out_of_order)
    refuse_problems(plans)
    lines = [line for site, it in zip(sites, plans, strict=True) for line in lines_of_plan(site.store.name, it, steps)]
    click.echo("\n".join(lines) or _NOTHING)
    return bool(lines)


@migrate.command()
@_with_databases
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
async def status(work: Work, sites: list[Target], as_json: bool) -> int:
    """Show every migration, and whether a runner is at work."""
    shown = [await document(site) for site in sites]
    click.echo(
        json.dumps(shown, indent=2) if as_json else "\n".join(line for it in shown for line in lines_of_status(it))
    )
    return PROMOTED


@migrate.command()
@click.argument("name")
@_with_databases
@click.option("--and-later", is_flag=True, help="Undo the later ones too, newest first.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
async def down(work: Work, sites: list[Target], name: str, and_later: bool, yes: bool) -> int:
    """Undo the migration NAME with the `down` that the history has kept."""
    if not yes:
        click.confirm(f"Undo {name}{' and all later ones' if and_later else ''}?", abort=True, err=True)
    names = await work.down(sites, name, and_later=and_later)
    click.echo(f"undone: {', '.join(names)}")
    return PROMOTED


@migrate.command()
@click.argument("name")
@_with_databases
@click.option("--as", "found", required=True, type=Choice(["applied", "undone"]), help="What you have found.")
async def resolve(work: Work, sites: list[Target], name: str, found: str) -> int:
    """Write into the history what a person found out about NAME. Runs nothing."""
    await work.resolve(sites, name, Status.COMPLETED if found == "applied" else Status.ROLLED_BACK)
    click.echo(f"{name}: {found}")
    return PROMOTED


@migrate.command()
@click.argument("name")
@_config_option
@click.option("--database", type=Choice(["postgresql", "mongodb"]), help="Where there are both.")
@click.option("--batches", is_flag=True, help="The zero-downtime form, in phases.")
def new(name: str, file: Path, database: str | None, batches: bool) -> None:
    """Write a new migration file with the next number."""
    try:
        found = [it for it in releases(_config(file)) if database in (None, it.database)]
    except MalformedError as error:
        click.echo(str(error), err=True)
        sys.exit(COULD_NOT_ASK)
    if len(found) != 1:
        raise click.UsageError("--database is needed: postgresql or mongodb, as the configuration has it")
    click.echo(new_file(found[0], name, batches=batches))
