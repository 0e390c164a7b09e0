"""`healthd-deploy nginx`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from healthd_deploy.core.blue_green import BlueGreen
from healthd_deploy.core.command import Deploy, config_or_exit, deploying
from healthd_deploy.core.exit import Stopped
from healthd_deploy.nginx.platform import NginxPlatform
from healthd_deploy.nginx.settings import NginxConfig
from healthd_deploy.nginx.upstream import UpstreamFile


@click.group()
def nginx() -> None:
    """Blue-green deploys behind NGINX."""


@nginx.command(name="blue-green")
@deploying(NginxConfig)
async def blue_green(deploy: Deploy[NginxConfig]) -> None:
    """Release VERSION to the idle target, switch the traffic, and stay only if the gates pass."""
    config = deploy.config
    platform = NginxPlatform(config)
    await BlueGreen(platform, deploy.referee, deploy.steps, config.gates, config.retire_after).deploy(deploy.version)


@nginx.command()
@click.argument("target")
@click.option("-c", "--config", "file", required=True, type=click.Path(path_type=Path, dir_okay=False))
def switch(target: str, file: Path) -> None:
    """Give TARGET the traffic, or leave it there. For healthd's own rollback, as an action of the kind `command`."""
    config = config_or_exit(file, NginxConfig)
    try:
        asyncio.run(UpstreamFile(config.upstream).switch(target))
    except Stopped as stopped:
        click.echo(str(stopped), err=True)
        sys.exit(stopped.code)
    click.echo(f"the traffic goes to {target}")
