"""`healthd-deploy nginx`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from healthd.commands.values import Number
from healthd_deploy.core.blue_green import BlueGreen
from healthd_deploy.core.command import Deploy, choosing_strategy, config_or_exit, deploying, ramp_policy
from healthd_deploy.core.exit import NOT_UNDONE, DeployAborted, TargetDown
from healthd_deploy.core.platform import standing
from healthd_deploy.core.version import Version
from healthd_deploy.nginx.platform import NginxPlatform
from healthd_deploy.nginx.rehearsal import Rehearsal
from healthd_deploy.nginx.reloaded import unseen
from healthd_deploy.nginx.settings import NginxConfig, SwitchConfig
from healthd_deploy.nginx.switch import UpstreamSwitch


@click.group()
def nginx() -> None:
    """Blue-green deploys behind NGINX."""


@nginx.command(name="blue-green")
@choosing_strategy
@deploying(NginxConfig, lambda deploy: standing(NginxPlatform(deploy.config), deploy.version))
async def blue_green(deploy: Deploy[NginxConfig]) -> None:
    """Release VERSION to the idle target, move the traffic there, and stay only if the gates pass."""
    config = deploy.config
    if told := unseen(config.upstream.pid):
        deploy.steps.say(told)
    platform = NginxPlatform(config)
    if (doubt := await platform.doubt_of_idle()) is not None:
        deploy.steps.say(doubt)
    deployment = BlueGreen(
        platform,
        deploy.gate_session,
        deploy.steps,
        config.gates,
        config.retire_after,
        releases_back=config.put_back,
        ramp=ramp_policy(config.gates, deploy.strategy or config.strategy),
    )
    await deployment.deploy(deploy.version)


@nginx.command()
@click.argument("target")
@click.option("-c", "--config", "file", required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--version",
    type=Version(),
    help="The version that TARGET has, where no deploy has put it there: for the first switch.",
)
@click.option(
    "--weight",
    type=Number(0, 100),
    default=100.0,
    help="The percentage of the traffic that TARGET gets, to two decimals; the other target has the rest.",
)
@click.option("--dry-run", is_flag=True, help="Look whether it could be done, and change nothing.")
@click.option("--force", is_flag=True, help="Also to a target that answers nobody, such as one that starts later.")
def switch(target: str, file: Path, *, version: str | None, weight: float, dry_run: bool, force: bool) -> None:
    """Give TARGET the traffic, or a part of it. For healthd's own rollback or ramp, as an action of the kind `command`.

    Of the file it reads `upstream` alone. Exit code 4: the target answers nobody, and nothing was changed.
    """
    weight = round(weight, 2)
    upstream = config_or_exit(file, SwitchConfig, only=SwitchConfig.model_fields).upstream
    try:
        if dry_run:
            click.echo(asyncio.run(Rehearsal(upstream).look(target, weight)))
            return
        whole = weight in (0.0, 100.0)  # a step of a ramp waits for an NGINX that runs
        switching = UpstreamSwitch(upstream).switch(
            target, weight, version=version, even_if_dead=force, even_if_stopped=whole
        )
        asyncio.run(switching)
    except DeployAborted as stopped:
        click.echo(str(stopped), err=True)
        sys.exit(NOT_UNDONE if isinstance(stopped, TargetDown) else stopped.code)
    click.echo(f"the traffic goes to {target}" if weight == 100 else f"{weight:g} % of the traffic goes to {target}")
