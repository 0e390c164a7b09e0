"""Looks at the idle target's addresses before a release, which would else be the first to find a wrong one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path

from healthd_deploy.core.exit import TargetDown
from healthd_deploy.core.misnamed import Misnamed
from healthd_deploy.nginx.able import place_of, refuse_dead
from healthd_deploy.nginx.settings import Upstream
from healthd_deploy.nginx.state import State


async def doubt_of(config: Upstream, state: State) -> str | None:
    """Return that the idle target does not answer, for people; None where it does. That is as it must be of one that
    was retired, or that is not released to yet. Raises Misnamed where it has an address of the live target
    under another name."""
    idle = config.beside(state.live)
    taken = {place: server for server in config.targets[state.live] for place in await _places(server)}
    for position, server in enumerate(config.targets[idle]):
        if shared := sorted(taken[place] for place in await _places(server) if place in taken):
            why = f"{server} is {shared[0]} of {state.live} under another name: each target needs servers of its own"
            raise Misnamed(("upstream", "targets", idle, position), why)
    try:
        await refuse_dead(config, idle)
    except TargetDown as down:
        noted = state.versions.get(idle)
        has = f", which has {noted}," if noted is not None else ""
        usual = "retired" if noted is not None else "not yet released to"
        return (
            f"{idle}{has} does not answer, as a target that is {usual}: {down}. If the release does not bring it up "
            f"there, upstream.targets.{idle} has the wrong addresses: set them right"
        )
    return None


async def _places(server: str) -> AbstractSet[tuple[str, int]]:
    """Return the addresses and ports behind a server's name, nothing for one that is not known now."""
    if server.startswith("unix:"):
        return {(str(Path(server.removeprefix("unix:")).resolve()), 0)}
    with suppress(OSError, UnicodeError):
        found = await asyncio.get_running_loop().getaddrinfo(*place_of(server), type=socket.SOCK_STREAM)
        return {(str(address[0]), int(address[1])) for *_, address in found}
    return set()
