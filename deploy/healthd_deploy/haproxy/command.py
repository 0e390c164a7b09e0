"""`healthd-deploy haproxy`."""

from __future__ import annotations

import click

from healthd_deploy.core.command import Deploy, choosing_strategy, deploying
from healthd_deploy.haproxy.settings import HAProxyConfig, SwitchConfig
from healthd_deploy.haproxy.traffic import Traffic
from healthd_deploy.weighted.deploy import carry_out, left
from healthd_deploy.weighted.switch import switching


@click.group()
def haproxy() -> None:
    """Blue-green deploys behind HAProxy."""


@haproxy.command(name="blue-green")
@choosing_strategy
@deploying(HAProxyConfig, lambda deploy: left(deploy, Traffic(deploy.config.traffic)))
async def blue_green(deploy: Deploy[HAProxyConfig]) -> None:
    """Release VERSION to the idle target, move the traffic there, and stay only if the gates pass."""
    await carry_out(deploy, Traffic(deploy.config.traffic))


@haproxy.command()
@switching(SwitchConfig, "HAProxy")
def switch(config: SwitchConfig) -> Traffic:
    """Give TARGET all of the traffic: the first time, after a reload that lost it, and to end a ramp that was left.

    Of the configuration it reads `traffic` alone. Exit code 4: the target is down, and nothing was changed.
    """
    return Traffic(config.traffic)
