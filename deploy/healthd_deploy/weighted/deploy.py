"""One deploy behind a proxy that keeps weights."""

from __future__ import annotations

from functools import partial
from typing import TypeVar

from healthd_deploy.core.blue_green import BlueGreen
from healthd_deploy.core.command import Deploy, ramp_policy
from healthd_deploy.core.platform import standing
from healthd_deploy.weighted.platform import WeightedPlatform
from healthd_deploy.weighted.settings import WeightedConfig
from healthd_deploy.weighted.traffic import WeightedTraffic

ConfigT = TypeVar("ConfigT", bound=WeightedConfig)


async def left(deploy: Deploy[ConfigT], traffic: WeightedTraffic) -> tuple[str, int] | None:
    """Return what is to be said of a version that has the traffic, of a deploy that could not begin; see `standing`."""

    async def no_ramp() -> str | None:
        return None

    deploy.kept_open.push_async_callback(traffic.close)
    return await standing(WeightedPlatform(deploy.config, traffic, no_ramp), deploy.version)


async def carry_out(deploy: Deploy[ConfigT], traffic: WeightedTraffic) -> None:
    """Release to the idle target, move the traffic there, and stay only if the gates pass. Raises DeployAborted."""
    config, session = deploy.config, deploy.gate_session
    gates, ramp = config.gates, ramp_policy(config.gates, deploy.strategy or config.strategy)
    deploy.kept_open.push_async_callback(traffic.close)
    await traffic.check_places()
    for remark in await traffic.remarks():
        deploy.steps.say(remark)
    before_ramp = partial(session.earlier.before_ramp, (gates.after, gates.ramp))
    platform = WeightedPlatform(config, traffic, before_ramp)
    deployment = BlueGreen(
        platform, session, deploy.steps, gates, config.retire_after, releases_back=config.put_back, ramp=ramp
    )
    await deployment.deploy(deploy.version)
