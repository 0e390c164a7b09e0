"""`healthd-deploy traefik`."""

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
from healthd_deploy.traefik.platform import TraefikPlatform
from healthd_deploy.traefik.settings import SwitchConfig, TraefikConfig
from healthd_deploy.traefik.traffic import Traffic
from healthd_gates.actions.traefik_service import WeightedService


@click.group()
def traefik() -> None:
    """Blue-green deploys behind Traefik."""


@traefik.command(name="blue-green")
@choosing_strategy
@deploying(TraefikConfig)
async def blue_green(deploy: Deploy[TraefikConfig]) -> None:
    """Release VERSION to the idle target, move the traffic there, and stay only if the gates pass."""
    config, session = deploy.config, deploy.gate_session
    gates, ramp = config.gates, ramp_policy(config.gates, deploy.strategy or config.strategy)
    traffic = Traffic(config.traffic)
    deploy.kept_open.push_async_callback(traffic.close)
    before_ramp = partial(session.earlier.before_ramp, (gates.after, gates.ramp))
    platform = TraefikPlatform(config, traffic, before_ramp)
    deployment = BlueGreen(
        platform, session, deploy.steps, gates, config.retire_after, releases_back=config.put_back, ramp=ramp
    )
    await deployment.deploy(deploy.version)


@traefik.command()
@click.argument("target")
@click.option("-c", "--config", "file", required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--version",
    type=Version(),
    help="The version that TARGET has, where no deploy has put it there: for the first switch.",
)
@click.option("--force", is_flag=True, help="Also to a target of which Traefik sees no server up.")
def switch(target: str, file: Path, *, version: str | None, force: bool) -> None:
    """Give TARGET all of the traffic: writes the file for the first time, and ends a ramp that was left where it was.

    Of the configuration it reads `traffic` alone. Exit code 4: the target is down, and nothing was changed.
    """
    service = config_or_exit(file, SwitchConfig, only=SwitchConfig.model_fields).traffic
    try:
        asyncio.run(_given(service, target, version, even_if_down=force))
    except DeployAborted as stopped:
        click.echo(str(stopped), err=True)
        sys.exit(NOT_UNDONE if isinstance(stopped, TargetDown) else stopped.code)
    click.echo(f"the traffic goes to {target}")


async def _given(service: WeightedService, target: str, version: str | None, *, even_if_down: bool) -> None:
    if target not in service.services:
        raise UnknownTarget(target, service.services)
    traffic = Traffic(service)
    try:
        await traffic.give(target, even_if_down=even_if_down)
        if version is not None:
            await traffic.note(target, version)
    finally:
        await traffic.close()
