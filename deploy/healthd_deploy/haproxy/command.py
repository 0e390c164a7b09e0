"""`healthd-deploy haproxy`."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path

import click

from healthd_deploy.core.blue_green import BlueGreen
from healthd_deploy.core.command import Deploy, choosing_strategy, config_or_exit, deploying, ramp_policy
from healthd_deploy.core.exit import NOT_UNDONE, DeployAborted, TargetDown, UnknownTarget
from healthd_deploy.core.version import Version
from healthd_deploy.haproxy.platform import HAProxyPlatform
from healthd_deploy.haproxy.settings import DeployedBackend, HAProxyConfig, SwitchConfig
from healthd_deploy.haproxy.traffic import Traffic
from healthd_deploy.haproxy.versions import Versions


@click.group()
def haproxy() -> None:
    """Blue-green deploys behind HAProxy."""


@haproxy.command(name="blue-green")
@choosing_strategy
@deploying(HAProxyConfig)
async def blue_green(deploy: Deploy[HAProxyConfig]) -> None:
    """Release VERSION to the idle target, move the traffic there, and stay only if the gates pass."""
    config, session = deploy.config, deploy.gate_session
    gates, ramp = config.gates, ramp_policy(config.gates, deploy.strategy or config.strategy)
    traffic = Traffic(config.traffic)
    for remark in await traffic.remarks():
        deploy.steps.say(remark)
    before_ramp = partial(session.earlier.before_ramp, (gates.after, gates.ramp))
    platform = HAProxyPlatform(config, traffic, before_ramp)
    deployment = BlueGreen(
        platform, session, deploy.steps, gates, config.retire_after, releases_back=config.put_back, ramp=ramp
    )
    await deployment.deploy(deploy.version)


@haproxy.command()
@click.argument("target")
@click.option("-c", "--config", "file", required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--version",
    type=Version(),
    help="The version that TARGET has, where no deploy has put it there: for the first switch.",
)
@click.option("--force", is_flag=True, help="Also to a target of which HAProxy sees no server up.")
def switch(target: str, file: Path, *, version: str | None, force: bool) -> None:
    """Give TARGET all of the traffic: the first time, after a reload that lost it, and to end a ramp that was left.

    Of the configuration it reads `traffic` alone. Exit code 4: the target is down, and nothing was changed.
    """
    backend = config_or_exit(file, SwitchConfig, only=SwitchConfig.model_fields).traffic
    try:
        asyncio.run(_given(backend, target, version, even_if_down=force))
    except DeployAborted as stopped:
        click.echo(str(stopped), err=True)
        sys.exit(NOT_UNDONE if isinstance(stopped, TargetDown) else stopped.code)
    click.echo(f"the traffic goes to {target}")


async def _given(backend: DeployedBackend, target: str, version: str | None, *, even_if_down: bool) -> None:
    if target not in backend.servers:
        raise UnknownTarget(target, backend.servers)
    await Traffic(backend).give(target, even_if_down=even_if_down)
    if version is not None:
        Versions(backend.versions).note(target, version)
