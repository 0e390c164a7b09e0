"""`healthd-deploy aws`."""

from __future__ import annotations

from functools import partial

import click
from pydantic import TypeAdapter, ValidationError

from healthd.runtime.redaction import Redactor
from healthd_deploy.aws.cloud import Cloud, opened
from healthd_deploy.aws.fleet import Fleet
from healthd_deploy.aws.group import TargetGroup
from healthd_deploy.aws.platform import AwsPlatform
from healthd_deploy.aws.remote import Remote
from healthd_deploy.aws.rolling import Rolling
from healthd_deploy.aws.settings import BlueGreenConfig, RollingConfig, VersionName
from healthd_deploy.core.blue_green import BlueGreen
from healthd_deploy.core.command import ConfigT, Deploy, choosing_strategy, deploying, ramp_policy
from healthd_deploy.core.exit import CouldNotAsk


@click.group()
def aws() -> None:
    """Deploys behind an AWS load balancer, released by Systems Manager."""


@aws.command(name="blue-green")
@choosing_strategy
@deploying(BlueGreenConfig)
async def blue_green(deploy: Deploy[BlueGreenConfig]) -> None:
    """Release VERSION to the idle target group, move the traffic there, and stay only if the gates pass."""
    config, session = deploy.config, deploy.gate_session
    gates, ramp = config.gates, ramp_policy(config.gates, deploy.strategy or config.strategy)
    _refuse_odd(deploy.version)
    cloud = await deploy.kept_open.enter_async_context(opened(config.aws, config.places[0]))
    before_ramp = partial(session.earlier.before_ramp, (gates.after, gates.ramp))
    platform = AwsPlatform(config, cloud, _remote(deploy, cloud), before_ramp)
    deployment = BlueGreen(
        platform, session, deploy.steps, gates, config.retire_after, releases_back=config.put_back, ramp=ramp
    )
    await deployment.deploy(deploy.version)


@aws.command()
@deploying(RollingConfig)
async def rolling(deploy: Deploy[RollingConfig]) -> None:
    """Release VERSION batch by batch, and put a batch back unless its gate passes."""
    config = deploy.config
    _refuse_odd(deploy.version)
    cloud = await deploy.kept_open.enter_async_context(opened(config.aws, config.target_group))
    fleet = Fleet(cloud, TargetGroup(cloud, config.target_group, config.target_group.split("/")[1]))
    await Rolling(config, fleet, _remote(deploy, cloud), deploy.gate_session, deploy.steps).deploy(deploy.version)


def _remote(deploy: Deploy[ConfigT], cloud: Cloud) -> Remote:
    return Remote(cloud, deploy.key, deploy.steps.say, Redactor.of(deploy.config))


def _refuse_odd(version: str) -> None:
    """A version goes into shell commands and into tags. Raises CouldNotAsk."""
    try:
        TypeAdapter(VersionName).validate_python(version)
    except ValidationError:
        raise CouldNotAsk(
            f"{version!r} is not a version that AWS can note: letters, digits and . _ : / @ + -"
        ) from None
