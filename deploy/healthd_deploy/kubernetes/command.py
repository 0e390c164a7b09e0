"""`healthd-deploy kubernetes`."""

from __future__ import annotations

from functools import partial

import click

from healthd_deploy.core.blue_green import BlueGreen
from healthd_deploy.core.command import Deploy, choosing_strategy, deploying, ramp_policy
from healthd_deploy.core.exit import CouldNotAsk
from healthd_deploy.kubernetes.platform import KubernetesPlatform
from healthd_deploy.kubernetes.settings import NO_PART, KubernetesConfig, Wanted


@click.group()
def kubernetes() -> None:
    """Blue-green deploys in Kubernetes."""


@kubernetes.command(name="blue-green")
@choosing_strategy
@deploying(KubernetesConfig)
async def blue_green(deploy: Deploy[KubernetesConfig]) -> None:
    """Roll VERSION or VERSION@DIGEST out to the idle Deployment, move the traffic, stay only if the gates pass."""
    config, wanted = deploy.config, Wanted.parse(deploy.version)
    gates, session = config.gates, deploy.gate_session
    ramp = ramp_policy(gates, deploy.strategy or config.strategy)
    if ramp is not None and not config.application.divides:
        raise CouldNotAsk(NO_PART)
    before_ramp = partial(session.earlier.before_ramp, (gates.after, gates.ramp))
    platform = KubernetesPlatform(config, digest=wanted.digest, say=deploy.steps.say, before_ramp=before_ramp)
    blue_green = BlueGreen(platform, session, deploy.steps, gates, config.retire_after, ramp=ramp)
    await platform.refuse_other_digest(wanted.version)
    await blue_green.deploy(wanted.version)
