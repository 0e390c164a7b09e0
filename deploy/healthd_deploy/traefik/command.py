"""`healthd-deploy traefik`."""

from __future__ import annotations

import click

from healthd_deploy.core.command import Deploy, choosing_strategy, deploying
from healthd_deploy.traefik.settings import SwitchConfig, TraefikConfig
from healthd_deploy.traefik.traffic import Traffic
from healthd_deploy.weighted.deploy import carry_out, left
from healthd_deploy.weighted.switch import switching


@click.group()
def traefik() -> None:
    """Blue-green deploys behind Traefik."""


@traefik.command(name="blue-green")
@choosing_strategy
@deploying(TraefikConfig, lambda deploy: left(deploy, Traffic(deploy.config.traffic)))
async def blue_green(deploy: Deploy[TraefikConfig]) -> None:
    """Release VERSION to the idle target, move the traffic there, and stay only if the gates pass."""
    await carry_out(deploy, Traffic(deploy.config.traffic))


@traefik.command()
@switching(SwitchConfig, "Traefik")
def switch(config: SwitchConfig) -> Traffic:
    """Give TARGET all of the traffic: writes the file for the first time, and ends a ramp that was left where it was.

    Of the configuration it reads `traffic` alone. Exit code 4: the target is down, and nothing was changed.
    """
    return Traffic(config.traffic)
