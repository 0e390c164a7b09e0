"""Command `switch` of a proxy that keeps weights."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TypeVar

import click
from pydantic import BaseModel

from healthd_deploy.core.command import config_or_exit
from healthd_deploy.core.exit import NOT_UNDONE, DeployAborted, TargetDown, UnknownTarget
from healthd_deploy.core.misnamed import Misnamed
from healthd_deploy.core.version import Version
from healthd_deploy.weighted.traffic import WeightedTraffic

PartT = TypeVar("PartT", bound=BaseModel)


def switching(part: type[PartT], name: str) -> Callable[[Callable[[PartT], WeightedTraffic]], Callable[..., None]]:
    """A command that gives TARGET all of the traffic that is made of a `part` of the configuration, through the proxy
    of this `name`, for people."""

    def decorate(traffic_of: Callable[[PartT], WeightedTraffic]) -> Callable[..., None]:
        @click.argument("target")
        @click.option("-c", "--config", "file", required=True, type=click.Path(path_type=Path, dir_okay=False))
        @click.option(
            "--version",
            type=Version(),
            help="The version that TARGET has, where no deploy has put it there: for the first switch.",
        )
        @click.option("--force", is_flag=True, help=f"Also to a target of which {name} sees no server up.")
        @wraps(traffic_of)
        def command(target: str, file: Path, *, version: str | None, force: bool) -> None:
            config = config_or_exit(file, part, only=part.model_fields)
            try:
                asyncio.run(_given(traffic_of(config), target, version, even_if_down=force))
            except DeployAborted as stopped:
                if isinstance(stopped, Misnamed):
                    stopped = stopped.in_file(file, part)
                click.echo(str(stopped), err=True)
                sys.exit(NOT_UNDONE if isinstance(stopped, TargetDown) else stopped.code)
            click.echo(f"the traffic goes to {target}")

        return command

    return decorate


async def _given(traffic: WeightedTraffic, target: str, version: str | None, *, even_if_down: bool) -> None:
    if target not in traffic.targets:
        raise UnknownTarget(target, traffic.targets)
    try:
        await traffic.check_places()
        if version is not None:
            traffic.check_record()
        await traffic.give(target, even_if_down=even_if_down)
        if version is not None:
            await traffic.note(target, version)
    finally:
        await traffic.close()
