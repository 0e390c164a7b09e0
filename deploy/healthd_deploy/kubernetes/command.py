"""`healthd-deploy kubernetes`."""

from __future__ import annotations

import click

from healthd_deploy.core.blue_green import BlueGreen
from healthd_deploy.core.command import Deploy, deploying
from healthd_deploy.kubernetes.platform import KubernetesPlatform
from healthd_deploy.kubernetes.settings import KubernetesConfig, Wanted


@click.group()
def kubernetes() -> None:
    """Blue-green deploys in Kubernetes."""


@kubernetes.command(name="blue-green")
@deploying(KubernetesConfig)
async def blue_green(deploy: Deploy[KubernetesConfig]) -> None:
    """Roll VERSION or VERSION@DIGEST out to the idle Deployment, switch the Service, stay only if the gates pass."""
    config, wanted = deploy.config, Wanted.parse(deploy.version)
    platform = KubernetesPlatform(config, digest=wanted.digest, say=deploy.steps.say)
    blue_green = BlueGreen(platform, deploy.gate_session, deploy.steps, config.gates, config.retire_after)
    await platform.refuse_other_digest(wanted.version)
    await blue_green.deploy(wanted.version)
