"""`healthd-deploy host`."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from dataclasses import asdict
from pathlib import Path

import click

from healthd.commands.values import Choice
from healthd.runtime.redaction import Redactor, secrets_of
from healthd_deploy.core.command import Deploy, config_or_exit, deploying
from healthd_deploy.core.exit import NOT_UNDONE, CouldNotAsk, DeployAborted
from healthd_deploy.host.backup import Backups
from healthd_deploy.host.host import Host
from healthd_deploy.host.release import HostRelease
from healthd_deploy.host.settings import VERSION, HostConfig

_FILE = click.option(
    "-c", "--config", "file", required=True, type=click.Path(path_type=Path, dir_okay=False),
    help="The YAML file that says what is deployed where.",
)  # fmt: skip


_NO_RAMP = (
    "PM2 divides connections between instances, not requests: with kept connections a version gets none of the "
    "traffic, or all of it, at any weight. Put NGINX or Traefik before two targets and deploy with `healthd-deploy "
    "nginx` or `healthd-deploy traefik`, or leave --strategy out"
)


def _refuse_ramp(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value == "ramp":
        raise click.BadParameter(_NO_RAMP)
    return value


async def _standing(deploy: Deploy[HostConfig]) -> tuple[str, int] | None:
    """Return, of a deploy that could not begin, that its version was left in place by a run that was killed."""
    if not Host(deploy.config).is_left(deploy.key, deploy.version):
        return None
    said = f"{deploy.version} is current since a run that was killed, and no gate has let it stay"
    cure = "run this again once healthd answers, or go back by `healthd-deploy host rollback`"
    return f"{said}: {cure}", NOT_UNDONE


@click.group()
def host() -> None:
    """Releases of a Node.js application on this host, under PM2."""


@host.command()
@click.option("--strategy", type=Choice(["switch", "ramp"]), callback=_refuse_ramp, hidden=True)
@deploying(HostConfig, _standing)
async def release(deploy: Deploy[HostConfig]) -> None:
    """Put VERSION in the place of what runs, and stay only if it is healthy and the gates pass."""
    if not re.fullmatch(VERSION, deploy.version):
        raise CouldNotAsk("a version is letters, digits and . _ + - after a letter or digit, 64 at most")
    config = deploy.config
    deploy.steps.redact.learn(config.secrets())
    await HostRelease(Host(config), deploy.gate_session, deploy.steps, config, deploy.key).deploy(deploy.version)


@host.command()
@_FILE
@click.option("--to", metavar="VERSION", help="The release to go back to, when it is not the one before.")
@click.option("--dry-run", is_flag=True, help="Look whether it could be done, and change nothing.")
def rollback(file: Path, to: str | None, *, dry_run: bool) -> None:
    """Go back to the release before, or stay there. For healthd's own rollback, as an action of the kind `command`.

    It asks healthd nothing, and needs no token.
    """
    config = config_or_exit(file, HostConfig, only=HostConfig.model_fields.keys() - {"healthd"})
    redact = Redactor((*config.secrets(), *secrets_of(config)))
    try:
        if dry_run:
            click.echo(f"would go back to {asyncio.run(Host(config).could_roll_back(to))}")
            return
        version = asyncio.run(Host(config).roll_back(to))
    except DeployAborted as stopped:
        click.echo(redact(str(stopped)), err=True)
        sys.exit(stopped.code)
    click.echo(f"{version} is current, and healthy")


@host.command()
@_FILE
@click.option("--json", "as_json", is_flag=True, help="As JSON, for scripts.")
def backups(file: Path, as_json: bool) -> None:
    """The backups that are whole, the newest first."""
    listed = Backups(config_or_exit(file, HostConfig)).listed()
    if as_json:
        click.echo(json.dumps([{"folder": str(folder), **asdict(taken)} for folder, taken in listed], indent=2))
        return
    for folder, taken in listed:
        size = sum(taken.files.values()) / 1024**2
        click.echo(f"{folder}  {size:,.1f} MiB  {', '.join(taken.files) or 'empty'}")
