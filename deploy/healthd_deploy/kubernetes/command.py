"""`healthd-deploy kubernetes`."""

from __future__ import annotations

import click

from healthd_deploy.core.blue_green import BlueGreen
from healthd_deploy.core.command import Deploy, deploying
from healthd_deploy.kubernetes.platform import KubernetesPlatform
from healthd_deploy.kubernetes.settings import KubernetesConfig


@click.group()
def kubernetes() -> None:
    """Blue-green deploys in Kubernetes."""


@kubernetes.command(name="blue-green")
@deploying(KubernetesConfig)
async def blue_green(deploy: Deploy[KubernetesConfig]) -> None:
    """Roll VERSION out to the idle Deployment, switch the Service to it, and stay only if the gates pass."""
    config = deploy.config
    platform = KubernetesPlatform(config)
    await BlueGreen(platform, deploy.gate_session, deploy.steps, config.gates, config.retire_after).deploy(
        deploy.version
    )
